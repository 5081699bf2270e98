import type { SealedSize } from '../checkpoint.ts'
import { CompactRange, HASH_BYTES } from '../merkle.ts'
import { type HashRun, LogTree } from './log-tree.ts'

/** A checkpoint that was signed, and what it told. */
export interface Signed extends SealedSize {
  readonly note: string
  readonly final: boolean
}

/**
 * What is known of one writer's log: the tree over the records that are in the store, and what was signed of it.
 * The leaves come from the bytes that this machine's journal holds, never from what the store gives back.
 */
export class LogBook {
  readonly writer: string
  readonly #tree: LogTree
  /** Checkpoints that the log must still come to: the store was put back behind them. */
  readonly #ahead: SealedSize[]
  /** Leaves that were handed to the store, which has not answered yet. */
  #sent: { readonly first: number; readonly leaves: Buffer } | undefined
  #inner: HashRun[] = []
  /** The last checkpoint that is kept; it may be of an earlier process. */
  sealed: (SealedSize & { readonly final: boolean }) | undefined
  /** The known logs as the last checkpoint told them; undefined: not known, so the next one tells them all. */
  told: ReadonlyMap<string, SealedSize> | undefined
  /** One of which it is not known whether it was kept. */
  unsure: Signed | undefined
  /** Why nothing is signed any more. */
  fault: string | undefined

  constructor(writer: string, range = new CompactRange(), ahead: readonly SealedSize[] = []) {
    this.writer = writer
    this.#tree = new LogTree(range)
    this.#ahead = [...ahead].sort((one, other) => one.size - other.size)
  }

  get size(): number {
    return this.#tree.size
  }

  /** How many records were not under a checkpoint yet. */
  get unsealed(): number {
    return this.size - (this.sealed?.size ?? 0)
  }

  /** Whether a checkpoint of the present size may be signed: a log never goes back behind what was signed. */
  get maySign(): boolean {
    return this.fault === undefined && this.#ahead.length === 0
  }

  root(): Buffer {
    return this.#tree.root()
  }

  /** The hashes inside the tree that no checkpoint has kept. */
  get inner(): readonly HashRun[] {
    this.#inner.push(...this.#tree.takeInner())
    return this.#inner
  }

  /** These were kept with a checkpoint. */
  forget(kept: readonly HashRun[]): void {
    this.#inner = this.#inner.filter((run) => !kept.includes(run))
  }

  /** Leaves that the store is asked to keep from record `first` on. */
  send(first: number, leaves: Buffer): void {
    if (first > this.size) this.fault ??= `records ${this.size} to ${first} were lost before they were sealed`
    this.#sent = { first, leaves }
  }

  /** The store has records up to `position`. @returns whether that can be: it has them from here. */
  settle(position: number): boolean {
    const sent = this.#sent
    this.#sent = undefined
    if (this.fault !== undefined || position === this.size) return true
    if (sent === undefined || position !== sent.first + sent.leaves.length / HASH_BYTES) return false
    this.append(sent.leaves.subarray((this.size - sent.first) * HASH_BYTES))
    return true
  }

  append(leaves: Buffer): void {
    let rest = leaves
    for (let next = this.#ahead[0]; next !== undefined; next = this.#ahead[0]) {
      const upTo = (next.size - this.size) * HASH_BYTES
      if (rest.length < upTo) break
      this.#tree.append(rest.subarray(0, upTo))
      rest = rest.subarray(upTo)
      if (!this.root().equals(next.root)) this.fault ??= `it is not the log that was signed at ${next.size} records`
      this.#ahead.shift()
    }
    this.#tree.append(rest)
  }
}
