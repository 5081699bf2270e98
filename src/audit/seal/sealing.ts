import { Failure } from '../../failure.ts'
import { openCheckpoint, type SealedSize, signCheckpoint, writersRoot } from '../checkpoint.ts'
import type { Signer, VerifierKey } from '../note.ts'
import type { AuditStore, Log, RecordSource } from '../shipper.ts'
import type { CheckpointCopies } from './copies.ts'
import { leafHashes } from './leaves.ts'
import type { LogBook, Signed } from './log-book.ts'
import { resume } from './resume.ts'
import type { SealStore } from './seal-store.ts'

export interface SealingOptions {
  readonly store: AuditStore
  readonly seals: SealStore
  /** Who signs at the moment: keys are rotated. */
  readonly signer: () => Signer
  /** All keys of the deployment, the signer's included. */
  readonly keys: () => readonly VerifierKey[]
  readonly copies: CheckpointCopies
  readonly log: Log
  /** ms since the epoch. */
  readonly clock: () => number
  readonly everyMs?: number
  readonly everyRecords?: number
}

/** The way into the store, with a tree over what goes there. */
export interface Sealing {
  readonly store: AuditStore
  /** Seals what is not sealed yet. */
  seal(): Promise<void>
  stop(): Promise<void>
}

/**
 * Seals the logs that this process ships: its own, and those that dead processes left. A checkpoint covers what is in
 * the database, not what is in the journal alone: so the database never has less than what was signed, and where it
 * has less, that is proof of a loss and no matter of waiting.
 */
export function startSealing(options: SealingOptions): Sealing {
  const sealer = new Sealer(options)
  const timer = setInterval(() => sealer.sealQuietly(), options.everyMs ?? 1000).unref()
  return {
    store: {
      position: (writer) => sealer.position(writer),
      insert: (writer, from, batch) => sealer.insert(writer, from, batch),
      close: (writer, position) => sealer.close(writer, position),
      adopt: (source) => sealer.adopt(source),
      ensurePartitions: () => options.store.ensurePartitions(),
    },
    seal: () => sealer.seal(),
    async stop() {
      clearInterval(timer)
      await sealer.seal().catch((error: unknown) => options.log.warn({ err: error }, 'a last checkpoint is missing'))
    },
  }
}

class Sealer {
  readonly #options: SealingOptions
  readonly #everyRecords: number
  readonly #books = new Map<string, LogBook>()
  /** One checkpoint after the other: each tells of the logs that the one before was about. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: SealingOptions) {
    this.#options = options
    this.#everyRecords = options.everyRecords ?? 10_000
  }

  async position(writer: string): Promise<{ position: number; closed: boolean }> {
    const found = await this.#options.store.position(writer)
    const book = this.#books.get(writer)
    if (book === undefined) await this.#open(writer, found.position, undefined)
    else if (!book.settle(found.position)) await this.#reopen(book, found.position)
    return found
  }

  async insert(writer: string, from: number, batch: Parameters<AuditStore['insert']>[2]): Promise<boolean> {
    const leaves = leafHashes(batch)
    const book = this.#books.get(writer)
    book?.send(batch.first, leaves)
    const moved = await this.#options.store.insert(writer, from, batch, leaves)
    if (moved) book?.settle(batch.first + batch.lengths.length)
    if (book !== undefined && book.unsealed >= this.#everyRecords) this.sealQuietly()
    return moved
  }

  async close(writer: string, position: number): Promise<boolean> {
    const book = this.#books.get(writer)
    if (book?.fault !== undefined) this.#options.log.error({ writer }, 'an audit log ends without a last checkpoint')
    else if (book?.size === position) await this.#inTurn(() => this.#sealOne(book, true))
    const closed = await this.#options.store.close(writer, position)
    if (closed) this.#books.delete(writer)
    return closed
  }

  async adopt(source: RecordSource): Promise<void> {
    const { position } = await this.#options.store.position(source.writer)
    await this.#open(source.writer, position, source)
  }

  seal(): Promise<void> {
    return this.#inTurn(async () => {
      for (const book of this.#books.values()) if (book.unsealed > 0) await this.#sealOne(book, false)
    })
  }

  sealQuietly(): void {
    this.seal().catch((error: unknown) => this.#options.log.warn({ err: error }, 'a checkpoint could not be kept yet'))
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #open(writer: string, position: number, source: RecordSource | undefined): Promise<void> {
    const { seals, copies, keys, log } = this.#options
    const note = await seals.lastNote(writer, position)
    const kept = note === undefined ? undefined : openCheckpoint(note, keys())
    const signed = [kept, copies.last(writer)].flatMap((one) => (one === undefined || 'fault' in one ? [] : [one]))
    const book = await resume(seals, { writer, position, signed, source })
    if (book.fault !== undefined) log.error({ writer, fault: book.fault }, 'an audit log can not be sealed')
    this.#books.set(writer, book)
  }

  /** The store has another number of records than was put there. */
  async #reopen(book: LogBook, position: number): Promise<void> {
    if (position > book.size) {
      throw new Failure('internal', `the database has records of writer ${book.writer} that it never wrote`)
    }
    this.#options.log.error({ writer: book.writer, from: book.size, to: position }, 'the audit log was put back')
    await this.#open(book.writer, position, undefined)
  }

  async #sealOne(book: LogBook, final: boolean): Promise<void> {
    if (book.unsure !== undefined) await this.#settle(book, book.unsure)
    const known = await this.#knownLogs(book)
    if (!book.maySign || book.sealed?.final === true) return
    if (!final && book.unsealed === 0 && book.sealed !== undefined) return
    const own = { writer: book.writer, size: book.size, root: book.root() }
    const inner = [...book.inner]
    const logs = new Map(known).set(book.writer, own)
    const signed: Signed = { ...own, final, note: this.#sign(own, logs, final) }
    const whole = book.told === undefined
    const changes = [...logs.values()].filter(({ writer, size }) => book.told?.get(writer)?.size !== size)
    book.unsure = signed
    await this.#options.seals.keep({ ...signed, whole, changes, inner })
    book.forget(inner)
    await this.#kept(book, signed)
    book.told = logs
  }

  #sign(own: SealedSize, logs: ReadonlyMap<string, SealedSize>, final: boolean): string {
    const at = new Date(this.#options.clock()).toISOString()
    const list = { writers: logs.size, writers_root: writersRoot(logs.values()) }
    return signCheckpoint({ ...own, ...list, at, final }, this.#options.signer())
  }

  /** Nobody knows whether the previous attempt was kept, so the store is asked. */
  async #settle(book: LogBook, attempt: Signed): Promise<void> {
    const note = await this.#options.seals.lastNote(book.writer, attempt.size)
    if (note === attempt.note) {
      book.forget(book.inner.filter((run) => isWithin(run, attempt.size)))
      await this.#kept(book, attempt)
    }
    book.unsure = undefined
    // What it told is not known here any more.
    book.told = undefined
  }

  async #kept(book: LogBook, signed: Signed): Promise<void> {
    const { copies, keys, log } = this.#options
    book.unsure = undefined
    book.sealed = signed
    const checkpoint = openCheckpoint(signed.note, keys())
    if ('fault' in checkpoint) throw new Failure('internal', `a checkpoint that was just signed: ${checkpoint.fault}`)
    log.info({ checkpoint: signed.note }, 'audit checkpoint')
    await copies.append(checkpoint, signed.note).catch((error: unknown) => {
      log.warn({ err: error }, 'a checkpoint could not be copied to the data directory')
    })
  }

  /** The store's word on all logs. One that shrank or vanished is stated at its old size: a verifier misses it. */
  async #knownLogs(book: LogBook): Promise<Map<string, SealedSize>> {
    const logs = new Map(book.told)
    for (const found of await this.#options.seals.knownLogs()) {
      const before = logs.get(found.writer)
      if (before === undefined || before.size <= found.size) logs.set(found.writer, found)
    }
    return logs
  }
}

/** Whether a tree of that size has all these hashes. */
function isWithin({ level, first, hashes }: { level: number; first: number; hashes: Buffer }, size: number): boolean {
  return (first + hashes.length / 32) * 256 ** level <= size
}
