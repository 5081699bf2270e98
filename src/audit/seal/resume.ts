import { Failure } from '../../failure.ts'
import type { SealedSize } from '../checkpoint.ts'
import { HASH_BYTES } from '../merkle.ts'
import type { RecordSource } from '../shipper.ts'
import { leafHashes } from './leaves.ts'
import { LogBook } from './log-book.ts'
import type { SealStore } from './seal-store.ts'
import { rangeAt } from './subtrees.ts'

export interface Resumed {
  readonly writer: string
  /** How many of its records the store has. */
  readonly position: number
  /** Checkpoints whose signatures were found good, wherever they were found. */
  readonly signed: readonly (SealedSize & { readonly final: boolean })[]
  /** What is left of the journal that the records were shipped from. */
  readonly source: RecordSource | undefined
}

const PIECE = 8192

/**
 * Takes up the log of another process, or one whose store was put back, at `position`: from the last checkpoint
 * before it, with the leaves after that checkpoint from the journal, as far as they are still there. Where the store
 * has something else than what was signed or written, the book says so, and nothing is signed.
 */
export async function resume(store: SealStore, from: Resumed): Promise<LogBook> {
  try {
    return await taken(store, from)
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'internal') throw error
    return faulty(from, error.message)
  }
}

async function taken(store: SealStore, { writer, position, signed, source }: Resumed): Promise<LogBook> {
  const sizes = [...signed].sort((one, other) => one.size - other.size)
  const start = sizes.findLast(({ size }) => size <= position)
  const range = await rangeAt((spans) => store.hashes(writer, spans), start?.size ?? 0)
  if (start !== undefined && !range.root().equals(start.root)) {
    throw new Failure('internal', `the hashes in the database are not those that were signed at ${start.size} records`)
  }
  if (source !== undefined && position > source.confirmed) {
    throw new Failure('internal', `the database has ${position} records, and ${source.confirmed} were written`)
  }
  const book = new LogBook(
    writer,
    range,
    sizes.filter(({ size }) => size > position),
  )
  book.sealed = start
  await catchUp(store, book, position, source)
  return book
}

async function catchUp(store: SealStore, book: LogBook, position: number, source?: RecordSource): Promise<void> {
  while (book.size < position) {
    const count = Math.min(PIECE, position - book.size)
    const [kept = Buffer.alloc(0)] = await store.hashes(book.writer, [{ level: 0, first: book.size, count }])
    const written = await leavesFrom(source, book.size, count)
    const part = kept.subarray(0, written?.length)
    if (written !== undefined && !part.equals(written)) {
      throw new Failure('internal', `records from ${book.size} on are not those that were written`)
    }
    book.append(part)
  }
}

/** From the journal, as many as it has at once: undefined where it has them no more. */
async function leavesFrom(source: RecordSource | undefined, first: number, count: number): Promise<Buffer | undefined> {
  if (source === undefined || first < source.oldest) return undefined
  const batch = await source.read(first, count, PIECE * HASH_BYTES * 32)
  return batch === undefined ? undefined : leafHashes(batch)
}

function faulty({ writer }: Resumed, fault: string): LogBook {
  const book = new LogBook(writer)
  book.fault = fault
  return book
}
