import { isUtf8 } from 'node:buffer'
import { Failure } from '../failure.ts'

/** How deep a body may nest. `JSON.parse` takes 100,000 levels; what writes a log or a record throws at 5,000. */
export const MAX_DEPTH = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a

/**
 * Reads a JSON body, strictly: well-formed Unicode, no NUL, at most `MAX_DEPTH` levels, no duplicate members and none
 * named `__proto__`. What `JSON.parse` would fold silently (the last duplicate wins, a lone surrogate becomes U+FFFD
 * on its way to Postgres) is refused, since two readers of such a body would see two different requests.
 */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw malformed('the body is not valid UTF-8')
  const text = bytes.toString('utf8')
  const members = countMembers(text)
  const value = parse(text)
  const walk = new Walk(text.includes('\\u'))
  walk.visit(value)
  if (walk.members !== members) throw malformed('a member stands twice in one object')
  return value
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Failure('invalid_request', 'the body is not valid JSON', {
      cause,
      problems: [{ pointer: '', detail: placeIn(cause) }],
    })
  }
}

/** Where it broke off, without the piece of the body that V8 quotes: an answer repeats nothing of what was sent. */
function placeIn(cause: unknown): string {
  const [place] = cause instanceof Error ? (/position \d+|end of JSON input/.exec(cause.message) ?? []) : []
  return place === undefined ? 'not valid JSON' : `not valid JSON: ${place}`
}

/** Counts the members in the text (its colons outside strings) and bounds the depth before anything is built. */
function countMembers(text: string): number {
  let depth = 0
  let members = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === COLON) members++
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > MAX_DEPTH) throw malformed(`the body nests deeper than ${MAX_DEPTH} levels`)
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return members
}

/** The place of the quote that ends the string which begins at `start`; the text's end where there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end === -1 ? text.length : end
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0
  while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++
  return slashes % 2 === 1
}

/** Counts the members that arrived, and checks strings where an escape could have put what UTF-8 can't hold. */
class Walk {
  members = 0
  readonly #checkStrings: boolean

  constructor(checkStrings: boolean) {
    this.#checkStrings = checkStrings
  }

  visit(value: unknown): void {
    if (typeof value === 'string') this.#text(value)
    else if (typeof value === 'number') this.#number(value)
    else if (Array.isArray(value)) for (const item of value) this.visit(item)
    else if (typeof value === 'object' && value !== null) this.#object(value)
  }

  #object(value: object): void {
    const record = value as Record<string, unknown>
    for (const key in record) {
      if (key === '__proto__') throw malformed('a member may not be named "__proto__"')
      this.members++
      this.#text(key)
      this.visit(record[key])
    }
  }

  // JSON's numbers are doubles here: beyond these, one could not be recorded as it was used (1e400 is Infinity, and null
  // in the record), and two different ones would be the same.
  #number(value: number): void {
    if (!Number.isFinite(value)) throw malformed('a number is too large')
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw malformed('a whole number is beyond 2^53 - 1, where neighbours become one: send it as text')
    }
  }

  #text(text: string): void {
    if (!this.#checkStrings) return
    if (!text.isWellFormed()) throw malformed('a string holds a lone surrogate')
    if (text.includes('\u0000')) throw malformed('a string holds NUL')
  }
}

function malformed(detail: string): Failure {
  return new Failure('invalid_request', detail, { problems: [{ pointer: '', detail }] })
}
