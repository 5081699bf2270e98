import {
  CompactRange,
  foldedRoot,
  HASH_BYTES,
  type Span,
  type Subtree,
  subtreesOf,
  treeRoot,
  wholeSubtrees,
} from '../merkle.ts'
import { LEVEL_HEIGHT } from './log-tree.ts'
import type { HashSpan } from './seal-store.ts'

/** How kept hashes are read: each span's, end to end. */
export type ReadHashes = (spans: readonly HashSpan[]) => Promise<readonly Buffer[]>

/** The hash over each of these spans of a tree, from what is kept of it. */
export async function spanHashes(read: ReadHashes, spans: readonly Span[]): Promise<Buffer[]> {
  const subtrees = spans.map(subtreesOf)
  const hashes = await subtreeHashes(read, subtrees.flat())
  return subtrees.map(({ length }) => foldedRoot(hashes.splice(0, length)))
}

/** The tree as it was at that size, to be gone on with. */
export async function rangeAt(read: ReadHashes, size: number): Promise<CompactRange> {
  return new CompactRange(size, await subtreeHashes(read, wholeSubtrees(size)))
}

async function subtreeHashes(read: ReadHashes, subtrees: readonly Subtree[]): Promise<Buffer[]> {
  if (subtrees.length === 0) return []
  const found = await read(subtrees.map(spanOf))
  return found.map((hashes) => treeRoot(cut(hashes)))
}

/** What is kept of a subtree: 1 to 128 hashes of the highest level that is in it. */
function spanOf({ height, index }: Subtree): HashSpan {
  const level = Math.floor(height / LEVEL_HEIGHT)
  const count = 2 ** (height % LEVEL_HEIGHT)
  return { level, first: index * count, count }
}

export function* cut(hashes: Buffer): Generator<Buffer> {
  for (let at = 0; at < hashes.length; at += HASH_BYTES) yield hashes.subarray(at, at + HASH_BYTES)
}
