import type { Budget } from './budget.ts'
import { Fault } from './cel-values.ts'
import type { GivenAssignment } from './change.ts'
import type { Condition } from './condition.ts'
import { type EntityFacts, type Facts, isWithin, NO_PROPERTIES } from './entity-graph.ts'
import type { Key } from './keys.ts'
import type { AccessRequest, Properties } from './model.ts'
import type { PolicyIndex } from './policy-index.ts'
import { effectiveProperties } from './properties.ts'
import type { RoleNode } from './roles.ts'
import type { Wanted } from './rule-index.ts'
import { ActionView, type ResourceSource, ResourceView, type Scope, type SubjectSource, SubjectView } from './scope.ts'

/** One request with its facts, as rules and conditions look at it. Marks the keys that hold for it when it is made. */
export class Question implements Wanted, SubjectSource, ResourceSource {
  readonly at: number
  readonly type: string
  readonly id: string
  readonly action: string
  readonly subjectKeys: Key[] = []
  readonly resourceKeys: Key[] = []
  readonly now: number
  readonly #index: PolicyIndex
  readonly #facts: Facts
  readonly #request: AccessRequest
  readonly #budget: Budget
  readonly #held: RoleNode[] = []
  // Roles that are held, but that no rule and no role names.
  #unnamed: string[] | undefined
  // Roles that are given, but that are in doubt.
  #doubted: RoleNode[] | undefined
  #rolesErred = false
  #roles: readonly string[] | undefined
  #scope: Scope | undefined
  #subjectProperties: Properties | undefined
  #resourceProperties: Properties | undefined

  constructor(index: PolicyIndex, facts: Facts, request: AccessRequest, now: number, budget: Budget) {
    this.at = index.nextDecision()
    this.type = request.resource.type
    this.id = request.resource.id
    this.action = request.action.name
    this.now = now
    this.#index = index
    this.#facts = facts
    this.#request = request
    this.#budget = budget
    this.#mark()
  }

  /** Undefined: it cannot be told. */
  holds(condition: Condition): boolean | undefined {
    return condition.holds(this.scope(), this.#budget)
  }

  /** What conditions read. */
  scope(): Scope {
    this.#scope ??= {
      subject: new SubjectView(this),
      action: new ActionView(this.action, this.#request.action.properties ?? NO_PROPERTIES),
      resource: new ResourceView(this),
      context: this.#request.context ?? NO_PROPERTIES,
      now: new Date(this.now),
      levels: this.#index.settings.levels,
    }
    return this.#scope
  }

  get subjectType(): string {
    return this.#request.subject.type
  }

  get subjectId(): string {
    return this.#request.subject.id
  }

  get subjectKnown(): boolean {
    return this.#facts.subject.known
  }

  get resourceType(): string {
    return this.type
  }

  get resourceId(): string {
    return this.id
  }

  get resourceKnown(): boolean {
    return this.#facts.resource.known
  }

  subjectProperties(): Properties {
    this.#subjectProperties ??= this.#effective(this.#facts.subject.properties, this.#request.subject)
    return this.#subjectProperties
  }

  resourceProperties(): Properties {
    this.#resourceProperties ??= this.#effective(this.#facts.resource.properties, this.#request.resource)
    return this.#resourceProperties
  }

  /** In the conditions of derived roles those that are assigned and inherited; later those that are derived too. */
  subjectRoles(): readonly string[] {
    if (this.#rolesErred) throw new Fault('a derived role could not be told')
    this.#roles ??= [...new Set([...this.#held.map((role) => role.name), ...(this.#unnamed ?? [])])].sort()
    return this.#roles
  }

  #effective(stored: Properties, { type, properties }: AccessRequest['subject']): Properties {
    if (this.#index.isInDoubt(type, properties !== undefined))
      throw new Fault(`the properties of ${type} cannot be told`)
    const precedence = this.#index.settings.attribute_precedence
    return effectiveProperties(stored, properties, precedence, this.#index.protectedProperties(type))
  }

  #mark(): void {
    const { at } = this
    const { any, subjects, resources, roles } = this.#index.shared
    const { subject, resource } = this.#facts
    any.heldAt = at
    this.subjectKeys.push(any)
    subjects.mark(subject, subject.ancestors, at, this.subjectKeys)
    resources.mark(resource, resource.ancestors, at, this.resourceKeys)
    for (const assignment of subject.assignments) {
      if (standingOf(assignment, resource, this.now) === 'in_force') this.#assign(assignment.role)
    }
    if (roles.derived > 0 || roles.doubted.size > 0) this.#derive()
  }

  #assign(name: string): void {
    const role = this.#index.shared.roles.get(name)
    if (role !== undefined) this.#hold(role)
    else if (this.#unnamed === undefined) this.#unnamed = [name]
    else this.#unnamed.push(name)
  }

  #hold(role: RoleNode): void {
    if (!role.inDoubt) this.#reach(role, this.#held)
    else if (this.#doubted === undefined) this.#doubted = [role]
    else this.#doubted.push(role)
  }

  /** Marks a role and all that it inherits as held. */
  #reach(role: RoleNode, reached: RoleNode[]): void {
    for (const held of this.#index.shared.roles.closure(role)) {
      if (held.key.heldAt === this.at) continue
      held.key.heldAt = this.at
      reached.push(held)
      if (held.key.users > 0) this.subjectKeys.push(held.key)
    }
  }

  /** Derived roles, from what is held to what follows. `#held` grows only afterwards: their conditions read it. */
  #derive(): void {
    const reached = [...this.#held]
    const erred: RoleNode[] = this.#inDoubt()
    this.#rolesErred = erred.length > 0
    for (const role of reached) {
      for (const base of role.inherits) if (base.inDoubt) erred.push(base)
      for (const derived of role.derives) {
        if (derived.key.heldAt === this.at || derived.derivedAt === this.at) continue
        derived.derivedAt = this.at
        if (derived.inDoubt) {
          erred.push(derived)
          continue
        }
        const holds = derived.derivation && this.holds(derived.derivation.condition)
        if (holds === true) this.#reach(derived, reached)
        else if (holds === undefined) erred.push(derived)
      }
    }
    this.#spreadError(erred)
    for (const role of reached.slice(this.#held.length)) this.#held.push(role)
    this.#roles = undefined
  }

  /** The roles in doubt that the subject may hold: given, inherited by what is held, or held by nobody knows whom. */
  #inDoubt(): RoleNode[] {
    const { doubted } = this.#index.shared.roles
    const roles = this.#doubted ?? []
    if (doubted.size === 0) return roles
    for (const role of doubted) if (role.doubt?.holders === true) roles.push(role)
    for (const role of this.#held) for (const base of role.inherits) if (base.inDoubt) roles.push(base)
    return roles
  }

  /** What inherits an error is in error too: the roles of the role that erred, and those derived from it. */
  #spreadError(erred: RoleNode[]): void {
    for (const role of erred) {
      if (role.key.heldAt === this.at) continue
      for (const unsure of this.#index.shared.roles.closure(role)) this.#doubt(unsure, erred)
    }
  }

  #doubt(role: RoleNode, erred: RoleNode[]): void {
    const { key } = role
    if (key.heldAt === this.at || key.erredAt === this.at) return
    key.erredAt = this.at
    this.#rolesErred = true
    if (key.users > 0) this.subjectKeys.push(key)
    for (const derived of role.derives) if (derived.derivedAt !== this.at) erred.push(derived)
    for (const base of role.inherits) if (base.inDoubt) erred.push(base)
    // It may inherit any.
    if (role.doubt?.inherits === true) for (const any of this.#index.shared.roles.all) erred.push(any)
  }
}

/** Whether an assignment counts in a decision about this resource at this time (ms), and if not, why. */
export function standingOf(
  { role, valid_from, valid_until, within }: GivenAssignment,
  resource: EntityFacts,
  now: number,
): 'in_force' | 'built_in' | 'not_yet' | 'expired' | 'elsewhere' {
  // Verdict's own roles count for its own guard, never for a decision about a tenant's resources.
  if (role.startsWith('pdp:')) return 'built_in'
  // Written so that an instant that cannot be read (NaN) grants nothing.
  if (typeof valid_from === 'string' && !(now >= Date.parse(valid_from))) return 'not_yet'
  if (typeof valid_until === 'string' && !(now < Date.parse(valid_until))) return 'expired'
  return within === undefined || isWithin(resource, within) ? 'in_force' : 'elsewhere'
}
