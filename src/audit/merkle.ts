import { hash } from 'node:crypto'

/** Bytes of a hash (SHA-256). */
export const HASH_BYTES = 32

/** The root of a tree without leaves. */
export const EMPTY_ROOT = hash('sha256', '', 'buffer')

/** Leaves `start` up to but not including `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A whole subtree: 2 to the power of `height` leaves, the `index`th of its height. */
export interface Subtree {
  readonly height: number
  readonly index: number
}

// Hashed from one piece: a call of `hash` costs half of what an object with two updates does.
let leafScratch = Buffer.alloc(16 * 1024)
const nodeScratch = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

/** RFC 6962: SHA-256 of 0x00 and the bytes. */
export function leafHash(bytes: Buffer): Buffer {
  const length = bytes.length + 1
  if (leafScratch.length < length) leafScratch = Buffer.alloc(length * 2)
  leafScratch[0] = 0
  bytes.copy(leafScratch, 1)
  return hash('sha256', leafScratch.subarray(0, length), 'buffer')
}

/** RFC 6962: SHA-256 of 0x01, the left and the right hash. */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  left.copy(nodeScratch, 1)
  right.copy(nodeScratch, 1 + HASH_BYTES)
  return hash('sha256', nodeScratch, 'buffer')
}

/** The root over these leaf hashes. */
export function treeRoot(leaves: Iterable<Buffer>): Buffer {
  const range = new CompactRange()
  for (const leaf of leaves) range.append(leaf)
  return range.root()
}

/** The whole subtrees that a tree of so many leaves is made of, from the left, the largest first. */
export function wholeSubtrees(size: number): Subtree[] {
  return subtreesOf({ start: 0, end: size })
}

/** The hash over whole subtrees that stand side by side, the largest first. */
export function foldedRoot(hashes: readonly Buffer[]): Buffer {
  return (
    hashes.reduceRight<Buffer | undefined>(
      (right, left) => (right === undefined ? left : nodeHash(left, right)),
      undefined,
    ) ?? EMPTY_ROOT
  )
}

/**
 * A tree that only grows, as the hashes of the whole subtrees that it is made of: some thirty for any size. All
 * that is known of it is its root, and what it will be when more is appended.
 */
export class CompactRange {
  readonly #hashes: Buffer[]
  #size: number
  /** Told of each subtree that an append made whole, with two leaves or more. */
  onWhole: ((subtree: Subtree, hash: Buffer) => void) | undefined

  /** @param hashes those of `wholeSubtrees(size)`. */
  constructor(size = 0, hashes: readonly Buffer[] = []) {
    this.#size = size
    this.#hashes = [...hashes]
  }

  get size(): number {
    return this.#size
  }

  /** The hashes of the whole subtrees, the largest first. */
  get hashes(): readonly Buffer[] {
    return this.#hashes
  }

  append(leaf: Buffer): void {
    let whole = leaf
    let height = 0
    // Each 1 at the end of the size, in binary, is a whole subtree that this leaf's merges with.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#hashes.pop()
      if (left === undefined) throw new Error(`a compact range of size ${this.#size} has too few hashes`)
      whole = nodeHash(left, whole)
      height++
      this.onWhole?.({ height, index: (rest - 1) / 2 }, whole)
    }
    this.#hashes.push(whole)
    this.#size++
  }

  root(): Buffer {
    return foldedRoot(this.#hashes)
  }
}

/** What an inclusion proof of leaf `index` in a tree of `size` consists of: the hash over each of these. RFC 6962, 2.1.1. */
export function inclusionSpans(index: number, size: number): Span[] {
  const spans: Span[] = []
  let [start, end] = [0, size]
  while (end - start > 1) {
    const middle = start + largestPowerBelow(end - start)
    if (index < middle) {
      spans.unshift({ start: middle, end })
      end = middle
    } else {
      spans.unshift({ start, end: middle })
      start = middle
    }
  }
  return spans
}

/** What a consistency proof between the sizes consists of: the hash over each of these. RFC 6962, 2.1.2. */
export function consistencySpans(from: number, to: number): Span[] {
  if (from === 0 || from === to) return []
  const spans: Span[] = []
  let [start, end] = [0, to]
  while (from < end) {
    const middle = start + largestPowerBelow(end - start)
    if (from <= middle) {
      spans.unshift({ start: middle, end })
      end = middle
    } else {
      spans.unshift({ start, end: middle })
      start = middle
    }
  }
  // Whoever has the old root knows the left edge where the old tree is one whole subtree.
  if (start > 0) spans.unshift({ start, end })
  return spans
}

/** A span of a tree as whole subtrees, the largest first. It must begin where a subtree of its size may begin. */
export function subtreesOf({ start, end }: Span): Subtree[] {
  const subtrees: Subtree[] = []
  let at = start
  while (at < end) {
    const height = floorLog2(end - at)
    const leaves = 2 ** height
    subtrees.push({ height, index: at / leaves })
    at += leaves
  }
  return subtrees
}

/** Whether the proof shows that `leaf` is the leaf `index` of the tree with that size and root. RFC 9162, 2.1.3.2. */
export function isIncluded(leaf: Buffer, index: number, size: number, proof: readonly Buffer[], root: Buffer): boolean {
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes(proof)) return false
  let [node, last, hashed] = [index, size - 1, leaf]
  for (const sibling of proof) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      hashed = nodeHash(sibling, hashed)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)]
    } else {
      hashed = nodeHash(hashed, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && hashed.equals(root)
}

/** Whether the proof shows that the tree of the second size and root only appended to the first. RFC 9162, 2.1.4.2. */
export function isConsistent(
  from: number,
  to: number,
  proof: readonly Buffer[],
  fromRoot: Buffer,
  toRoot: Buffer,
): boolean {
  if (!isSize(from) || !isSize(to) || from > to || !areHashes(proof)) return false
  if (from === to) return proof.length === 0 && fromRoot.equals(toRoot)
  if (from === 0) return proof.length === 0 && fromRoot.equals(EMPTY_ROOT)
  const path = isPowerOfTwo(from) ? [fromRoot, ...proof] : proof
  const [first, ...rest] = path
  if (first === undefined) return false
  let [node, last] = [from - 1, to - 1]
  while (node % 2 === 1) [node, last] = [half(node), half(last)]
  let [old, grown] = [first, first]
  for (const sibling of rest) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      old = nodeHash(sibling, old)
      grown = nodeHash(sibling, grown)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, half(last)]
    } else {
      grown = nodeHash(grown, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  return last === 0 && old.equals(fromRoot) && grown.equals(toRoot)
}

// Sizes go beyond 32 bits, where JavaScript's bit operations end.
const half = (value: number) => Math.floor(value / 2)
const isSize = (value: number) => Number.isSafeInteger(value) && value >= 0
// One of another length would be hashed with what is left of the one before.
const areHashes = (proof: readonly Buffer[]) => proof.every(({ length }) => length === HASH_BYTES)

/** Exact, which Math.log2 is not near the powers of two. */
function floorLog2(value: number): number {
  const high = Math.floor(value / 2 ** 32)
  return high > 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(value)
}

function isPowerOfTwo(value: number): boolean {
  return 2 ** floorLog2(value) === value
}

/** The largest power of two below `count`, which is 2 or more. */
function largestPowerBelow(count: number): number {
  const power = 2 ** floorLog2(count)
  return power === count ? power / 2 : power
}
