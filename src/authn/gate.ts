import { Failure } from '../failure.ts'

interface Queue {
  underWay: number
  readonly waiting: (() => void)[]
}

/** Lets so many through at once under each key, has so many wait, and turns the rest away. */
export class Gate {
  readonly #atOnce: number
  readonly #waiting: number
  readonly #what: string
  readonly #queues = new Map<string, Queue>()

  /** `what` there would be too many of, for whoever is turned away. */
  constructor(limits: { readonly atOnce: number; readonly waiting: number; readonly what: string }) {
    this.#atOnce = limits.atOnce
    this.#waiting = limits.waiting
    this.#what = limits.what
  }

  /** Fails with `throttled` where too many wait already. */
  async with<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { underWay: 0, waiting: [] }
    this.#queues.set(key, queue)
    if (queue.underWay < this.#atOnce) queue.underWay++
    else await this.#turn(queue)
    try {
      return await work()
    } finally {
      this.#leave(key, queue)
    }
  }

  /** Who leaves hands its place over, so that nobody who comes later takes it. */
  #turn({ waiting }: Queue): Promise<void> {
    if (waiting.length >= this.#waiting) {
      throw new Failure('throttled', `too many ${this.#what} at once; try again soon`, { retryAfter: 1 })
    }
    return new Promise((resolve) => {
      waiting.push(resolve)
    })
  }

  #leave(key: string, queue: Queue): void {
    const next = queue.waiting.shift()
    if (next !== undefined) next()
    else if (--queue.underWay === 0) this.#queues.delete(key)
  }
}
