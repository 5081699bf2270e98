import type { EntityNode } from '../entity-graph.ts'
import type { EntityRef } from '../model.ts'
import { SortedTexts } from './sorted-texts.ts'

type ById = Map<string, SortedTexts>
/** By type, then by id. */
type ByRef = Map<string, ById>

const NONE: readonly string[] = Object.freeze([])

/**
 * A tenant's entities the other way round: who is of a type, who is in an entity, who holds a role. Ids stand in byte
 * order. It takes in each entity by itself, in any order and as often as anybody likes, so that it can be made while the
 * tenant goes on changing.
 */
export class Directory {
  readonly #stored: ById = new Map()
  // By the type of what is in them: then a list is of one type, and an entity with few things in it takes one list.
  readonly #children = new Map<string, ByRef>()
  readonly #holders = new Map<string, ById>()
  readonly #scoped = new Map<string, Map<string, ByRef>>()

  /** Those of a type that are stored. */
  stored(type: string): SortedTexts | undefined {
    return this.#stored.get(type)
  }

  /** The entities of a type that name `parent`. */
  children(type: string, parent: EntityRef): SortedTexts | undefined {
    return this.#children.get(type)?.get(parent.type)?.get(parent.id)
  }

  /** Types of which something is in something. */
  get childTypes(): Iterable<string> {
    return this.#children.keys()
  }

  hasChildren(parent: EntityRef): boolean {
    for (const ofType of this.#children.values()) if (ofType.get(parent.type)?.has(parent.id) === true) return true
    return false
  }

  /** Whether something is in some entity of the type. */
  areParents(type: string): boolean {
    for (const ofType of this.#children.values()) if (ofType.has(type)) return true
    return false
  }

  /** Types of whom some have roles. */
  get holderTypes(): Iterable<string> {
    return new Set([...this.#holders.keys(), ...this.#scoped.keys()])
  }

  /** Whom a role is assigned to: everywhere, or within an entity. They need not be stored. */
  holders(type: string, role: string, within: EntityRef | undefined): SortedTexts | undefined {
    if (within === undefined) return this.#holders.get(type)?.get(role)
    return this.#scoped.get(type)?.get(role)?.get(within.type)?.get(within.id)
  }

  /** Takes in what an entity is now, in the place of what it was. */
  replace(former: EntityNode | undefined, node: EntityNode | undefined): void {
    if (former !== undefined) this.#remove(former)
    if (node !== undefined) this.#add(node)
  }

  #add({ type, id, known, parents, assignments }: EntityNode): void {
    if (known) listIn(this.#stored, type).add(id)
    for (const parent of parents) listIn(byId(byRef(this.#children, type), parent.type), parent.id).add(id)
    for (const { role, within } of assignments) {
      if (within === undefined) listIn(byId(this.#holders, type), role).add(id)
      else listIn(byId(byRef(rolesOf(this.#scoped, type), role), within.type), within.id).add(id)
    }
  }

  #remove({ type, id, parents, assignments }: EntityNode): void {
    dropFrom(this.#stored, type, id)
    for (const parent of parents) {
      const ofType = this.#children.get(type)
      dropFromRef(ofType, parent, id)
      if (ofType?.size === 0) this.#children.delete(type)
    }
    for (const { role, within } of assignments) {
      if (within === undefined) dropFromType(this.#holders, type, role, id)
      else dropFromRef(this.#scoped.get(type)?.get(role), within, id)
    }
  }
}

export function idsFrom(list: SortedTexts | undefined, from = ''): Iterable<string> {
  return list?.from(from) ?? NONE
}

function listIn(map: ById, key: string): SortedTexts {
  let list = map.get(key)
  if (list === undefined) {
    list = new SortedTexts()
    map.set(key, list)
  }
  return list
}

function byId(map: Map<string, ById>, key: string): ById {
  return made(map, key, () => new Map())
}

function byRef(map: Map<string, ByRef>, key: string): ByRef {
  return made(map, key, () => new Map())
}

function rolesOf(map: Map<string, Map<string, ByRef>>, key: string): Map<string, ByRef> {
  return made(map, key, () => new Map())
}

function made<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

function dropFrom(map: ById | undefined, key: string, id: string): void {
  const list = map?.get(key)
  list?.delete(id)
  if (list?.size === 0) map?.delete(key)
}

function dropFromType(map: Map<string, ById>, key: string, name: string, id: string): void {
  const ofKey = map.get(key)
  dropFrom(ofKey, name, id)
  if (ofKey?.size === 0) map.delete(key)
}

function dropFromRef(map: ByRef | undefined, ref: EntityRef, id: string): void {
  if (map !== undefined) dropFromType(map, ref.type, ref.id, id)
}
