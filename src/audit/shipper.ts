import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '../failure.ts'
import type { RecordBatch } from './frame.ts'
import { atMost } from './limit.ts'
import { Yielding } from './yielding.ts'

/** Where records go: `store/audit.ts`. */
export interface AuditStore {
  /** How many of the writer's records are kept; makes the writer known if it is not. */
  position(writer: string): Promise<{ position: number; closed: boolean }>
  /**
   * Keeps a batch and moves the writer's position from `from` to the number after the batch's last record, both or
   * neither. False: the position was not `from`. A record that can't be kept ever is Failure('unprocessable').
   * @param leaves the leaf hashes of the records, end to end, where they are known already.
   */
  insert(writer: string, from: number, batch: RecordBatch, leaves?: Buffer): Promise<boolean>
  /** Ends a writer whose records are all kept; false if it was not at `position`. */
  close(writer: string, position: number): Promise<boolean>
  /** Told of a log that a dead process left, before it is shipped. */
  adopt(source: RecordSource): Promise<void>
  ensurePartitions(): Promise<void>
}

/** What is shipped: a journal, or what a process left of one. */
export interface RecordSource {
  readonly writer: string
  readonly confirmed: number
  readonly oldest: number
  read(fromSeq: number, maxRecords: number, maxBytes: number): Promise<RecordBatch | undefined>
  trim(seq: number): Promise<void>
  remove(): Promise<void>
}

export interface Log {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

export interface ShipperOptions {
  readonly source: RecordSource
  readonly store: AuditStore
  readonly log: Log
  readonly maxRecords?: number
  readonly maxBytes?: number
  /**
   * How long a first record waits for others to travel with, at least, unless somebody waits for its commit: longer while
   * many come, since a statement costs as much as a hundred records in it.
   */
  readonly lingerMs?: number
  /** Whether records may stay where they are for a while; by default never. */
  readonly mayYield?: () => boolean
  /** ms, which only go forward. */
  readonly clock?: () => number
}

interface Waiter {
  readonly seq: number
  readonly resolve: () => void
}

const LONGEST_LINGER = 250
/** A batch of fewer was worth no longer wait. */
const MANY = 16
const YIELD_MS = 100
const SHORTEST_PAUSE = 100
const LONGEST_PAUSE = 2000
const DAY = 24 * 60 * 60 * 1000

/**
 * Moves a log's records into the store, each exactly once: a batch and the writer's position move in one transaction,
 * and after any error, a commit whose answer was lost included, the position is read again.
 */
export class Shipper {
  readonly #source: RecordSource
  readonly #store: AuditStore
  readonly #log: Log
  readonly #maxRecords: number
  readonly #maxBytes: number
  readonly #shortestLinger: number
  #lingerMs: number
  readonly #mayYield: () => boolean
  readonly #yielding: Yielding
  readonly #waiters = new Set<Waiter>()
  /** How many records are known to be in the store; what is asked of `shipped`. */
  #shipped = 0
  /** The store's position; undefined when it must be asked. */
  #position: number | undefined
  #batchLimit: number
  #ahead:
    | { readonly from: number; readonly limit: number; readonly batch: Promise<RecordBatch | undefined> }
    | undefined
  #pauseMs = 0
  #partitionsUntil = 0
  #running: Promise<void> | undefined
  #stopAt = Number.POSITIVE_INFINITY
  #stopping = false
  readonly #halt = new AbortController()
  #wake: (() => void) | undefined
  #linger: NodeJS.Timeout | undefined
  #failures = 0
  #refusals = 0

  constructor(options: ShipperOptions) {
    this.#source = options.source
    this.#store = options.store
    this.#log = options.log
    this.#maxRecords = options.maxRecords ?? 4000
    this.#maxBytes = options.maxBytes ?? 4 * 1024 * 1024
    this.#shortestLinger = options.lingerMs ?? 25
    this.#lingerMs = this.#shortestLinger
    this.#mayYield = options.mayYield ?? (() => false)
    this.#yielding = new Yielding(this.#maxRecords, options.clock)
    this.#batchLimit = this.#maxRecords
  }

  /** How many of the log's records are known to be in the store. */
  get shipped(): number {
    return this.#shipped
  }

  /** How many records are safe here and not yet in the store. */
  get backlog(): number {
    return Math.max(0, this.#source.confirmed - this.#shipped)
  }

  /** Batches that could not be kept, for whatever reason, since the start. */
  get failures(): number {
    return this.#failures
  }

  /** Of these, the ones in which the store refused what a record says: the log stands still until somebody looks. */
  get refusals(): number {
    return this.#refusals
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** There is something new to ship. */
  nudge(): void {
    if (this.#wake === undefined) return
    if (this.backlog >= this.#maxRecords) this.#hurry()
    else this.#linger ??= setTimeout(() => this.#hurry(), this.#waiters.size > 0 ? 0 : this.#lingerMs)
  }

  /** Waits until record `seq` is in the store. */
  committed(seq: number, timeoutMs: number): Promise<void> {
    if (seq < this.#shipped) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(
          new Failure('audit_unavailable', 'The audit record did not reach the database in time.', { retryAfter: 1 }),
        )
      }, timeoutMs)
      const waiter: Waiter = {
        seq,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      }
      this.#waiters.add(waiter)
      this.#hurry()
    })
  }

  /**
   * Ships what is left, for `deadlineMs` at most. If that was everything, ends the writer and deletes the log: true.
   * Nothing may be appended any more.
   */
  async stop(deadlineMs: number): Promise<boolean> {
    const until = Date.now() + deadlineMs
    if (!(await this.drain(deadlineMs)) || this.#position === undefined) return false
    return (await atMost(until - Date.now(), this.#end(this.#position))) === true
  }

  async #end(position: number): Promise<boolean> {
    try {
      if (!(await this.#store.close(this.#source.writer, position))) return false
      await this.#source.remove()
      return true
    } catch (error) {
      this.#log.warn({ err: error, writer: this.#source.writer }, 'the audit log is shipped but could not be closed')
      return false
    }
  }

  /** Ships what is left, for `deadlineMs` at most, and ends. True: that was everything. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#stopAt = Math.min(this.#stopAt, Date.now() + deadlineMs)
    this.#stopping = true
    this.#halt.abort()
    this.start()
    this.#hurry()
    if (this.#running !== undefined) await atMost(deadlineMs, this.#running)
    return this.#done()
  }

  async #run(): Promise<void> {
    while (!this.#stopping || (!this.#done() && Date.now() < this.#stopAt)) {
      try {
        await this.#step()
        this.#pauseMs = 0
        await this.#yield()
        if (this.#done() && !this.#stopping) await this.#rest()
      } catch (error) {
        this.#failed(error)
        await this.#backOff()
      }
    }
  }

  #done(): boolean {
    return this.#position !== undefined && this.#position >= this.#source.confirmed
  }

  async #step(): Promise<void> {
    await this.#keepPartitions()
    const from = this.#position ?? (await this.#locate())
    this.#position = from
    this.#advance(from)
    if (this.#done()) return
    const start = Math.max(from, this.#source.oldest)
    const batch = await this.#read(start)
    if (batch === undefined) throw new Failure('internal', `record ${start} is not in the journal`)
    if (start > from) this.#reportGap(from, start)
    this.#readAhead(batch.first + batch.lengths.length)
    const moved = await this.#store.insert(this.#source.writer, from, batch)
    this.#position = moved ? batch.first + batch.lengths.length : undefined
    if (this.#position === undefined) return
    this.#batchLimit = Math.min(this.#maxRecords, this.#batchLimit * 2)
    const longer = batch.lengths.length >= MANY ? Math.min(LONGEST_LINGER, this.#lingerMs * 2) : 0
    this.#lingerMs = Math.max(this.#shortestLinger, longer)
    this.#advance(this.#position)
    await this.#trim(this.#position)
  }

  async #read(from: number): Promise<RecordBatch | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    // Only where nothing went wrong since.
    if (ahead?.from === from && ahead.limit === this.#batchLimit) return ahead.batch
    await ahead?.batch.catch(() => {})
    return this.#source.read(from, this.#batchLimit, this.#maxBytes)
  }

  /** Where a whole batch waits, it is read while the store is busy with the one before. */
  #readAhead(from: number): void {
    const limit = Math.min(this.#maxRecords, this.#batchLimit * 2)
    if (this.#source.confirmed - from < limit) return
    this.#ahead = { from, limit, batch: this.#source.read(from, limit, this.#maxBytes) }
    this.#ahead.batch.catch(() => {})
  }

  async #trim(position: number): Promise<void> {
    try {
      await this.#source.trim(position)
    } catch (error) {
      this.#log.warn({ err: error, writer: this.#source.writer }, 'shipped journal files could not be deleted')
    }
  }

  async #locate(): Promise<number> {
    const { writer, confirmed } = this.#source
    const { position, closed } = await this.#store.position(writer)
    if (closed && position < confirmed) throw new Failure('internal', `writer ${writer} was closed at ${position}`)
    return position
  }

  #advance(position: number): void {
    this.#shipped = Math.min(Math.max(this.#shipped, position), this.#source.confirmed)
    for (const waiter of this.#waiters) {
      if (waiter.seq >= this.#shipped) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  /** A month's partitions are made long before it begins: that it fails once delays nothing. */
  async #keepPartitions(): Promise<void> {
    if (Date.now() < this.#partitionsUntil) return
    this.#partitionsUntil = Date.now() + DAY
    try {
      await this.#store.ensurePartitions()
    } catch (error) {
      this.#partitionsUntil = Date.now() + DAY / 24
      this.#log.warn({ err: error }, 'the audit partitions of the coming months could not be made')
    }
  }

  /** Smaller batches after an error: one that takes too long gets through, one bad record ends up alone. */
  #failed(error: unknown): void {
    this.#failures++
    if (error instanceof Failure && error.code === 'unprocessable') {
      this.#refusals++
      // The database is well: no reason to wait long before the good part of the batch is tried.
      if (this.#batchLimit > 1) this.#pauseMs = 0
    }
    const facts = {
      err: error,
      writer: this.#source.writer,
      seq: this.#position ?? this.#shipped,
      records: this.#batchLimit,
    }
    this.#log.error(facts, 'audit records could not be shipped')
    this.#position = undefined
    this.#batchLimit = Math.max(1, this.#batchLimit >> 1)
  }

  /** Only a database that was put back to an earlier state asks for what was deleted here after it was kept there. */
  #reportGap(from: number, start: number): void {
    const facts = { writer: this.#source.writer, from, to: start }
    this.#log.error(facts, 'the database has lost audit records that it had confirmed')
  }

  /** Until there is something to do. */
  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    clearTimeout(this.#linger)
    this.#wake = undefined
    this.#linger = undefined
    this.#yielding.begins(this.#source.confirmed, this.#shipped)
  }

  #hurry(): void {
    this.#wake?.()
  }

  /** Where more comes than could be both answered and shipped, answers come first, for a while. */
  async #yield(): Promise<void> {
    const { signal } = this.#halt
    const lasts = () => this.#yielding.lasts(this.#source.confirmed, this.#shipped) && this.#mayYield()
    while (!signal.aborted && lasts()) await pause(YIELD_MS, undefined, { signal }).catch(() => {})
  }

  /** New records do not shorten it; a stop does. */
  async #backOff(): Promise<void> {
    this.#pauseMs = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, this.#pauseMs * 2))
    if (this.#stopping) await pause(SHORTEST_PAUSE)
    else await pause(this.#pauseMs, undefined, { signal: this.#halt.signal }).catch(() => {})
  }
}
