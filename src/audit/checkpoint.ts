import { HASH_BYTES, leafHash, treeRoot } from './merkle.ts'
import { type Note, noteText, openNote, type Signer, signNote, type VerifierKey } from './note.ts'

/** How far the log of a writer was known to be sealed. */
export interface SealedSize {
  readonly writer: string
  readonly size: number
  readonly root: Buffer
}

/** What a checkpoint says: a log's tree, and all logs that its writer knew of. */
export interface Checkpoint extends SealedSize {
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string
  /** How many writers were known, this one included, and the root over the sorted list of them. */
  readonly writers: number
  readonly writers_root: Buffer
  /** Nothing will be appended to this log any more. */
  readonly final: boolean
}

/** A checkpoint that says what it should, signed by a key that is known. */
export interface OpenedCheckpoint extends Checkpoint {
  /** The name of the deployment's log, which its keys have. */
  readonly log: string
}

/**
 * The signed note, in C2SP's formats `tlog-checkpoint` and `signed-note`. Its extension lines are `time`, `writers`
 * and, in the last of a log, `final`.
 */
export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): string {
  const { writer, size, root, at, writers, writers_root, final } = checkpoint
  const lines = [
    originOf(signer.key.name, writer),
    String(size),
    root.toString('base64'),
    `time ${at}`,
    `writers ${writers} ${writers_root.toString('base64')}`,
    ...(final ? ['final'] : []),
  ]
  return signNote(noteText(lines), signer)
}

/** @returns why it can't be trusted, where it can't. */
export function openCheckpoint(
  text: string,
  keys: readonly VerifierKey[],
): OpenedCheckpoint | { readonly fault: string } {
  const note = openNote(text, keys)
  if ('fault' in note) return note
  const read = readCheckpoint(note)
  return read ?? { fault: 'the note is signed, and is no checkpoint' }
}

/** A log is named after the deployment's and its writer. */
export function originOf(log: string, writer: string): string {
  return `${log}/${writer}`
}

/** The root over the list of logs, sorted by writer: a leaf is the text of one, as its three parts with spaces between. */
export function writersRoot(logs: Iterable<SealedSize>): Buffer {
  const sorted = [...logs].sort((one, other) => (one.writer < other.writer ? -1 : 1))
  return treeRoot(sorted.map((log) => leafHash(Buffer.from(listLine(log)))))
}

function listLine({ writer, size, root }: SealedSize): string {
  return `${writer} ${size} ${root.toString('base64')}`
}

const SIZE = /^(0|[1-9]\d{0,15})$/
const TIME = /^time (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)$/
const WRITERS = /^writers ([1-9]\d{0,8}) (\S+)$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Lines that are not known yet are passed over: a later version may say more. */
function readCheckpoint({ text, key }: Note): OpenedCheckpoint | undefined {
  const [origin = '', size = '', root = '', ...extensions] = text.trimEnd().split('\n')
  const writer = origin.slice(key.name.length + 1)
  const at = firstMatch(extensions, TIME)?.[1]
  const known = firstMatch(extensions, WRITERS)
  const hashes = [root, known?.[2] ?? ''].map((base64) => Buffer.from(base64, 'base64'))
  const [rootHash, writersHash] = hashes
  if (origin !== originOf(key.name, writer) || !UUID.test(writer) || !SIZE.test(size) || at === undefined)
    return undefined
  if (rootHash?.length !== HASH_BYTES || writersHash?.length !== HASH_BYTES) return undefined
  return {
    log: key.name,
    writer,
    size: Number(size),
    root: rootHash,
    at,
    writers: Number(known?.[1]),
    writers_root: writersHash,
    final: extensions.includes('final'),
  }
}

function firstMatch(lines: readonly string[], pattern: RegExp): RegExpExecArray | undefined {
  for (const line of lines) {
    const match = pattern.exec(line)
    if (match !== null) return match
  }
  return undefined
}
