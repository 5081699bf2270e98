/** Records a second: more than one process ships, so that a slow moment of the database is not taken for a burst. */
const BURST = 30_000
/** Between two batches. With a batch's own time, and that of a look at the clock, they are a second apart. */
const BATCH_EVERY_MS = 700
const LONGEST_MS = 10_000

interface Moment {
  readonly at: number
  readonly came: number
  readonly shipped: number
}

/**
 * When shipping yields to answering. Where twice as many records come as are shipped, and more than `BURST`, the backlog
 * grows whatever is done: then the processor answers, and about one batch a second is shipped, so that checkpoints go on.
 * For 10 s, and again once shipping has caught up.
 */
export class Yielding {
  readonly #batch: number
  readonly #clock: () => number
  #last: Moment | undefined
  /** When the last batch was shipped. */
  #batchAt = 0
  /** When it yielded first since shipping had caught up. */
  #since: number | undefined

  /** @param batch how many records are shipped at once. @param clock in ms, which only goes forward. */
  constructor(batch: number, clock = () => performance.now()) {
    this.#batch = batch
    this.#clock = clock
  }

  /** Shipping begins anew, after a rest. */
  begins(came: number, shipped: number): void {
    this.#last = { at: this.#clock(), came, shipped }
  }

  /**
   * Whether the next batch waits; to be asked after each, and again as long as it is true.
   * @param came how many records there have been. @param shipped how many of these are.
   */
  lasts(came: number, shipped: number): boolean {
    const now = { at: this.#clock(), came, shipped }
    const last = this.#last ?? now
    this.#last = now
    if (came - shipped < this.#batch) this.#since = undefined
    if (shipped > last.shipped) this.#batchAt = now.at
    if (!isBurst(last, now) || came - shipped < 2 * this.#batch) return false
    this.#since ??= now.at
    return now.at - this.#since < LONGEST_MS && now.at - this.#batchAt < BATCH_EVERY_MS
  }
}

function isBurst(last: Moment, now: Moment): boolean {
  const came = now.came - last.came
  return came > ((now.at - last.at) * BURST) / 1000 && came >= 2 * (now.shipped - last.shipped)
}
