import { HASH_BYTES } from '../merkle.ts'
import type { HashRun } from '../seal/log-tree.ts'
import type { Evidence, StoredRun } from './evidence.ts'

/** One level: what came out of the leaves, what is stored, and how many of the two were held against each other. */
interface Level {
  readonly runs: AsyncIterator<StoredRun>
  computed: Buffer
  stored: Buffer
  compared: number
  ended: boolean
}

/** Holds the stored hashes inside a tree against those that come out of its leaves, level by level. */
export class InnerCheck {
  readonly #evidence: Evidence
  readonly #writer: string
  readonly #bad: (detail: string) => void
  readonly #levels = new Map<number, Level>()
  #faulty = false

  constructor(evidence: Evidence, writer: string, bad: (detail: string) => void) {
    this.#evidence = evidence
    this.#writer = writer
    this.#bad = bad
  }

  /** As far as they are stored: with a checkpoint they are, which comes later. */
  async check(computed: readonly HashRun[]): Promise<void> {
    for (const { level: number, hashes } of computed) {
      const level = this.#level(number)
      level.computed = Buffer.concat([level.computed, hashes])
      if (!this.#faulty) await this.#compare(level)
    }
  }

  /** @param sealed how many leaves are under a checkpoint: what is inside their tree must be there, and nothing else. */
  async end(sealed: number): Promise<void> {
    for (const [number, level] of this.#levels) {
      if (this.#faulty) return
      await this.#compare(level)
      if (level.compared < Math.floor(sealed / 256 ** number)) this.#fault(`hashes of level ${number} are not there`)
      else if (level.stored.length > 0 || (await this.#next(level)))
        this.#fault('it has more of them than there can be')
    }
  }

  async #compare(level: Level): Promise<void> {
    while (level.computed.length > 0) {
      if (level.stored.length === 0 && !(await this.#next(level))) return
      const length = Math.min(level.stored.length, level.computed.length)
      if (!level.stored.subarray(0, length).equals(level.computed.subarray(0, length)))
        return this.#fault('they differ')
      level.compared += length / HASH_BYTES
      level.computed = level.computed.subarray(length)
      level.stored = level.stored.subarray(length)
    }
  }

  async #next(level: Level): Promise<boolean> {
    if (level.ended) return false
    const { value, done } = await level.runs.next()
    level.ended = done === true
    if (value === undefined || level.ended) {
      // What comes now is not stored yet, or never: either is told at the end.
      level.computed = Buffer.alloc(0)
      return false
    }
    if (value.first !== level.compared) this.#fault(`they do not follow each other at ${value.first}`)
    level.stored = value.hashes
    return true
  }

  #level(number: number): Level {
    const known = this.#levels.get(number)
    if (known !== undefined) return known
    const runs = this.#evidence.runs(this.#writer, number)[Symbol.asyncIterator]()
    const made = { runs, computed: Buffer.alloc(0), stored: Buffer.alloc(0), compared: 0, ended: false }
    this.#levels.set(number, made)
    return made
  }

  #fault(detail: string): void {
    if (!this.#faulty) this.#bad(`the hashes inside the stored tree are not those of its leaves: ${detail}`)
    this.#faulty = true
  }
}
