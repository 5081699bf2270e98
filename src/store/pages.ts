import { isTimeout } from './database.ts'

const SLOW_MS = 300
const FAST_MS = 100

/**
 * How many rows a page has. A page is one statement, and a statement has a deadline: on a busy database, or where rows
 * are large, pages become smaller, so that a table of any size can be read.
 */
export class PageSize {
  readonly #most: number
  #rows: number

  constructor(first: number, most: number) {
    this.#rows = first
    this.#most = most
  }

  async read<T>(page: (rows: number) => Promise<T>): Promise<T> {
    for (;;) {
      const began = performance.now()
      try {
        const read = await page(this.#rows)
        this.#learn(performance.now() - began)
        return read
      } catch (error) {
        if (!isTimeout(error) || this.#rows === 1) throw error
        this.#rows = Math.ceil(this.#rows / 8)
      }
    }
  }

  #learn(ms: number): void {
    if (ms > SLOW_MS) this.#rows = Math.ceil(this.#rows / 2)
    else if (ms < FAST_MS) this.#rows = Math.min(this.#rows * 2, this.#most)
  }
}

/** The same items; the next one is on its way while its reader is busy with one. */
export async function* ahead<T>(items: AsyncIterator<T>): AsyncGenerator<T, void, undefined> {
  let coming = items.next()
  try {
    for (;;) {
      const { done, value } = await coming
      if (done === true) return
      coming = items.next()
      // Who stops reading never asks for it.
      coming.catch(() => undefined)
      yield value
    }
  } finally {
    await items.return?.()
  }
}
