import type { Readable } from 'node:stream'
import { BODY_LIMIT } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { parseJson } from './json.ts'

const NEWLINE = 0x0a

/** One line of an NDJSON body: its number, from 1, and the value that it holds. */
export interface Line {
  readonly number: number
  readonly value: unknown
}

/**
 * Reads an NDJSON body: one JSON value a line, empty lines passed over. The body is read whole before anything is
 * written, since what depends on it holds the tenant's lock; `onBytes` sees its exact bytes.
 */
export async function readLines(body: Readable, limit: number, onBytes: (chunk: Buffer) => void): Promise<Line[]> {
  const lines: Line[] = []
  let number = 0
  let size = 0
  let rest: Buffer[] = []
  const add = (bytes: Buffer) => {
    number++
    if (bytes.length > BODY_LIMIT.route) throw tooLong(number)
    if (bytes.toString('latin1').trim() !== '') lines.push({ number, value: parseLine(bytes, number) })
  }
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw new Failure('payload_too_large', `the body is larger than ${limit} bytes`)
    onBytes(chunk)
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      add(Buffer.concat([...rest, chunk.subarray(from, end)]))
      rest = []
      from = end + 1
    }
    rest.push(chunk.subarray(from))
  }
  add(Buffer.concat(rest))
  return lines
}

function parseLine(bytes: Buffer, number: number): unknown {
  try {
    return parseJson(bytes)
  } catch (cause) {
    const detail = cause instanceof Failure ? cause.message : 'not valid JSON'
    throw lineFailure(number, [{ pointer: '', detail }], cause)
  }
}

function tooLong(number: number): Failure {
  return lineFailure(number, [{ pointer: '', detail: `is longer than ${BODY_LIMIT.route} bytes` }])
}

/** A failure of one line: its pointers begin with the line's number, counted from 0 as in an array. */
export function lineFailure(
  number: number,
  problems: readonly { pointer: string; detail: string }[],
  cause?: unknown,
): Failure {
  return new Failure('invalid_request', `line ${number} cannot be read`, {
    cause,
    problems: problems.map(({ pointer, detail }) => ({
      pointer: `/${number - 1}${pointer}`,
      detail: `line ${number}: ${detail}`,
    })),
  })
}
