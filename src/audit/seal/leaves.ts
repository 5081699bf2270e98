import type { RecordBatch } from '../frame.ts'
import { HASH_BYTES, leafHash } from '../merkle.ts'

/** The leaf hashes of the records, end to end. */
export function leafHashes({ bytes, offsets, lengths }: RecordBatch): Buffer {
  const hashes = Buffer.allocUnsafe(offsets.length * HASH_BYTES)
  for (const [index, offset] of offsets.entries()) {
    leafHash(bytes.subarray(offset, offset + (lengths[index] ?? 0))).copy(hashes, index * HASH_BYTES)
  }
  return hashes
}
