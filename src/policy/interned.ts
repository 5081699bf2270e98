import { byText } from './wide-map.ts'

interface Used<V> {
  readonly value: V
  users: number
}

/** Things that many rules share, by their text: each is made once, and kept while something uses it. */
export class Interned<V> {
  readonly #used = byText<Used<V>>()

  get isEmpty(): boolean {
    return this.#used.size === 0
  }

  *values(): Generator<V> {
    for (const { value } of this.#used.values()) yield value
  }

  take(text: string, make: (text: string) => V): V {
    let used = this.#used.get(text)
    if (used === undefined) {
      used = { value: make(text), users: 0 }
      this.#used.set(text, used)
    }
    used.users++
    return used.value
  }

  release(text: string): void {
    const used = this.#used.get(text)
    if (used !== undefined && --used.users === 0) this.#used.delete(text)
  }
}
