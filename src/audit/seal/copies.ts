import { appendFile, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type OpenedCheckpoint, openCheckpoint } from '../checkpoint.ts'
import type { VerifierKey } from '../note.ts'

const FILE = 'checkpoints.log'
const MAX_BYTES = 16 * 1024 * 1024

/** Where a process keeps a copy of the checkpoints that it signs. */
export function copiesFile(dataDir: string): string {
  return join(dataDir, FILE)
}

/**
 * Checkpoints in the data directory, outside of the database: one JSON object a line, as in the log stream. A file
 * that is full is put aside under a name with `.1`, and the new one begins with the last checkpoint of each log.
 */
export class CheckpointCopies {
  readonly #file: string
  readonly #maxBytes: number
  readonly #last: Map<string, OpenedCheckpoint>
  readonly #notes: Map<string, string>
  #bytes: number

  private constructor(file: string, maxBytes: number, bytes: number) {
    this.#file = file
    this.#maxBytes = maxBytes
    this.#bytes = bytes
    this.#last = new Map()
    this.#notes = new Map()
  }

  static async open(file: string, keys: readonly VerifierKey[], maxBytes = MAX_BYTES): Promise<CheckpointCopies> {
    const text = await readIfThere(file)
    const copies = new CheckpointCopies(file, maxBytes, Buffer.byteLength(text))
    for (const note of notesIn(text)) {
      const checkpoint = openCheckpoint(note, keys)
      if (!('fault' in checkpoint)) copies.#remember(checkpoint, note)
    }
    return copies
  }

  /** The last checkpoint of a log that stands here. */
  last(writer: string): OpenedCheckpoint | undefined {
    return this.#last.get(writer)
  }

  async append(checkpoint: OpenedCheckpoint, note: string): Promise<void> {
    this.#remember(checkpoint, note)
    if (this.#bytes >= this.#maxBytes) await this.#turnOver()
    else await this.#write(lineOf(note))
  }

  #remember(checkpoint: OpenedCheckpoint, note: string): void {
    const known = this.#last.get(checkpoint.writer)
    if (known !== undefined && known.size > checkpoint.size) return
    this.#last.set(checkpoint.writer, checkpoint)
    this.#notes.set(checkpoint.writer, note)
  }

  async #write(lines: string): Promise<void> {
    await appendFile(this.#file, lines, { mode: 0o600 })
    this.#bytes += Buffer.byteLength(lines)
  }

  async #turnOver(): Promise<void> {
    const lines = [...this.#notes.values()].map(lineOf).join('')
    const draft = `${this.#file}.new`
    await writeFile(draft, lines, { mode: 0o600 })
    await rename(this.#file, `${this.#file}.1`)
    await rename(draft, this.#file)
    this.#bytes = (await stat(this.#file)).size
  }
}

/** The notes in a file, and in the one that was put aside before it; none where there is no file. */
export async function notesInFile(file: string): Promise<string[]> {
  const texts = await Promise.all([`${file}.1`, file].map(readIfThere))
  return texts.flatMap(notesIn)
}

export function notesIn(text: string): string[] {
  const lines = new NoteLines()
  return text.split('\n').flatMap((line) => lines.read(line) ?? [])
}

/** Finds notes line by line: in JSON lines with a member `checkpoint` (also those of a log), or written as they are. */
export class NoteLines {
  #lines: string[] = []

  /** @returns the note that this line ends. */
  read(line: string): string | undefined {
    if (line.startsWith('{')) return checkpointIn(line)
    // A note ends with the line of its signature; further signatures are for others.
    if (line.startsWith('— ')) {
      const note = [...this.#lines, line]
      this.#lines = []
      // No line of a checkpoint is empty, so that what stands before an empty one is something else.
      const begin = note.lastIndexOf('', -3) + 1
      return note.at(-2) === '' ? `${note.slice(begin).join('\n')}\n` : undefined
    }
    // What stands between notes, and what is none: no note has so many lines.
    if (line !== '' || this.#lines.length > 0) this.#lines.push(line)
    if (this.#lines.length > LONGEST_NOTE) this.#lines = []
    return undefined
  }
}

const LONGEST_NOTE = 64

function checkpointIn(line: string): string | undefined {
  try {
    const { checkpoint } = JSON.parse(line) as { checkpoint?: unknown }
    return typeof checkpoint === 'string' ? checkpoint : undefined
  } catch {
    // The last line of a process that was killed.
    return undefined
  }
}

function lineOf(checkpoint: string): string {
  return `${JSON.stringify({ checkpoint })}\n`
}

async function readIfThere(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
}
