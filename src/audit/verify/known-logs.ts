import { type Checkpoint, type SealedSize, writersRoot } from '../checkpoint.ts'
import type { StoredCheckpoint } from './evidence.ts'

/**
 * The list of all logs as one log's checkpoints told it. Its hash is signed in each; it is computed for the last one,
 * which says no less than those before.
 */
export class KnownLogs {
  #logs = new Map<string, SealedSize>()
  #last: { readonly opened: Checkpoint; readonly size: number } | undefined

  /** @returns what is wrong with what the checkpoint changed in the list. */
  apply({ writers, size }: StoredCheckpoint, opened: Checkpoint): string | undefined {
    const before = this.#logs
    // Whoever writes into the database writes anything here.
    if (!isList(writers)) return `the list of logs at ${size} records is none`
    if (writers.whole) this.#logs = new Map()
    for (const [writer, length, root] of writers.logs) {
      this.#logs.set(writer, { writer, size: length, root: Buffer.from(root, 'base64') })
    }
    this.#last = { opened, size }
    const shrunk = writers.whole
      ? []
      : writers.logs.filter(([writer, length]) => length < (before.get(writer)?.size ?? 0))
    return shrunk.length === 0 ? undefined : `the checkpoint at ${size} records tells of a log that became shorter`
  }

  /** What is wrong with the list as the last checkpoint told it. */
  fault(): string | undefined {
    if (this.#last === undefined) return undefined
    const { opened, size } = this.#last
    const isSigned = opened.writers === this.#logs.size && opened.writers_root.equals(writersRoot(this.#logs.values()))
    return isSigned ? undefined : `the list of logs at ${size} records is not the one that was signed`
  }

  last(): SealedSize[] {
    return [...this.#logs.values()]
  }
}

function isList(writers: unknown): boolean {
  if (typeof writers !== 'object' || writers === null || !('logs' in writers) || !Array.isArray(writers.logs))
    return false
  return writers.logs.every((log: unknown) => {
    if (!Array.isArray(log)) return false
    const [writer, size, root] = log
    return typeof writer === 'string' && Number.isSafeInteger(size) && typeof root === 'string'
  })
}
