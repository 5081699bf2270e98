interface Batch<T> {
  readonly keys: string[]
  readonly answer: Promise<ReadonlyMap<string, T>>
}

/**
 * One question at a time, for all keys that have come meanwhile: however many ask, they take one connection between
 * them, and none waits behind more than one question.
 */
export class Gathered<T> {
  readonly #ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>
  #next: Batch<T> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(ask: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
    this.#ask = ask
  }

  async get(key: string): Promise<T | undefined> {
    this.#next ??= this.#begin()
    this.#next.keys.push(key)
    return (await this.#next.answer).get(key)
  }

  #begin(): Batch<T> {
    const keys: string[] = []
    const answer = this.#last.then(() => {
      this.#next = undefined
      return this.#ask(keys)
    })
    this.#last = answer.catch(() => {})
    return { keys, answer }
  }
}
