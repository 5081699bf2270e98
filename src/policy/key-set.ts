import type { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'
import { ManyKeys } from './many-keys.ts'

const NONE: readonly never[] = Object.freeze([])

/**
 * Keys that hold together, whenever an entity is asked about. Few are simply gone through and marked by each decision. Of
 * many (10,000 roles, 100 groups) a decision looks only at those by which there is anything to find where it looks.
 */
export class KeySet {
  readonly few: readonly Key[]
  readonly many: readonly ManyKeys[]

  /**
   * `most`: how many are marked. `hung` is told of each key by which something else is found than before. `others` hold
   * beside `keys`; a key may be in more than one of these.
   */
  constructor(keys: readonly Key[], most: number, hung: KeyNews, others: readonly ManyKeys[] = NONE) {
    const areMany = keys.length > most
    this.few = areMany ? NONE : keys
    this.many = areMany ? [new ManyKeys(keys, hung), ...others] : others
  }

  get all(): readonly Key[] {
    return this.many.length === 0 ? this.few : [...this.few, ...this.many.flatMap((keys) => [...keys.all])]
  }

  /** Marks the keys with the number of a decision, where they are few. */
  mark(at: number): void {
    for (const key of this.few) key.heldAt = at
  }

  /** Where they are many: they are not marked. */
  has(key: Key): boolean {
    for (const keys of this.many) if (keys.has(key)) return true
    return false
  }
}
