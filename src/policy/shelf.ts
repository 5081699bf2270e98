import type { Pattern } from './pattern.ts'

export interface Entry<V> {
  readonly pattern: Pattern
  value: V
}

// As many are looked through; more are found by their text.
const FEW = 16

/** The patterns that share one literal, with what is filed under each: a list to go over, and a map once it is long. */
export class Shelf<V> {
  /** The last look-up that came by: it looks at a shelf once. */
  seenAt = 0
  readonly entries: Entry<V>[] = []
  #places: Map<string, number> | undefined

  get(text: string): V | undefined {
    return this.entries[this.#placeOf(text)]?.value
  }

  put(pattern: Pattern, value: V): void {
    const there = this.entries[this.#placeOf(pattern.text)]
    if (there !== undefined) {
      there.value = value
      return
    }
    this.entries.push({ pattern, value })
    if (this.#places !== undefined) this.#places.set(pattern.text, this.entries.length - 1)
    else if (this.entries.length > FEW)
      this.#places = new Map(this.entries.map((entry, at) => [entry.pattern.text, at]))
  }

  remove(text: string): void {
    const at = this.#placeOf(text)
    const last = at === -1 ? undefined : this.entries.pop()
    if (last === undefined) return
    this.#places?.delete(text)
    if (at === this.entries.length) return
    this.entries[at] = last
    this.#places?.set(last.pattern.text, at)
  }

  #placeOf(text: string): number {
    if (this.#places !== undefined) return this.#places.get(text) ?? -1
    for (let at = 0; at < this.entries.length; at++) if (this.entries[at]?.pattern.text === text) return at
    return -1
  }
}
