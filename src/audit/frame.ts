import { crc32 } from 'node:zlib'

/**
 * How a record lies in a segment: length of the record (u32), CRC-32 of all that follows (u32), the record's number
 * in its log (u64), the record's bytes. Little endian. No record is empty, so a run of zeros is never a frame.
 */
export const FRAME_HEADER = 16

/** No record is longer: bodies end at 256 KiB, and a length beyond this is damage, not a record. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024

/** Consecutive records as they lie in the log: `bytes` holds them with gaps, at `offsets`, `lengths` long. */
export interface RecordBatch {
  readonly first: number
  readonly bytes: Buffer
  readonly offsets: readonly number[]
  readonly lengths: readonly number[]
}

export interface ParsedFrames extends RecordBatch {
  /** How many bytes the sound frames take. */
  readonly consumed: number
  /** Why it stopped: the records asked for are there, the chunk ends in a frame `needed` bytes long, or a bad frame. */
  readonly end: 'enough' | 'cut' | 'bad'
  readonly needed: number
}

/** Writes the header of the record that already stands at `start + FRAME_HEADER`, up to `end`. */
export function writeHeader(buffer: Buffer, start: number, end: number, seq: number): void {
  buffer.writeUInt32LE(end - start - FRAME_HEADER, start)
  buffer.writeUInt32LE(seq % 0x1_0000_0000, start + 8)
  buffer.writeUInt32LE(Math.floor(seq / 0x1_0000_0000), start + 12)
  buffer.writeUInt32LE(crc32(buffer.subarray(start + 8, end)), start + 4)
}

/** Parses sound frames from the start of `chunk`, the first of which must be record `first`. */
export function parseFrames(chunk: Buffer, first: number, maxRecords: number): ParsedFrames {
  const offsets: number[] = []
  const lengths: number[] = []
  let at = 0
  const stop = (end: ParsedFrames['end'], needed = 0) => {
    return { first, bytes: chunk, offsets, lengths, consumed: at, end, needed }
  }
  while (offsets.length < maxRecords) {
    if (chunk.length - at < FRAME_HEADER) return stop('cut', FRAME_HEADER)
    const length = chunk.readUInt32LE(at)
    if (length === 0 || length > MAX_RECORD_BYTES) return stop('bad')
    const next = at + FRAME_HEADER + length
    if (next > chunk.length) return stop('cut', next - at)
    if (readSeq(chunk, at) !== first + offsets.length) return stop('bad')
    if (crc32(chunk.subarray(at + 8, next)) !== chunk.readUInt32LE(at + 4)) return stop('bad')
    offsets.push(at + FRAME_HEADER)
    lengths.push(length)
    at = next
  }
  return stop('enough')
}

function readSeq(chunk: Buffer, at: number): number {
  return chunk.readUInt32LE(at + 8) + chunk.readUInt32LE(at + 12) * 0x1_0000_0000
}
