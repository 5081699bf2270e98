import type { Key } from './key.ts'

// Whoever is further behind starts anew, which then takes less than to go through all of it.
const KEPT = 256

/**
 * What became of keys of late, in order. What is made of an index is kept over its changes by this: it goes through what
 * came since it was made, and only what concerns it costs it more than that.
 */
export class KeyNews {
  readonly #latest: (Key | undefined)[] = new Array<Key | undefined>(KEPT).fill(undefined)
  #count = 0
  // What was told before is not worth going through: then something changed that concerns everybody.
  #from = 0

  /** How much has been told. */
  get count(): number {
    return this.#count
  }

  tell(key: Key): void {
    this.#latest[this.#count++ % KEPT] = key
  }

  /** Something changed of which nobody can say whom it concerns. */
  tellEverybody(): void {
    this.#latest.fill(undefined)
    this.#from = ++this.#count
  }

  /** The keys told about since so much had been told; undefined: nobody knows any more. */
  since(count: number): readonly Key[] | undefined {
    if (count < this.#from || this.#count - count > KEPT) return undefined
    const keys: Key[] = []
    for (let at = count; at < this.#count; at++) {
      const key = this.#latest[at % KEPT]
      if (key !== undefined) keys.push(key)
    }
    return keys
  }
}
