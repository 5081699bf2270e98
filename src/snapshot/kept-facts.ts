import type { EntityFacts, EntityNode, Lookup } from '../policy/entity-graph.ts'

interface Kept {
  readonly facts: EntityFacts
  /** Of the ancestors, as the facts were gathered from them. */
  readonly above: readonly EntityNode[]
  /** When they were last seen to be what is in memory. */
  seen: number
}

/**
 * Facts that were gathered, as long as they are what would be gathered now: after each revision, what they were gathered
 * from is compared once with what is in memory. So what a write is not about stays, and nobody has to be told what it is.
 *
 * The latest few are kept, and of those before them as many again: what is used goes over to the latest.
 */
export class KeptFacts {
  readonly #few: number
  #latest = new Map<EntityNode, Kept>()
  #before = new Map<EntityNode, Kept>()
  #revisions = 0

  constructor(few: number) {
    this.#few = few
  }

  /** There is another revision: entities in memory may have changed. */
  doubt(): void {
    this.#revisions++
  }

  clear(): void {
    this.#latest.clear()
    this.#before.clear()
  }

  get(node: EntityNode, lookup: Lookup): EntityFacts | undefined {
    const kept = this.#latest.get(node) ?? this.#bringOver(node)
    if (kept === undefined) return undefined
    if (kept.seen !== this.#revisions) {
      if (!kept.above.every((one) => isWhatIsHeld(one, lookup))) return undefined
      kept.seen = this.#revisions
    }
    return kept.facts
  }

  set(node: EntityNode, facts: EntityFacts, above: readonly EntityNode[]): void {
    if (this.#latest.size >= this.#few) {
      this.#before = this.#latest
      this.#latest = new Map()
    }
    this.#latest.set(node, { facts, above, seen: this.#revisions })
  }

  #bringOver(node: EntityNode): Kept | undefined {
    const kept = this.#before.get(node)
    if (kept === undefined) return undefined
    this.#before.delete(node)
    this.#latest.set(node, kept)
    return kept
  }
}

/** Nodes are never changed. One of what is not stored may be made for each look-up. */
function isWhatIsHeld(node: EntityNode, lookup: Lookup): boolean {
  const held = lookup(node.type, node.id)
  return held === node || (held !== undefined && isNothing(held) && isNothing(node))
}

function isNothing({ known, parents, assignments }: EntityNode): boolean {
  return !known && parents.length === 0 && assignments.length === 0
}
