import { readdir, rm } from 'node:fs/promises'
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
}

/** What a recovery did to one writer's log. */
export interface RecoveredLog {
  readonly writer: string
  readonly records: number
  /** Its records are all in the store, the writer is closed and its log deleted. */
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

async function leftWriters({ root, self }: RecoveryOptions): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const folders = entries.filter((entry) => entry.isDirectory() && validate(entry.name) && entry.name !== self)
  return folders.map((entry) => entry.name).sort()
}

async function recoverOne(writer: string, options: RecoveryOptions, deadlineMs: number): Promise<RecoveredLog> {
  const { store, log, signal } = options
  const directory = join(options.root, writer)
  const { segments, damages, tornBytes } = await recoverSegments(directory)
  if (tornBytes > 0) log.warn({ writer, bytes: tornBytes }, 'the last write of a dead process was not finished')
  const { position } = await store.position(writer)
  const damage = damages.find(({ to }) => to > position)
  const source = new LeftLog(writer, directory, segments, damage?.from ?? segments.next)
  await store.adopt(source)
  const shipper = new Shipper({ source, store, log })
  signal?.addEventListener('abort', () => shipper.drain(0), { once: true })
  if (signal?.aborted) shipper.drain(0)
  if (damage !== undefined) {
    log.error({ writer, damage }, 'a journal is damaged: its records from here on are not shipped')
    await shipper.drain(deadlineMs)
    return { writer, records: source.confirmed, complete: false, damage }
  }
  const complete = await shipper.stop(deadlineMs)
  log.info({ writer, records: source.confirmed, complete }, 'recovered the journal of a dead process')
  return { writer, records: source.confirmed, complete, damage }
}

/** The log of a process that is no more. */
class LeftLog implements RecordSource {
  readonly writer: string
  readonly confirmed: number
  readonly #directory: string
  readonly #segments: Segments

  constructor(writer: string, directory: string, segments: Segments, confirmed: number) {
    this.writer = writer
    this.confirmed = confirmed
    this.#directory = directory
    this.#segments = segments
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
    await rm(this.#directory, { recursive: true, force: true })
  }
}
