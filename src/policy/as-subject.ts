import type { GivenAssignment } from './change.ts'
import type { EntityFacts } from './entity-graph.ts'
import { KeySet } from './key-set.ts'
import type { PolicyIndex } from './policy-index.ts'
import type { RoleNode } from './roles.ts'

/** A role as it is assigned: what the index knows of it, or its name where no rule and no role names it. */
type Assigned = RoleNode | string

/**
 * What an entity is to an index when it asks: all that does not hang on the resource. It is kept with the entity's facts
 * until the index changes or one of its assignments begins or ends, so that 10,000 assignments are gone through once.
 */
export class AsSubject {
  /** Itself, its ancestors and its roles, where rules name them, and "any". */
  readonly keys: KeySet
  readonly roles: ReadonlySet<RoleNode>
  /** Derived roles that name one of them. */
  readonly derivable: ReadonlySet<RoleNode>
  readonly #of: EntityFacts
  readonly #stamp: object
  // The time in which no assignment begins or ends: `[from, until)`.
  #from = Number.NEGATIVE_INFINITY
  #until = Number.POSITIVE_INFINITY
  readonly #unnamed = new Set<string>()
  readonly #scoped = new Scoped()
  #names: readonly string[] | undefined

  constructor(index: PolicyIndex, facts: EntityFacts, now: number) {
    this.#of = facts
    this.#stamp = index.stamp
    const { any, subjects, roles } = index.shared
    const keys = new Set([any])
    subjects.collect(facts, facts.ancestors, keys)
    const held = new Set<RoleNode>()
    for (const assignment of facts.assignments) {
      const standing = inForce(assignment, now)
      this.#narrow(assignment, standing, now)
      if (standing !== 'in_force') continue
      const role = roles.get(assignment.role) ?? assignment.role
      if (assignment.within !== undefined) this.#scoped.add(assignment.within, role)
      else if (typeof role === 'string') this.#unnamed.add(role)
      else for (const reached of roles.closure(role)) held.add(reached)
    }
    this.roles = held
    for (const role of held) keys.add(role)
    this.derivable = roles.derived > 0 ? new Set([...held].flatMap(({ derives }) => [...derives])) : NONE
    this.keys = new KeySet(keys, index.rules.limits.marked)
  }

  /** Whether it still says what the entity is to the index. */
  holds(index: PolicyIndex, facts: EntityFacts, now: number): boolean {
    return this.#stamp === index.stamp && this.#of === facts && now >= this.#from && now < this.#until
  }

  /** The names of its roles, in order. */
  get names(): readonly string[] {
    this.#names ??= [...[...this.roles].map(({ name }) => name), ...this.#unnamed].sort()
    return this.#names
  }

  /** Its roles for this resource alone. */
  rolesWithin(resource: EntityFacts): readonly Assigned[] {
    return this.#scoped.isEmpty ? NOTHING : this.#scoped.within(resource)
  }

  #narrow({ valid_from, valid_until }: GivenAssignment, standing: Standing, now: number): void {
    if (standing === 'built_in') return
    for (const text of [valid_from, valid_until]) {
      if (typeof text !== 'string') continue
      const instant = Date.parse(text)
      if (instant > now) this.#until = Math.min(this.#until, instant)
      else if (instant <= now) this.#from = Math.max(this.#from, instant)
    }
  }
}

const NONE: ReadonlySet<RoleNode> = new Set()
const NOTHING: readonly Assigned[] = Object.freeze([])

/** Roles that hold for a resource and what is in it. */
class Scoped {
  readonly #byType = new Map<string, Map<string, Assigned[]>>()
  #size = 0

  get isEmpty(): boolean {
    return this.#size === 0
  }

  add({ type, id }: { readonly type: string; readonly id: string }, role: Assigned): void {
    const ofType = this.#byType.get(type) ?? new Map<string, Assigned[]>()
    this.#byType.set(type, ofType)
    const roles = ofType.get(id)
    if (roles === undefined) ofType.set(id, [role])
    else roles.push(role)
    this.#size++
  }

  within(resource: EntityFacts): readonly Assigned[] {
    const roles: Assigned[] = []
    for (const { type, id } of [resource, ...resource.ancestors]) {
      const there = this.#byType.get(type)?.get(id)
      if (there !== undefined) for (const role of there) roles.push(role)
    }
    return roles
  }
}

export type Standing = 'in_force' | 'built_in' | 'not_yet' | 'expired'

/** Whether an assignment counts at this time (ms), and if not, why. */
export function inForce({ role, valid_from, valid_until }: GivenAssignment, now: number): Standing {
  // Verdict's own roles count for its own guard, never for a decision about a tenant's resources.
  if (role.startsWith('pdp:')) return 'built_in'
  // Written so that an instant that cannot be read (NaN) grants nothing.
  if (typeof valid_from === 'string' && !(now >= Date.parse(valid_from))) return 'not_yet'
  if (typeof valid_until === 'string' && !(now < Date.parse(valid_until))) return 'expired'
  return 'in_force'
}
