/** ms of work between two chances for everybody else: a request that comes meanwhile waits no longer for it. */
const SLICE_MS = 4

/**
 * Long work of the whole process, cut into slices: between any two of them the event loop serves whoever waits. There is
 * one slice at a time, so that many tenants which are loaded at once hold up the others no longer than one does.
 */
export class Slices {
  /** How many slices there were. */
  count = 0
  readonly #ms: number
  readonly #clock: () => number
  readonly #waiting: (() => void)[] = []
  #end = Number.NEGATIVE_INFINITY

  constructor(ms = SLICE_MS, clock = () => performance.now()) {
    this.#ms = ms
    this.#clock = clock
  }

  /** To be asked after each piece of work; then `next` is to be awaited. */
  get spent(): boolean {
    return this.#clock() >= this.#end
  }

  /** Comes back in a later turn of the event loop, at the beginning of a slice. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) setImmediate(() => this.#begin())
    })
  }

  #begin(): void {
    this.count++
    this.#end = this.#clock() + this.#ms
    this.#waiting.shift()?.()
    if (this.#waiting.length > 0) setImmediate(() => this.#begin())
  }
}
