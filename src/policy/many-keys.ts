import type { BySubject } from './bucket.ts'
import type { Site } from './candidate.ts'
import type { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'

// Of places that were asked about; forgotten all at once.
const REMEMBERED = 1000

/**
 * So many keys that they are not marked one by one. Which of them anything is found by, in a place where decisions look,
 * is found out once and remembered: 10,000 of them are gone through again only after as much has changed.
 */
export class ManyKeys {
  readonly #members: Set<Key>
  readonly #hung: KeyNews
  readonly #atSites = new Map<readonly Site[], Set<Key>>()
  readonly #inMaps = new Map<BySubject, Set<Key>>()
  #seen: number

  constructor(keys: Iterable<Key>, hung: KeyNews) {
    this.#members = new Set(keys)
    this.#hung = hung
    this.#seen = hung.count
  }

  get all(): Iterable<Key> {
    return this.#members
  }

  get size(): number {
    return this.#members.size
  }

  has(key: Key): boolean {
    return this.#members.has(key)
  }

  add(key: Key): void {
    this.#members.add(key)
    this.#lookAgain(key)
  }

  delete(key: Key): void {
    this.#members.delete(key)
    this.#lookAgain(key)
  }

  /** Those by which some rule at these sites is found. */
  at(sites: readonly Site[]): Iterable<Key> {
    this.#catchUp()
    return this.#remembered(this.#atSites, sites, (key) => key.isAt(sites))
  }

  /** Those for which the map has rules. */
  among(map: BySubject): Iterable<Key> {
    this.#catchUp()
    return this.#remembered(this.#inMaps, map, (key) => map.get(key) !== undefined)
  }

  #remembered<K>(places: Map<K, Set<Key>>, place: K, isThere: (key: Key) => boolean): Set<Key> {
    const known = places.get(place)
    if (known !== undefined) return known
    if (places.size >= REMEMBERED) places.clear()
    const keys = new Set<Key>()
    for (const key of this.#members) if (isThere(key)) keys.add(key)
    places.set(place, keys)
    return keys
  }

  #catchUp(): void {
    if (this.#seen === this.#hung.count) return
    const keys = this.#hung.since(this.#seen)
    this.#seen = this.#hung.count
    const places = this.#atSites.size + this.#inMaps.size
    if (keys !== undefined && keys.length * places <= this.#members.size + places) {
      for (const key of keys) if (this.#members.has(key)) this.#lookAgain(key)
    } else {
      this.#atSites.clear()
      this.#inMaps.clear()
    }
  }

  #lookAgain(key: Key): void {
    const isMember = this.#members.has(key)
    for (const [sites, keys] of this.#atSites) {
      if (isMember && key.isAt(sites)) keys.add(key)
      else keys.delete(key)
    }
    for (const [map, keys] of this.#inMaps) {
      if (isMember && map.get(key) !== undefined) keys.add(key)
      else keys.delete(key)
    }
  }
}
