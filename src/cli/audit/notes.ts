import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseKey, type VerifierKey } from '../../audit/note.ts'
import { copiesFile, NoteLines } from '../../audit/seal/copies.ts'
import type { OutsideNote } from '../../audit/verify/outside.ts'
import type { AuditConfig } from '../../config.ts'
import { Failure } from '../../failure.ts'

export interface Sources {
  readonly files: readonly string[]
  readonly isElsewhere: boolean
}

/** The checkpoints that were kept elsewhere: in files that are named, and in the data directory. */
export async function outsideNotes(files: readonly string[], config: AuditConfig): Promise<OutsideNote[]> {
  const notes = new Map<string, OutsideNote>()
  const read = async (file: string) => {
    for await (const note of notesOf(file)) notes.set(note, { note, from: file })
  }
  if (config.isDataDirMeant) {
    const own = copiesFile(config.dataDir)
    for (const file of [`${own}.1`, own]) if (await isThere(file)) await read(file)
  }
  for (const file of files) {
    const before = notes.size
    await read(file)
    // A file that holds none was surely meant to hold some.
    if (notes.size === before && !(await hasKnown(file, notes))) throw nothingIn(file)
  }
  return [...notes.values()]
}

/** The files that checkpoints were found in, and whether one of them lies elsewhere than in the data directory. */
export function sourcesOf(notes: readonly OutsideNote[], { dataDir }: AuditConfig): Sources {
  const files = [...new Set(notes.map(({ from }) => from))]
  return { files, isElsewhere: files.some((file) => dirname(resolve(file)) !== resolve(dataDir)) }
}

async function hasKnown(file: string, notes: ReadonlyMap<string, OutsideNote>): Promise<boolean> {
  for await (const note of notesOf(file)) if (notes.has(note)) return true
  return false
}

/** Line by line: the log of a month is long. */
async function* notesOf(file: string): AsyncGenerator<string> {
  const lines = new NoteLines()
  const input = createReadStream(file, 'utf8')
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const note = lines.read(line)
      if (note !== undefined) yield note
    }
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

/** Keys as they are, or in files, a line each. undefined: none is named. */
export async function namedKeys(named: readonly string[]): Promise<VerifierKey[] | undefined> {
  if (named.length === 0) return undefined
  return (await Promise.all(named.map(keysIn))).flat()
}

async function keysIn(named: string): Promise<VerifierKey[]> {
  const key = parseKey(named)
  if (key !== undefined) return [key]
  const text = await readFile(named, 'utf8').catch((cause: unknown) => {
    throw new Failure('invalid_request', `--key ${named} is neither a public key (<name>+<id>+<base64>) nor a file`, {
      cause,
    })
  })
  const keys = text.split('\n').flatMap((line) => parseKey(line) ?? [])
  if (keys.length === 0) throw new Failure('invalid_request', `${named} holds no public key (<name>+<id>+<base64>)`)
  return keys
}

const isThere = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  )

function nothingIn(file: string): Failure {
  return new Failure('invalid_request', `${file} holds no checkpoint`)
}

function unreadable(file: string, cause: unknown): Failure {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Failure('invalid_request', `could not read ${file}: ${why}`, { cause })
}
