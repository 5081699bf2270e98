import type { EntityFacts } from './entity-graph.ts'
import type { Key } from './key.ts'
import { KeySet } from './key-set.ts'
import type { PolicyIndex } from './policy-index.ts'

/** What an entity is to an index when it is asked about: kept with its facts until the index changes. */
export class AsResource {
  /** Itself and its ancestors, its id and parts of it, where rules name them. */
  readonly keys: KeySet
  readonly #of: EntityFacts
  readonly #stamp: object

  constructor(index: PolicyIndex, facts: EntityFacts) {
    this.#of = facts
    this.#stamp = index.stamp
    const { ancestors, ids } = index.shared
    const keys: Key[] = []
    ancestors.collect(facts, facts.ancestors, keys)
    ids.get(facts.type)?.collect(facts.id, keys)
    if (facts.type !== '*') ids.get('*')?.collect(facts.id, keys)
    this.keys = new KeySet(keys, index.rules.limits.marked)
  }

  /** Whether it still says what the entity is to the index. */
  holds(index: PolicyIndex, facts: EntityFacts): boolean {
    return this.#stamp === index.stamp && this.#of === facts
  }
}
