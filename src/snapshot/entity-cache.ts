import { LRUCache } from 'lru-cache'
import { type EntityNode, unknownEntity } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import { Directory } from '../policy/search/directory.ts'
import type { Nodes } from './entity-node.ts'
import { RefMap } from './ref-map.ts'
import type { Slices } from './slices.ts'

/**
 * The room that a process has for entities and assignments, shared by its tenants. A tenant that fits is held whole.
 * The others share what is left, by recent use; an eighth is theirs in any case, so that a process full of whole
 * tenants does not ask the database for every other question.
 */
export class EntityCache {
  /** Entities that were found with all their ancestors. */
  hits = 0
  /** Entities that had to be loaded. */
  misses = 0
  readonly #entries: number
  readonly #recent: LRUCache<Slot, EntityNode>
  #whole = 0

  constructor(entries: number) {
    this.#entries = entries
    this.#recent = new LRUCache<Slot, EntityNode>({
      maxSize: Math.max(1, entries),
      sizeCalculation: weight,
      dispose: (_node, slot, reason) => {
        if (reason !== 'set') slot.owner.forget(slot)
      },
    })
  }

  /** Entries for tenants that are to be held whole. */
  get room(): number {
    return Math.max(0, this.#entries - this.#whole)
  }

  /** Tenants held whole have grown beyond the room there is. */
  get overfull(): boolean {
    return this.#whole > this.#entries
  }

  get used(): number {
    return this.#whole + this.#recent.calculatedSize
  }

  /** For a tenant's entities, all of them, which are about to be set. */
  whole(): WholeTenant {
    return new WholeTenant((by) => this.#claim(by))
  }

  partial(): PartialTenant {
    return new PartialTenant(this.#recent, () => this.#trim())
  }

  #claim(by: number): void {
    this.#whole += by
    this.#trim()
  }

  #trim(): void {
    const room = Math.max(this.#entries - this.#whole, this.#entries >> 3)
    while (this.#recent.calculatedSize > room) this.#recent.pop()
  }
}

/** What a tenant has in memory of its entities. */
export interface TenantEntities extends Nodes {
  /** Takes in what was loaded, unless it is there. */
  admit(node: EntityNode): void
  /** What is known of an entity is worth nothing any more. */
  drop(ref: EntityRef): void
  values(): Iterable<EntityNode>
  /** The tenant leaves memory. */
  clear(): void
}

/** All entities of a tenant: what is not here does not exist. */
export class WholeTenant implements TenantEntities {
  readonly #nodes = new RefMap<EntityNode>()
  readonly #claim: (by: number) => void
  #weight = 0
  // It follows what is set from the moment on in which it is begun.
  #following: Directory | undefined
  #directory: Directory | undefined
  #listing: Promise<void> | undefined

  constructor(claim: (by: number) => void) {
    this.#claim = claim
  }

  /** Its entities the other way round, once they are listed. */
  get directory(): Directory | undefined {
    return this.#directory
  }

  /** Lists them, in slices, when first asked to. From then on the list is kept. */
  list(slices: Slices): Promise<void> {
    this.#listing ??= this.#list(slices)
    return this.#listing
  }

  get(type: string, id: string): EntityNode {
    return this.#nodes.get(type, id) ?? unknownEntity(type, id)
  }

  set(node: EntityNode): void {
    const { type, id } = node
    const kept = node.known || node.assignments.length > 0
    const former = kept ? this.#nodes.set(type, id, node) : this.#nodes.delete(type, id)
    this.#grow((kept ? weight(node) : 0) - (former === undefined ? 0 : weight(former)))
    this.#following?.replace(former, kept ? node : undefined)
  }

  admit(): void {}

  // It knows all of them: what it does not hold does not exist.
  drop(): void {}

  values(): Iterable<EntityNode> {
    return this.#nodes.values()
  }

  clear(): void {
    this.#grow(-this.#weight)
  }

  #grow(by: number): void {
    this.#weight += by
    this.#claim(by)
  }

  /** What is set meanwhile is taken in at once, and maybe once more when its turn comes. */
  async #list(slices: Slices): Promise<void> {
    const directory = new Directory()
    this.#following = directory
    for (const node of this.#nodes.values()) {
      directory.replace(undefined, node)
      // Before the next one is taken: it may be another by then.
      if (slices.spent) await slices.next()
    }
    this.#directory = directory
  }
}

/** The entities of a tenant that were used lately. */
export class PartialTenant implements TenantEntities {
  readonly #slots = new RefMap<Slot>()
  readonly #recent: LRUCache<Slot, EntityNode>
  readonly #trim: () => void

  constructor(recent: LRUCache<Slot, EntityNode>, trim: () => void) {
    this.#recent = recent
    this.#trim = trim
  }

  get(type: string, id: string): EntityNode | undefined {
    const slot = this.#slots.get(type, id)
    return slot === undefined ? undefined : this.#recent.get(slot)
  }

  set(node: EntityNode): void {
    const { type, id } = node
    let slot = this.#slots.get(type, id)
    if (slot === undefined) {
      slot = { owner: this, type, id }
      this.#slots.set(type, id, slot)
    }
    this.#recent.set(slot, node)
    // An entity with more assignments than there is room for is not kept at all.
    if (!this.#recent.has(slot)) this.forget(slot)
    this.#trim()
  }

  admit(node: EntityNode): void {
    if (this.#slots.get(node.type, node.id) === undefined) this.set(node)
  }

  drop({ type, id }: EntityRef): void {
    const slot = this.#slots.get(type, id)
    if (slot !== undefined) this.#recent.delete(slot)
  }

  *values(): Iterable<EntityNode> {
    for (const slot of this.#slots.values()) {
      const node = this.#recent.peek(slot)
      if (node !== undefined) yield node
    }
  }

  clear(): void {
    for (const slot of [...this.#slots.values()]) this.#recent.delete(slot)
  }

  forget({ type, id }: Slot): void {
    this.#slots.delete(type, id)
  }
}

/** A key of the shared cache: told apart by identity, so that no two tenants or entities can meet in one. */
interface Slot {
  readonly owner: PartialTenant
  readonly type: string
  readonly id: string
}

function weight(node: EntityNode): number {
  return 1 + node.assignments.length
}
