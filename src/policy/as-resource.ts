import { type EntityFacts, isWithin } from './entity-graph.ts'
import { isIn } from './id-keys.ts'
import type { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'
import { KeySet } from './key-set.ts'
import type { PolicyIndex } from './policy-index.ts'

/**
 * What an entity is to an index when it is asked about: kept with its facts until something changes in the index that
 * concerns it.
 */
export class AsResource {
  /** Itself and its ancestors, its id and parts of it, where rules name them. */
  readonly keys: KeySet
  readonly #of: EntityFacts
  readonly #news: KeyNews
  #seen: number

  constructor(index: PolicyIndex, facts: EntityFacts) {
    this.#of = facts
    const { ancestors, ids, news } = index.shared
    this.#news = news
    this.#seen = news.count
    const keys: Key[] = []
    ancestors.collect(facts, facts.ancestors, keys)
    ids.get(facts.type)?.collect(facts.id, keys)
    if (facts.type !== '*') ids.get('*')?.collect(facts.id, keys)
    this.keys = new KeySet(keys, index.rules.limits.marked, index.rules.hung)
  }

  /** Whether it still says what the entity is to the index. */
  holds(index: PolicyIndex, facts: EntityFacts): boolean {
    if (this.#of !== facts || this.#news !== index.shared.news) return false
    return this.#seen === this.#news.count || this.#catchUp()
  }

  /** Whether nothing that it is made of has changed since. */
  #catchUp(): boolean {
    const keys = this.#news.since(this.#seen)
    if (keys === undefined || keys.length > WORTH_GOING_THROUGH || keys.some((key) => this.#concerns(key))) return false
    this.#seen = this.#news.count
    return true
  }

  #concerns(key: Key): boolean {
    if (key.kind === 'ancestor') return isWithin(this.#of, { type: key.type, id: key.text })
    return key.kind === 'id' && (key.type === this.#of.type || key.type === '*') && isIn(key, this.#of.id)
  }
}

// To make it anew takes about as long.
const WORTH_GOING_THROUGH = 64
