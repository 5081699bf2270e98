import { setImmediate as breathe } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Failure } from '../../failure.ts'
import { type OpenedCheckpoint, openCheckpoint } from '../checkpoint.ts'
import { CompactRange, HASH_BYTES, treeRoot } from '../merkle.ts'
import type { VerifierKey } from '../note.ts'
import { cut } from '../seal/subtrees.ts'
import type { Evidence, StoredCheckpoint } from './evidence.ts'

/** Leaves under one hash of level 1. */
const BLOCK = 256
/** Leaves are read so many at once: 128 KiB. */
const CHUNK = 16 * BLOCK
/** Of all logs together: 8 MiB. */
const CHUNKS = 64

/** A log's tree, as far as its last checkpoint goes: what was signed, and the hashes of level 1 under it. */
export interface SealedTree {
  readonly checkpoint: OpenedCheckpoint
  readonly note: string
  readonly blocks: Buffer
}

/**
 * Leaf hashes of which it is known that they are under a signed checkpoint: a log's hashes of level 1 are held against
 * its last checkpoint when it is first asked for, and each block of leaves against these when it is read.
 */
export class SealedLeaves {
  readonly #evidence: Evidence
  readonly #keys: readonly VerifierKey[]
  readonly #trees = new Map<string, Promise<SealedTree | { readonly fault: string } | undefined>>()
  readonly #chunks = new LRUCache<string, Chunk>({ max: CHUNKS })

  constructor(evidence: Evidence, keys: readonly VerifierKey[]) {
    this.#evidence = evidence
    this.#keys = keys
  }

  /** What is signed of a log; undefined: nothing is. */
  tree(writer: string): Promise<SealedTree | { readonly fault: string } | undefined> {
    const known = this.#trees.get(writer)
    if (known !== undefined) return known
    const tree = this.#openTree(writer)
    this.#trees.set(writer, tree)
    return tree
  }

  /** The leaf at that place of a log that has `position` of them; or why what is there can't be trusted. */
  async at(writer: string, seq: number, position: number): Promise<Buffer | { readonly fault: string }> {
    const first = seq - (seq % CHUNK)
    const key = `${writer} ${first}`
    const chunk = this.#chunks.get(key) ?? (await this.#read(writer, first, Math.min(CHUNK, position - first)))
    this.#chunks.set(key, chunk)
    const at = (seq - first) * HASH_BYTES
    return chunk.fault === undefined ? chunk.hashes.subarray(at, at + HASH_BYTES) : { fault: chunk.fault }
  }

  async #openTree(writer: string): Promise<SealedTree | { fault: string } | undefined> {
    const last = await this.#evidence.lastCheckpoint(writer)
    if (last === undefined) return undefined
    const checkpoint = readCheckpoint(last, this.#keys)
    if ('fault' in checkpoint) return checkpoint
    const { size } = checkpoint
    const count = Math.floor(size / BLOCK)
    try {
      const [blocks = none, tail = none] = await this.#evidence.hashes(writer, [
        { level: 1, first: 0, count },
        { level: 0, first: count * BLOCK, count: size % BLOCK },
      ])
      const upper = new CompactRange()
      for (const block of cut(blocks)) {
        upper.append(block)
        // A log may have very many, and others wait for this thread.
        if (upper.size % CHUNK === 0) await breathe()
      }
      const range = new CompactRange(count * BLOCK, upper.hashes)
      for (const leaf of cut(tail)) range.append(leaf)
      if (!range.root().equals(checkpoint.root))
        return { fault: `the stored tree is not the one signed at ${size} records` }
      return { checkpoint, note: last.note, blocks }
    } catch (error) {
      return { fault: faultOf(error) }
    }
  }

  async #read(writer: string, first: number, count: number): Promise<Chunk> {
    const tree = await this.tree(writer)
    if (tree !== undefined && 'fault' in tree) return { hashes: none, fault: tree.fault }
    try {
      const [hashes = none] = await this.#evidence.hashes(writer, [{ level: 0, first, count }])
      return { hashes, fault: tree === undefined ? undefined : faultInBlocks(tree, first, hashes) }
    } catch (error) {
      return { hashes: none, fault: faultOf(error) }
    }
  }
}

interface Chunk {
  readonly hashes: Buffer
  readonly fault: string | undefined
}

const none = Buffer.alloc(0)

/** Held against its row: the columns are what is asked for, the note is what is signed. */
export function readCheckpoint(
  row: StoredCheckpoint,
  keys: readonly VerifierKey[],
): OpenedCheckpoint | { readonly fault: string } {
  const opened = openCheckpoint(row.note, keys)
  if ('fault' in opened) return { fault: `a checkpoint at ${row.size} records is not sound: ${opened.fault}` }
  const { writer, size, final, root } = opened
  const isSame = writer === row.writer && size === row.size && final === row.final && root.equals(row.root)
  return isSame ? opened : { fault: `a checkpoint at ${row.size} records is stored as one that it is not` }
}

/** Whole blocks only: the leaves after the last one were held against the checkpoint itself. */
function faultInBlocks({ blocks }: SealedTree, first: number, hashes: Buffer): string | undefined {
  for (let at = 0; at + BLOCK * HASH_BYTES <= hashes.length; at += BLOCK * HASH_BYTES) {
    const index = first / BLOCK + at / (BLOCK * HASH_BYTES)
    const sealed = blocks.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
    if (sealed.length === 0) break
    const stored = treeRoot(cut(hashes.subarray(at, at + BLOCK * HASH_BYTES)))
    if (!stored.equals(sealed)) return `the leaves from ${index * BLOCK} on are not those that were sealed`
  }
  return undefined
}

export function faultOf(error: unknown): string {
  if (error instanceof Failure && error.code === 'internal') return error.message
  throw error
}
