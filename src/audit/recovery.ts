import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { validate } from 'uuid'
import type { RecordBatch } from './frame.ts'
import { type Damage, recoverSegments, type Segments } from './segments.ts'
import { type AuditStore, type Log, type RecordSource, Shipper } from './shipper.ts'

export interface RecoveryOptions {
  /** The folder that holds one folder for each writer. */
  readonly root: string
  /** The writer of this process, which is alive; undefined where nobody writes. */
  readonly self: string | undefined
  readonly store: AuditStore
  readonly log: Log
  /** Ends the recovery early; what is not shipped stays. */
  readonly signal?: AbortSignal
  /** This writer's log alone. */
  readonly only?: string
  /** A log whose records are all in the store: deleted, or left to whoever keeps it. */
  readonly shipped?: 'deleted' | 'left'
  /** Ends a log that the store refuses a record of; else it is tried for ever, for whoever may mend the store. */
  readonly refusals?: number
  /** Called twice a second while a log is shipped, and at its end. */
  readonly onProgress?: (progress: Progress) => void
}

export interface Progress {
  readonly writer: string
  /** How many of the log's records are in the store, of how many. */
  readonly shipped: number
  readonly records: number
}

/** What a recovery did to one writer's log. */
export interface RecoveredLog {
  readonly writer: string
  readonly records: number
  /** How many of them this recovery put into the store. */
  readonly shipped: number
  /** Its records are all in the store, the writer is closed and its log deleted, unless it is to be left. */
  readonly complete: boolean
  /** Records that are neither in the store nor readable here: what stands before them was shipped, nothing after. */
  readonly damage: Damage | undefined
}

/**
 * Ships the logs that dead processes left in this directory, each under the writer that wrote it, and closes it.
 * A log that is damaged is shipped up to the damage, reported, and left where it is.
 */
export async function recoverJournals(options: RecoveryOptions, deadlineMs: number): Promise<RecoveredLog[]> {
  const deadline = Date.now() + deadlineMs
  const outcomes: RecoveredLog[] = []
  for (const writer of await leftWriters(options)) {
    if (options.signal?.aborted) break
    outcomes.push(await recoverOne(writer, options, deadline - Date.now()))
  }
  return outcomes
}

/** How many bytes of dead processes' logs are left. */
export async function leftBytes(options: Pick<RecoveryOptions, 'root' | 'self'>): Promise<number> {
  let sum = 0
  for (const writer of await leftWriters(options)) {
    const directory = join(options.root, writer)
    // A log may be done with, and its files gone, while they are counted.
    for (const name of await readdir(directory).catch(() => [])) {
      sum += await stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      )
    }
  }
  return sum
}

async function leftWriters({ root, self, only }: Pick<RecoveryOptions, 'root' | 'self' | 'only'>): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const folders = entries.filter((entry) => entry.isDirectory() && validate(entry.name) && entry.name !== self)
  const writers = folders.map((entry) => entry.name).sort()
  return only === undefined ? writers : writers.filter((writer) => writer === only)
}

async function recoverOne(writer: string, options: RecoveryOptions, deadlineMs: number): Promise<RecoveredLog> {
  const { store, log, signal } = options
  const directory = join(options.root, writer)
  const { segments, damages, tornBytes } = await recoverSegments(directory)
  if (tornBytes > 0) log.warn({ writer, bytes: tornBytes }, 'the last write of a dead process was not finished')
  const { position } = await store.position(writer)
  const damage = damages.find(({ to }) => to > position)
  const source = new LeftLog(writer, directory, segments, damage?.from ?? segments.next, options.shipped ?? 'deleted')
  await store.adopt(source)
  const shipper = new Shipper({ source, store, log })
  if (damage !== undefined) {
    log.error({ writer, damage }, 'a journal is damaged: its records from here on are not shipped')
  }
  const giveUp = () => void shipper.drain(0)
  signal?.addEventListener('abort', giveUp, { once: true })
  if (signal?.aborted) giveUp()
  const watching = watch(shipper, source, options)
  const shipping = damage === undefined ? shipper.stop(deadlineMs) : shipper.drain(deadlineMs).then(() => false)
  const complete = await shipping.finally(() => {
    watching.end()
    signal?.removeEventListener('abort', giveUp)
  })
  const records = source.confirmed
  const outcome = { writer, records, shipped: Math.max(0, shipper.shipped - position), complete, damage }
  if (damage === undefined) log.info({ writer, records, complete }, 'recovered the journal of a dead process')
  return outcome
}

const WATCH_MS = 500

function watch(shipper: Shipper, { writer, confirmed }: LeftLog, { onProgress, refusals }: RecoveryOptions) {
  const tell = () => onProgress?.({ writer, shipped: shipper.shipped, records: confirmed })
  const timer = setInterval(() => {
    tell()
    if (refusals !== undefined && shipper.refusals >= refusals) void shipper.drain(0)
  }, WATCH_MS)
  return {
    end() {
      clearInterval(timer)
      tell()
    },
  }
}

/** The log of a process that is no more. */
class LeftLog implements RecordSource {
  readonly writer: string
  readonly confirmed: number
  readonly #directory: string
  readonly #segments: Segments
  readonly #shipped: 'deleted' | 'left'

  constructor(writer: string, directory: string, segments: Segments, confirmed: number, shipped: 'deleted' | 'left') {
    this.writer = writer
    this.confirmed = confirmed
    this.#directory = directory
    this.#segments = segments
    this.#shipped = shipped
  }

  get oldest(): number {
    return this.#segments.oldest ?? this.confirmed
  }

  read(fromSeq: number, maxRecords: number, maxBytes: number): Promise<RecordBatch | undefined> {
    return this.#segments.read(fromSeq, maxRecords, maxBytes)
  }

  /** Nothing is deleted before all is shipped: it is one log, and nobody waits for its space. */
  async trim(): Promise<void> {}

  async remove(): Promise<void> {
    if (this.#shipped === 'deleted') await rm(this.#directory, { recursive: true, force: true })
  }
}
