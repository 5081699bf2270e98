import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { v7 } from 'uuid'
import { Failure } from '../failure.ts'
import { Backlog } from './backlog.ts'
import { newFile, newSyncedFile, probeDisk, type SegmentFile, syncDirectory, writeAll } from './disk.ts'
import { FRAME_HEADER, MAX_RECORD_BYTES, type RecordBatch, writeHeader } from './frame.ts'
import { type Segment, Segments, segmentName, unlinkIfThere } from './segments.ts'

export interface JournalOptions {
  /** The folder that holds one folder for each writer. */
  readonly root: string
  /** This start of this process: a UUIDv7, made where none is given. */
  readonly writer?: string
  /** `batch` survives a power cut, `off` only the end of the process. */
  readonly fsync: 'batch' | 'off'
  readonly segmentBytes?: number
  /** How much may lie here before records are refused: to all, or first to tenants that hold more than their share. */
  readonly maxBytes?: number
  /** ms, monotonic. */
  readonly clock?: () => number
  readonly openFile?: (path: string) => Promise<SegmentFile>
  /** How often a disk that failed is tried again while nobody appends. */
  readonly probeMs?: number
}

/** One record, or several of one tenant that are kept together. */
interface Waiting {
  readonly tenant: string
  readonly events: readonly string[]
  /** What they take in the file at most. */
  readonly bytes: number
  /** Without anything but ASCII, as nearly all are: they are written as they are. */
  readonly isAscii: boolean
  readonly resolve: (seq: number) => void
  readonly reject: (reason: Failure) => void
}

const MIB = 1024 * 1024
/** A buffer that grew beyond this for one large group is not kept. */
const KEPT_BUFFER = 4 * MIB
/** `,"tenant_seq":9007199254740991}` */
const SUFFIX_BYTES = 32
/** What an ordinary record takes at most. With less room than this, the next one may be refused. */
const ORDINARY_BYTES = 64 * 1024

/**
 * The log of one writer on this machine's disk. What is appended within one turn of the event loop, or while the
 * write before is in flight, is one group: one write and one sync, and every append of it waits for both.
 *
 * A group is kept whole or not at all. After a failed write or sync nobody knows what the disk holds, and a second
 * sync would report success without having written anything: the file is abandoned where the last group ended, and
 * the next group begins a new file whose name says so. Numbers of a failed group are given out again.
 */
export class Journal {
  readonly writer: string
  readonly #directory: string
  readonly #sync: boolean
  readonly #segmentBytes: number
  readonly #maxBytes: number
  readonly #openFile: (path: string) => Promise<SegmentFile>
  readonly #segments = new Segments()
  readonly #tenantCounts = new Map<string, number>()
  #active: { readonly segment: Segment; readonly file: SegmentFile } | undefined
  #buffer: Buffer = Buffer.allocUnsafe(256 * 1024)
  #waiting: Waiting[] = []
  /** Of those that wait and of the group that is being written. */
  #takenBytes = 0
  readonly #backlog: Backlog
  #keptBytes = 0
  #besides = 0
  #next = 0
  #running: Promise<void> | undefined
  #closed = false
  readonly #probeMs: number
  /** Set while the last write failed: it asks the disk again, since nobody may append for long. */
  #probing: NodeJS.Timeout | undefined
  /** Called after each group that was kept. */
  onConfirmed: () => void = () => {}

  private constructor(options: JournalOptions, writer: string) {
    this.writer = writer
    this.#directory = join(options.root, writer)
    this.#sync = options.fsync === 'batch'
    this.#maxBytes = options.maxBytes ?? 1024 * MIB
    // Space comes free by whole files, so that one file must be a small part of it.
    this.#segmentBytes = Math.min(options.segmentBytes ?? 64 * MIB, Math.ceil(this.#maxBytes / 8))
    this.#openFile = options.openFile ?? (this.#sync ? newSyncedFile : newFile)
    this.#probeMs = options.probeMs ?? 1000
    this.#backlog = new Backlog(this.#maxBytes, options.clock ?? (() => performance.now()))
  }

  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options, options.writer ?? v7())
    await mkdir(journal.#directory, { recursive: true, mode: 0o700 })
    if (journal.#sync) for (const path of [options.root, dirname(options.root)]) await syncDirectory(path)
    return journal
  }

  /** How many records are safe: the number after the last one. */
  get confirmed(): number {
    return this.#next
  }

  /** How many bytes lie here, shipped files that are not yet deleted and other writers' logs included. */
  get bytes(): number {
    return this.#keptBytes + this.#besides
  }

  /** What lies here and is not known to be in the store, with other writers' logs; the age is that of this writer's. */
  get backlog(): { readonly bytes: number; readonly age: number } {
    return { bytes: this.#backlog.bytes + this.#besides, age: this.#backlog.age }
  }

  /** How many bytes the logs take that dead processes have left on the same disk: the limit is on all of it. */
  set besides(bytes: number) {
    this.#besides = bytes
  }

  /**
   * Whether an ordinary record would be kept now, as far as is known: the disk took the last one, and there is room for
   * one of a tenant that was kept lately.
   */
  get isKeeping(): boolean {
    if (this.#probing !== undefined || this.#free < ORDINARY_BYTES) return false
    return this.#backlog.goesOn(ORDINARY_BYTES, this.#free)
  }

  /** Whether three quarters of the room are free: no tenant that holds the rest is near its share. */
  get isRoomy(): boolean {
    return this.#free > 0.75 * this.#maxBytes
  }

  /** How many tenants hold so much that their next ordinary record may be refused. */
  get tenantsRefused(): number {
    return this.#backlog.refused(ORDINARY_BYTES, this.#free)
  }

  get #free(): number {
    return this.#maxBytes - this.#keptBytes - this.#takenBytes - this.#besides
  }

  /** The first record that is still here. */
  get oldest(): number {
    return this.#segments.oldest ?? this.#next
  }

  /**
   * Keeps a record and answers with its number in this log, counted from 0. `event` is the text of a JSON object
   * with at least one member; the record is that text with the member `tenant_seq` added.
   */
  append(tenant: string, event: string): Promise<number> {
    return this.appendAll(tenant, [event])
  }

  /** The same for several that follow each other in the log: all are kept, or none. @returns the first one's number. */
  appendAll(tenant: string, events: readonly string[]): Promise<number> {
    if (this.#closed) return Promise.reject(new Failure('shutting_down', 'This process is stopping.'))
    let characters = 0
    let length = 0
    for (const event of events) {
      const own = Buffer.byteLength(event)
      if (own + FRAME_HEADER + SUFFIX_BYTES > MAX_RECORD_BYTES) return refuse('The audit record is too large.')
      characters += event.length
      length += own
    }
    const bytes = length + events.length * (FRAME_HEADER + SUFFIX_BYTES)
    const free = this.#free
    if (bytes > free) return refuse('The audit journal is full.')
    if (!this.#backlog.allows(tenant, bytes, free)) return refuse("The tenant's share of the audit journal is used up.")
    this.#takenBytes += bytes
    this.#backlog.take(tenant, bytes)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tenant, events, bytes, isAscii: length === characters, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Confirmed records from `fromSeq` on: at least one, undefined if there is none. */
  read(fromSeq: number, maxRecords: number, maxBytes: number): Promise<RecordBatch | undefined> {
    return this.#segments.read(fromSeq, maxRecords, maxBytes)
  }

  /** The records before `seq` are in the store: deletes files that hold none but those. */
  async trim(seq: number): Promise<void> {
    this.#backlog.shipped(seq)
    // One that is full is never written again: kept until the next record comes, it could leave no room for that one.
    const written = this.#isFull ? undefined : this.#active?.segment
    this.#keptBytes -= await this.#segments.trim(seq, written)
  }

  /** Refuses new records, waits for those that are under way. What is here can still be read. */
  async close(): Promise<void> {
    this.#closed = true
    this.#recovered()
    await this.#running
    await this.#active?.file.close()
    this.#active = undefined
  }

  /** Deletes the log, which must be wholly shipped. */
  async remove(): Promise<void> {
    await this.close()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #run(): Promise<void> {
    // After the callbacks of this turn: whatever they append is in the first group.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      await this.#keep(group)
    }
    this.#running = undefined
  }

  async #keep(group: readonly Waiting[]): Promise<void> {
    const first = this.#next
    const bytes = group.reduce((sum, each) => sum + each.bytes, 0)
    const records = group.reduce((sum, each) => sum + each.events.length, 0)
    try {
      const length = this.#encode(group, first, bytes)
      const { segment, file } = await this.#writable()
      await writeAll(file, this.#buffer, length, segment.size)
      if (this.#sync) await file.datasync()
      segment.size += length
      segment.next = first + records
      this.#keptBytes += length
      this.#next = segment.next
      this.#backlog.kept(group, this.#next)
      this.#recovered()
    } catch (cause) {
      this.#abandon(group)
      const failure = new Failure('audit_unavailable', 'The audit record could not be kept.', { cause })
      for (const { reject } of group) reject(failure)
      return
    } finally {
      this.#takenBytes -= bytes
    }
    if (this.#buffer.length > KEPT_BUFFER) this.#buffer = Buffer.allocUnsafe(KEPT_BUFFER)
    let seq = first
    for (const { resolve, events } of group) {
      resolve(seq)
      seq += events.length
    }
    this.onConfirmed()
  }

  /** Lays the group's frames, `bound` bytes at most, into the buffer and says how long they are. */
  #encode(group: readonly Waiting[], first: number, bound: number): number {
    if (this.#buffer.length < bound) this.#buffer = Buffer.allocUnsafe(bound)
    let end = 0
    let seq = first
    for (const { tenant, events, isAscii } of group) {
      let count = this.#tenantCounts.get(tenant) ?? 0
      this.#tenantCounts.set(tenant, count + events.length)
      for (const event of events) {
        const start = end
        end += FRAME_HEADER
        end += this.#buffer.write(event, end, isAscii ? 'latin1' : 'utf8')
        // In the place of the closing brace.
        end += this.#buffer.write(`,"tenant_seq":${++count}}`, end - 1, 'latin1') - 1
        writeHeader(this.#buffer, start, end, seq++)
      }
    }
    return end
  }

  get #isFull(): boolean {
    return this.#active !== undefined && this.#active.segment.size >= this.#segmentBytes
  }

  async #writable(): Promise<{ segment: Segment; file: SegmentFile }> {
    if (this.#active !== undefined && !this.#isFull) return this.#active
    await this.#active?.file.close()
    this.#active = undefined
    // A file that failed before its first group has the name that the next one needs.
    if (this.#segments.last?.first === this.#next) this.#segments.pop()
    const path = join(this.#directory, segmentName(this.#next))
    await unlinkIfThere(path)
    const file = await this.#openFile(path)
    const segment = { path, first: this.#next, next: this.#next, size: 0 }
    this.#segments.push(segment)
    this.#active = { segment, file }
    if (this.#sync) await syncDirectory(this.#directory)
    return this.#active
  }

  #abandon(group: readonly Waiting[]): void {
    for (const { tenant, events, bytes } of group) {
      this.#tenantCounts.set(tenant, (this.#tenantCounts.get(tenant) ?? 0) - events.length)
      this.#backlog.release(tenant, bytes)
    }
    this.#active?.file.close().catch(() => {})
    this.#active = undefined
    if (!this.#closed) this.#probing ??= setTimeout(() => void this.#probe(), this.#probeMs).unref()
  }

  /** A file of its own, so that it is in nobody's way: appends go on, and the first that is kept says more. */
  async #probe(): Promise<void> {
    const took = await probeDisk(this.#directory, this.#openFile, ORDINARY_BYTES)
    if (took) this.#recovered()
    else if (this.#probing !== undefined) this.#probing.refresh()
  }

  #recovered(): void {
    clearTimeout(this.#probing)
    this.#probing = undefined
  }
}

function refuse(message: string): Promise<never> {
  return Promise.reject(new Failure('audit_unavailable', message, { retryAfter: 1 }))
}
