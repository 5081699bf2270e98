import { CompactRange, HASH_BYTES } from '../merkle.ts'

/** Of the hashes inside a tree, those over 256 leaves, over 256 of these, and so on are kept: level 1, 2, … */
export const LEVEL_HEIGHT = 8

/** Hashes that stand side by side in a tree: on `level` (0: the leaves), from the `first` of that level on. */
export interface HashRun {
  readonly level: number
  readonly first: number
  readonly hashes: Buffer
}

/** The tree of one log as it grows, with the hashes inside it that are to be kept and are not yet. */
export class LogTree {
  readonly #range: CompactRange
  #kept: { level: number; first: number; hashes: Buffer[] }[] = []

  constructor(range = new CompactRange()) {
    this.#range = range
    range.onWhole = ({ height, index }, hash) => {
      if (height % LEVEL_HEIGHT === 0) this.#keep(height / LEVEL_HEIGHT, index, hash)
    }
  }

  get size(): number {
    return this.#range.size
  }

  root(): Buffer {
    return this.#range.root()
  }

  /** @param leaves hashes, end to end. */
  append(leaves: Buffer): void {
    for (let at = 0; at < leaves.length; at += HASH_BYTES) this.#range.append(leaves.subarray(at, at + HASH_BYTES))
  }

  /** What became whole since this was last asked. */
  takeInner(): HashRun[] {
    const runs = this.#kept.map(({ level, first, hashes }) => ({ level, first, hashes: Buffer.concat(hashes) }))
    this.#kept = []
    return runs
  }

  #keep(level: number, first: number, hash: Buffer): void {
    const run = this.#kept[level - 1]
    if (run === undefined) this.#kept[level - 1] = { level, first, hashes: [hash] }
    else run.hashes.push(hash)
  }
}
