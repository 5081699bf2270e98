import type { BySubject } from './bucket.ts'
import type { Site } from './candidate.ts'
import type { Key } from './key.ts'

// Of places that were asked about; forgotten all at once.
const REMEMBERED = 1000

/**
 * Keys that hold together, whenever an entity is asked about. Few are simply gone through and marked by each decision. Of
 * many (10,000 roles, 100 groups) a decision looks only at those by which there is anything to find where it looks:
 * which they are is found out once, and kept.
 */
export class KeySet {
  /** Each once. */
  readonly all: readonly Key[]
  readonly #isLarge: boolean
  #members: ReadonlySet<Key> | undefined
  #atSites: Map<readonly Site[], readonly Key[]> | undefined
  #inMaps: Map<BySubject, readonly Key[]> | undefined

  /** `few`: how many are marked. */
  constructor(keys: readonly Key[], few: number) {
    this.all = keys
    this.#isLarge = keys.length > few
  }

  /** Marks the keys with the number of a decision, where they are few. */
  mark(at: number): void {
    if (!this.#isLarge) for (const key of this.all) key.heldAt = at
  }

  /** Where they are many: they are not marked. */
  has(key: Key): boolean {
    if (!this.#isLarge) return false
    this.#members ??= new Set(this.all)
    return this.#members.has(key)
  }

  /** Those by which some rule at these sites is found, or more. */
  at(sites: readonly Site[]): readonly Key[] {
    if (!this.#isLarge) return this.all
    this.#atSites ??= new Map()
    return remembered(this.#atSites, sites, () => this.all.filter((key) => key.isAt(sites)))
  }

  /** Those for which the map has rules, or more. */
  among(map: BySubject): readonly Key[] {
    if (!this.#isLarge) return this.all
    this.#inMaps ??= new Map()
    return remembered(this.#inMaps, map, () => this.all.filter((key) => map.get(key) !== undefined))
  }
}

function remembered<K>(map: Map<K, readonly Key[]>, key: K, find: () => readonly Key[]): readonly Key[] {
  const known = map.get(key)
  if (known !== undefined) return known
  if (map.size >= REMEMBERED) map.clear()
  const keys = find()
  map.set(key, keys)
  return keys
}
