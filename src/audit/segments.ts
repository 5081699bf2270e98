import { open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type ParsedFrames, parseFrames, type RecordBatch } from './frame.ts'

/** One file of a log: records `first` up to but not including `next`, in its first `size` bytes. */
export interface Segment {
  readonly path: string
  readonly first: number
  next: number
  size: number
}

/** Records that are gone: a file in the middle of a log ends at `from`, and the next one begins at `to`. */
export interface Damage {
  readonly path: string
  readonly from: number
  readonly to: number
}

export interface Recovered {
  readonly segments: Segments
  readonly damages: readonly Damage[]
  /** Bytes after the last sound frame: a write that never finished, whose answers were never given. */
  readonly tornBytes: number
}

const SCAN_BYTES = 4 * 1024 * 1024
const NAME = /^(\d{16})\.log$/

export function segmentName(first: number): string {
  return `${String(first).padStart(16, '0')}.log`
}

/** The files of one log, in order. Only what is confirmed is read: a file may be longer than its `size`. */
export class Segments {
  readonly #list: Segment[]
  /** Where the reader stopped last, so that reading on does not scan. */
  #cursor: { segment: Segment; seq: number; offset: number } | undefined

  constructor(list: Segment[] = []) {
    this.#list = list
  }

  get bytes(): number {
    return this.#list.reduce((sum, segment) => sum + segment.size, 0)
  }

  /** The first record that is still here; undefined when there is no file. */
  get oldest(): number | undefined {
    return this.#list[0]?.first
  }

  /** The number after the last record. */
  get next(): number {
    return this.#list.at(-1)?.next ?? 0
  }

  get last(): Segment | undefined {
    return this.#list.at(-1)
  }

  push(segment: Segment): void {
    this.#list.push(segment)
  }

  /** Takes the last file out of the log, as it holds no record. */
  pop(): void {
    this.#list.pop()
  }

  /** Records from `fromSeq` on, at least one, from one file; undefined when there is none. */
  async read(fromSeq: number, maxRecords: number, maxBytes: number): Promise<RecordBatch | undefined> {
    const segment = this.#list.find((one) => one.first <= fromSeq && fromSeq < one.next)
    if (segment === undefined) return undefined
    const cursor = this.#cursor?.segment === segment && this.#cursor.seq <= fromSeq ? this.#cursor : undefined
    let { seq, offset } = cursor ?? { seq: segment.first, offset: 0 }
    const file = await open(segment.path, 'r')
    try {
      while (true) {
        const wanted = seq < fromSeq ? fromSeq - seq : Math.min(maxRecords, segment.next - seq)
        const batch = await readFrames(file, { seq, offset, available: segment.size - offset }, wanted, maxBytes)
        if (batch.consumed === 0) throw new Error(`record ${seq} in ${segment.path} is damaged`)
        const done = seq === fromSeq
        seq += batch.offsets.length
        offset += batch.consumed
        this.#cursor = { segment, seq, offset }
        if (done) return batch
      }
    } finally {
      await file.close()
    }
  }

  /** Deletes the files whose records all stand before `seq`, but for `active`, and says how many bytes that freed. */
  async trim(seq: number, active: Segment | undefined): Promise<number> {
    let freed = 0
    for (let oldest = this.#list[0]; oldest !== undefined; oldest = this.#list[0]) {
      if (oldest === active || oldest.next > seq) break
      await unlinkIfThere(oldest.path)
      this.#list.shift()
      freed += oldest.size
    }
    return freed
  }
}

/**
 * Reads a log that a process left behind. A frame that is not sound ends the log if it is in the last file (a torn
 * write). In an earlier one it is where that file was abandoned, if the next one goes on from there; else damage.
 */
export async function recoverSegments(directory: string): Promise<Recovered> {
  const names = (await readdir(directory)).filter((name) => NAME.test(name)).sort()
  const list: Segment[] = []
  const damages: Damage[] = []
  for (const [index, name] of names.entries()) {
    const path = join(directory, name)
    const following = names[index + 1]
    const to = following === undefined ? undefined : firstOf(following)
    const segment = await scan({ path, first: firstOf(name), next: firstOf(name), size: 0 }, to ?? Infinity)
    list.push(segment)
    if (to !== undefined && segment.next < to) damages.push({ path, from: segment.next, to })
  }
  const last = list.at(-1)
  const tornBytes = last === undefined ? 0 : (await stat(last.path)).size - last.size
  return { segments: new Segments(list), damages, tornBytes }
}

export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}

function firstOf(name: string): number {
  return Number(name.slice(0, 16))
}

/** Finds where the sound frames of a file end, at record `limit` at the latest. */
async function scan(segment: Segment, limit: number): Promise<Segment> {
  const file = await open(segment.path, 'r')
  try {
    const { size } = await file.stat()
    while (segment.next < limit) {
      const place = { seq: segment.next, offset: segment.size, available: size - segment.size }
      const frames = await readFrames(file, place, limit - segment.next, SCAN_BYTES)
      if (frames.consumed === 0) break
      segment.next += frames.offsets.length
      segment.size += frames.consumed
    }
    return segment
  } finally {
    await file.close()
  }
}

interface Place {
  readonly seq: number
  readonly offset: number
  /** How many bytes from `offset` on may be read. */
  readonly available: number
}

/** Reads what sound frames stand in the next `maxBytes`: at least one, however long, if there is one. */
async function readFrames(file: Readable, place: Place, maxRecords: number, maxBytes: number): Promise<ParsedFrames> {
  let length = Math.min(maxBytes, place.available)
  while (true) {
    const chunk = await readChunk(file, place.offset, length)
    const frames = parseFrames(chunk, place.seq, maxRecords)
    const longer = frames.consumed === 0 && frames.end === 'cut' && frames.needed <= place.available
    if (!longer || chunk.length < length) return frames
    length = frames.needed
  }
}

interface Readable {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
}

async function readChunk(file: Readable, position: number, length: number): Promise<Buffer> {
  const chunk = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(chunk, filled, length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return chunk.subarray(0, filled)
}
