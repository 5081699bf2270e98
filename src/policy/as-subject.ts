import type { GivenAssignment } from './change.ts'
import type { EntityFacts } from './entity-graph.ts'
import type { Key } from './key.ts'
import { KeySet } from './key-set.ts'
import type { EntityRef } from './model.ts'
import type { PolicyIndex } from './policy-index.ts'
import type { RoleGraph, RoleNode } from './roles.ts'

/** A role as it is assigned: what the index knows of it, or its name where no rule and no role names it. */
type Assigned = RoleNode | string

/**
 * What an entity is to an index when it asks: all that does not hang on the resource. It is kept with the entity's facts
 * until the index changes or one of its assignments begins or ends, so that 10,000 assignments are gone through once.
 */
export class AsSubject {
  /** Itself, its ancestors and its roles, where rules name them, and "any". */
  readonly keys: KeySet
  readonly #roles: readonly RoleNode[]
  readonly #of: EntityFacts
  readonly #stamp: object
  // None of its assignments begins or ends while it lasts.
  readonly #moment: Moment
  #unnamed: string[] | undefined
  // Assigned without a scope, and in doubt.
  #unsure: RoleNode[] | undefined
  #scoped: Scoped | undefined
  #names: readonly string[] | undefined
  #derivable: readonly RoleNode[] | undefined

  /** `at`: the number of a decision, by which the keys are told apart that have been met. */
  constructor(index: PolicyIndex, facts: EntityFacts, now: number, at: number) {
    this.#of = facts
    this.#moment = new Moment(now)
    this.#stamp = index.stamp
    const { any, subjects, roles } = index.shared
    const keys: Key[] = [any]
    subjects.collect(facts, facts.ancestors, keys)
    const held: RoleNode[] = []
    for (const assignment of facts.assignments) {
      if (inForce(assignment, this.#moment) !== 'in_force') continue
      const role = roles.get(assignment.role)
      if (assignment.within !== undefined) this.#scope(assignment.within, role ?? assignment.role)
      else if (role === undefined) this.#unname(assignment.role)
      else if (role.inDoubt) this.#doubt(role)
      else if (role.inherits.length === 0) reach(role, at, held)
      else for (const reached of roles.closure(role)) reach(reached, at, held)
    }
    for (const role of held) keys.push(role)
    this.#roles = held
    this.keys = new KeySet(keys, index.rules.limits.marked)
  }

  /** Whether it still says what the entity is to the index. */
  holds(index: PolicyIndex, facts: EntityFacts, now: number): boolean {
    return this.#stamp === index.stamp && this.#of === facts && this.#moment.lasts(now)
  }

  /** The names of its roles, in order. */
  get names(): readonly string[] {
    this.#names ??= [...new Set([...this.#roles.map(({ name }) => name), ...(this.#unnamed ?? [])])].sort()
    return this.#names
  }

  /** Derived roles that name one of its roles. */
  get derivable(): readonly RoleNode[] {
    this.#derivable ??= [...new Set(this.#roles.flatMap(({ derives }) => [...derives]))]
    return this.#derivable
  }

  /** Roles that it may hold, as they are in doubt: given, inherited by what it holds, or held by nobody knows whom. */
  doubted(roles: RoleGraph): readonly RoleNode[] {
    if (roles.doubted.size === 0) return NO_ROLES
    const inherited = this.#roles.flatMap(({ inherits }) => inherits.filter(({ inDoubt }) => inDoubt))
    const anybodys = [...roles.doubted].filter(({ doubt }) => doubt?.holders === true)
    return [...(this.#unsure ?? []), ...inherited, ...anybodys]
  }

  /** Its roles for this resource alone. */
  rolesWithin(resource: EntityFacts): readonly Assigned[] {
    return this.#scoped === undefined ? NOTHING : this.#scoped.within(resource)
  }

  #scope(within: EntityRef, role: Assigned): void {
    this.#scoped ??= new Scoped()
    this.#scoped.add(within, role)
  }

  #doubt(role: RoleNode): void {
    this.#unsure ??= []
    this.#unsure.push(role)
  }

  #unname(role: string): void {
    this.#unnamed ??= []
    this.#unnamed.push(role)
  }
}

const NOTHING: readonly Assigned[] = Object.freeze([])
const NO_ROLES: readonly RoleNode[] = Object.freeze([])

function reach(role: RoleNode, at: number, held: RoleNode[]): void {
  if (role.heldAt === at) return
  role.heldAt = at
  held.push(role)
}

/** Roles that hold for a resource and what is in it. */
class Scoped {
  readonly #byType = new Map<string, Map<string, Assigned[]>>()

  add({ type, id }: EntityRef, role: Assigned): void {
    const ofType = this.#byType.get(type) ?? new Map<string, Assigned[]>()
    this.#byType.set(type, ofType)
    const roles = ofType.get(id)
    if (roles === undefined) ofType.set(id, [role])
    else roles.push(role)
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

/** A time, in ms, and `[from, until)`: how long what is told of instants by it stays true. */
export class Moment {
  readonly now: number
  from = Number.NEGATIVE_INFINITY
  until = Number.POSITIVE_INFINITY

  constructor(now: number) {
    this.now = now
  }

  lasts(now: number): boolean {
    return this.from <= now && now < this.until
  }

  // An instant that cannot be read (NaN) has not come and will not come.

  hasCome(text: string): boolean {
    return this.#noted(Date.parse(text)) <= this.now
  }

  isToCome(text: string): boolean {
    return this.#noted(Date.parse(text)) > this.now
  }

  #noted(instant: number): number {
    if (instant > this.now) this.until = Math.min(this.until, instant)
    else if (instant <= this.now) this.from = Math.max(this.from, instant)
    return instant
  }
}

/** Whether an assignment counts at this moment, and if not, why. */
export function inForce({ role, valid_from, valid_until }: GivenAssignment, moment: Moment): Standing {
  // Verdict's own roles count for its own guard, never for a decision about a tenant's resources.
  if (role.startsWith('pdp:')) return 'built_in'
  if (typeof valid_from === 'string' && !moment.hasCome(valid_from)) return 'not_yet'
  if (typeof valid_until === 'string' && !moment.isToCome(valid_until)) return 'expired'
  return 'in_force'
}
