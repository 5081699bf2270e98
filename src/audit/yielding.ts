/** Records a second: more than one process ships, so that a slow moment of the database is not taken for a burst. */
const BURST = 30_000
const BATCH_EVERY_MS = 1000
const LONGEST_MS = 10_000
const FORBIDDEN_MS = 60_000

interface Moment {
  readonly at: number
  readonly came: number
  readonly shipped: number
}

/**
 * When shipping yields to answering. Where twice as many records come as are shipped, and more than `BURST`, the backlog
 * grows whatever is done: then the processor answers, and one batch a second is shipped, so that checkpoints go on. For
 * 10 s altogether until shipping has caught up, and not within a minute of somebody's waiting for a record to be shipped.
 */
export class Yielding {
  readonly #batch: number
  readonly #clock: () => number
  #last: Moment | undefined
  #yields = false
  /** When the last batch was shipped. */
  #batchAt = 0
  #leftMs = LONGEST_MS
  #forbiddenUntil = 0

  /** @param batch how many records are shipped at once. @param clock in ms, which only goes forward. */
  constructor(batch: number, clock = () => performance.now()) {
    this.#batch = batch
    this.#clock = clock
  }

  /** Somebody waits for a record to be shipped. */
  forbid(): void {
    this.#forbiddenUntil = this.#clock() + FORBIDDEN_MS
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
    if (this.#yields) this.#leftMs -= now.at - last.at
    if (came - shipped < this.#batch) this.#leftMs = LONGEST_MS
    if (shipped > last.shipped) this.#batchAt = now.at
    this.#yields = isBurst(last, now) && now.at - this.#batchAt < BATCH_EVERY_MS && this.#mayYield(now)
    return this.#yields
  }

  #mayYield({ at, came, shipped }: Moment): boolean {
    return came - shipped >= 2 * this.#batch && this.#leftMs > 0 && at >= this.#forbiddenUntil
  }
}

function isBurst(last: Moment, now: Moment): boolean {
  const came = now.came - last.came
  return came > ((now.at - last.at) * BURST) / 1000 && came >= 2 * (now.shipped - last.shipped)
}
