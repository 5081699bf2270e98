import type { AsResource } from './as-resource.ts'
import type { AsSubject } from './as-subject.ts'
import type { GivenAssignment } from './change.ts'
import type { EntityRef, Properties } from './model.ts'

/** An entity as it stands in memory. One that is not stored is a node too: not `known`, and empty. */
export interface EntityNode {
  readonly type: string
  readonly id: string
  readonly known: boolean
  readonly properties: Properties
  readonly disabled: boolean
  readonly parents: readonly EntityRef[]
  readonly assignments: readonly GivenAssignment[]
}

/** `undefined`: not in memory, so that it is not known whether it is stored. */
export type Lookup = (type: string, id: string) => EntityNode | undefined

/** An entity with all its ancestors (each once, itself left out), and what is assigned to itself and to them. */
export interface EntityFacts {
  readonly type: string
  readonly id: string
  readonly known: boolean
  readonly properties: Properties
  readonly disabled: boolean
  readonly ancestors: readonly EntityRef[]
  /** The assignments of each of them that has any: as they are in memory, so that the many of a group are there once. */
  readonly given: readonly (readonly GivenAssignment[])[]
  /** What an index made of them: no facts, but kept with them, since to make it again costs more than to decide. */
  asSubject: AsSubject | undefined
  asResource: AsResource | undefined
}

/** What one decision needs to know beyond the request. */
export interface Facts {
  readonly subject: EntityFacts
  readonly resource: EntityFacts
}

/** Those of an entity that is not stored. */
export const NO_PROPERTIES: Properties = Object.freeze({})
const NONE: readonly never[] = Object.freeze([])

/** The node of an entity that is not stored, and that nothing is assigned to. */
export function unknownEntity(type: string, id: string): EntityNode {
  return { type, id, known: false, properties: NO_PROPERTIES, disabled: false, parents: NONE, assignments: NONE }
}

/**
 * Gathers an entity's facts from memory. What is not in memory is pushed on `missing`: the facts are then worth
 * nothing until it has been loaded. A cycle of parents ends where it closes; time follows the number of edges. The
 * ancestors' nodes are pushed on `above`.
 */
export function gatherFacts(
  lookup: Lookup,
  ref: EntityRef,
  missing: EntityRef[],
  above: EntityNode[] = [],
): EntityFacts {
  const node = lookup(ref.type, ref.id)
  if (node === undefined) {
    missing.push({ type: ref.type, id: ref.id })
    return factsOf(unknownEntity(ref.type, ref.id), NONE, NONE)
  }
  if (node.parents.length === 0) return factsOf(node, NONE, node.assignments.length === 0 ? NONE : [node.assignments])
  const ancestors: EntityRef[] = []
  const seen = new References()
  seen.add(node)
  addNew(node.parents, seen, ancestors)
  // `ancestors` grows while it is walked: a queue that is also the answer.
  for (const ancestor of ancestors) {
    const found = lookup(ancestor.type, ancestor.id)
    if (found === undefined) {
      missing.push(ancestor)
      continue
    }
    above.push(found)
    addNew(found.parents, seen, ancestors)
  }
  const lists = [node, ...above].map(({ assignments }) => assignments).filter(({ length }) => length > 0)
  return factsOf(node, ancestors, lists)
}

function factsOf(
  node: EntityNode,
  ancestors: readonly EntityRef[],
  given: readonly (readonly GivenAssignment[])[],
): EntityFacts {
  const { type, id, known, properties, disabled } = node
  return { type, id, known, properties, disabled, ancestors, given, asSubject: undefined, asResource: undefined }
}

function addNew(refs: readonly EntityRef[], seen: References, into: EntityRef[]): void {
  for (const ref of refs) if (seen.add(ref)) into.push(ref)
}

/** A set of references, by type and then by id: never by a joined text, in which two pairs could look alike. */
export class References {
  readonly #byType = new Map<string, Set<string>>()

  /** Whether it was new. */
  add(ref: EntityRef): boolean {
    const ids = this.#byType.get(ref.type)
    if (ids === undefined) {
      this.#byType.set(ref.type, new Set([ref.id]))
      return true
    }
    if (ids.has(ref.id)) return false
    ids.add(ref.id)
    return true
  }

  has(ref: EntityRef): boolean {
    return this.#byType.get(ref.type)?.has(ref.id) === true
  }
}

// Below this, walking the few ancestors is faster than building a set of them.
const FEW = 16

const ancestorSets = new WeakMap<readonly EntityRef[], References>()

/** Whether the entity is `ref`, or descends from it. */
export function isWithin(facts: EntityFacts, ref: EntityRef): boolean {
  if (facts.type === ref.type && facts.id === ref.id) return true
  const { ancestors } = facts
  if (ancestors.length > FEW) return setOf(ancestors).has(ref)
  for (const ancestor of ancestors) if (ancestor.id === ref.id && ancestor.type === ref.type) return true
  return false
}

function setOf(ancestors: readonly EntityRef[]): References {
  const known = ancestorSets.get(ancestors)
  if (known !== undefined) return known
  const made = new References()
  for (const ancestor of ancestors) made.add(ancestor)
  ancestorSets.set(ancestors, made)
  return made
}
