import { hashOf } from './hash.ts'

// A map of as many entries takes about 0.03 ms to grow, and 0.3 ms to divide.
const ONE_MAP = 2048
const MAPS = 512

/**
 * A map that stays quick to change when it is large. JavaScript's own doubles by putting every entry in a new place, in
 * one go: 100 ms and more for a million. This one divides into many small ones, none of which takes long.
 */
export class WideMap<K, V> {
  readonly #hash: (key: K) => number
  #maps: Map<K, V>[] = [new Map()]
  #size = 0

  constructor(hash: (key: K) => number) {
    this.#hash = hash
  }

  get size(): number {
    return this.#size
  }

  get(key: K): V | undefined {
    return this.#mapOf(key)?.get(key)
  }

  set(key: K, value: V): void {
    const map = this.#mapOf(key)
    if (map === undefined) return
    const before = map.size
    map.set(key, value)
    this.#size += map.size - before
    if (this.#maps.length === 1 && this.#size > ONE_MAP) this.#divide(map)
  }

  delete(key: K): boolean {
    const deleted = this.#mapOf(key)?.delete(key) === true
    if (deleted) this.#size--
    return deleted
  }

  *values(): Generator<V> {
    for (const map of this.#maps) yield* map.values()
  }

  #mapOf(key: K): Map<K, V> | undefined {
    return this.#maps[this.#maps.length === 1 ? 0 : this.#hash(key) & (MAPS - 1)]
  }

  #divide(all: Map<K, V>): void {
    this.#maps = Array.from({ length: MAPS }, () => new Map<K, V>())
    for (const [key, value] of all) this.#mapOf(key)?.set(key, value)
  }
}

/** One by text. */
export function byText<V>(): WideMap<string, V> {
  return new WideMap(hashOf)
}
