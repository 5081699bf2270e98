import { AsResource } from './as-resource.ts'
import { AsSubject } from './as-subject.ts'
import type { Budget } from './budget.ts'
import type { Wanted } from './candidate.ts'
import { charge, Fault } from './cel-values.ts'
import type { GivenAssignment } from './change.ts'
import type { Condition } from './condition.ts'
import { type EntityFacts, type Facts, isWithin, NO_PROPERTIES } from './entity-graph.ts'
import type { Key } from './key.ts'
import type { KeySet } from './key-set.ts'
import type { AccessRequest, Properties } from './model.ts'
import { inForce, Moment, type Standing } from './moment.ts'
import type { PolicyIndex } from './policy-index.ts'
import { effectiveProperties } from './properties.ts'
import type { RoleNode } from './roles.ts'
import {
  ActionView,
  RequestScope,
  type ResourceSource,
  ResourceView,
  type SubjectSource,
  SubjectView,
} from './scope.ts'

/** One request with its facts, as rules and conditions look at it. Marks the keys that hold for it when it is made. */
export class Question implements Wanted, SubjectSource, ResourceSource {
  readonly at: number
  readonly type: string
  readonly id: string
  readonly action: string
  readonly subject: KeySet
  readonly besides: readonly Key[]
  readonly resource: KeySet
  readonly now: number
  readonly #index: PolicyIndex
  readonly #facts: Facts
  readonly #request: AccessRequest
  readonly #budget: Budget
  readonly #asSubject: AsSubject
  // Names of roles, beside those that the subject holds whatever it is asked about.
  #rolesBesides: readonly string[] = NONE
  #rolesErred = false
  #roles: readonly string[] | undefined
  #scope: RequestScope | undefined
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
    const asSubject = asSubjectOf(index, facts.subject, now, this.at)
    this.#asSubject = asSubject
    this.subject = asSubject.keys
    this.resource = asResourceOf(index, facts.resource).keys
    this.subject.mark(this.at)
    this.resource.mark(this.at)
    const scoped = asSubject.rolesWithin(facts.resource)
    this.besides = scoped.length === 0 && !index.shared.roles.areLookedFor ? NO_KEYS : this.#rolesBeside(scoped)
  }

  isHeld(key: Key): boolean {
    return key.heldAt === this.at || this.subject.has(key) || this.resource.has(key)
  }

  isUnsure(key: Key): boolean {
    return key.erredAt === this.at
  }

  /** Undefined: it cannot be told. */
  holds(condition: Condition): boolean | undefined {
    return condition.holds(this.scope(), this.#budget)
  }

  /** What conditions read. */
  scope(): RequestScope {
    this.#scope ??= new RequestScope(
      {
        subject: new SubjectView(this),
        action: new ActionView(this.action, this.#request.action.properties ?? NO_PROPERTIES),
        resource: new ResourceView(this),
        context: this.#request.context ?? NO_PROPERTIES,
        levels: this.#index.settings.levels,
      },
      this.now,
    )
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
    this.#roles ??= this.#namesOfRoles()
    return this.#roles
  }

  #effective(stored: Properties, { type, properties }: AccessRequest['subject']): Properties {
    if (this.#index.isInDoubt(type, properties !== undefined))
      throw new Fault(`the properties of ${type} cannot be told`)
    const precedence = this.#index.settings.attribute_precedence
    const guarded = this.#index.protectedProperties(type)
    return effectiveProperties(stored, properties, precedence, guarded, (members) =>
      charge(this.#budget, members * STEPS_PER_MEMBER),
    )
  }

  #namesOfRoles(): readonly string[] {
    const { names } = this.#asSubject
    return this.#rolesBesides.length === 0 ? names : [...new Set([...names, ...this.#rolesBesides])].sort()
  }

  /** Roles that are held for this request, or could not be told: the scoped ones, then what is derived. */
  #rolesBeside(scoped: readonly string[]): readonly Key[] {
    const reached: RoleNode[] = []
    const names: string[] = []
    const doubted: RoleNode[] = []
    for (const name of scoped) {
      const role = this.#index.shared.roles.get(name)
      if (role === undefined) names.push(name)
      else if (role.inDoubt) doubted.push(role)
      else this.#reach(role, reached)
    }
    // Grows only after the derived roles have been told: their conditions read it.
    this.#rolesBesides = [...names, ...reached.map(({ name }) => name)]
    const erred = this.#index.shared.roles.areLookedFor ? this.#derive(reached, doubted) : NO_ROLES
    if (reached.length + names.length > this.#rolesBesides.length) {
      this.#rolesBesides = [...names, ...reached.map(({ name }) => name)]
      this.#roles = undefined
    }
    return erred.length === 0 ? reached : [...reached, ...erred]
  }

  /** Marks a role and all that it inherits as held. */
  #reach(role: RoleNode, reached: RoleNode[]): void {
    for (const held of this.#index.shared.roles.closure(role)) {
      if (this.isHeld(held)) continue
      held.heldAt = this.at
      reached.push(held)
    }
  }

  /** Derived roles, from what is held to what follows; those that are in error come back, with `doubted`. */
  #derive(reached: RoleNode[], doubted: readonly RoleNode[]): readonly RoleNode[] {
    const erred = [...doubted, ...this.#asSubject.doubted(this.#index.shared.roles)]
    // Their conditions cannot read the roles while one of those is in doubt.
    this.#rolesErred = erred.length > 0 || reached.some(({ inherits }) => inherits.some((base) => base.inDoubt))
    for (const derived of this.#asSubject.derivable) this.#tryOut(derived, reached, erred)
    // Grows while it is walked.
    for (const role of reached) {
      for (const base of role.inherits) if (base.inDoubt) erred.push(base)
      for (const derived of role.derives) this.#tryOut(derived, reached, erred)
    }
    return this.#spreadError(erred)
  }

  #tryOut(derived: RoleNode, reached: RoleNode[], erred: RoleNode[]): void {
    if (this.isHeld(derived) || derived.derivedAt === this.at) return
    derived.derivedAt = this.at
    if (derived.inDoubt) {
      erred.push(derived)
      return
    }
    const holds = derived.derivation && this.holds(derived.derivation.condition)
    if (holds === true) this.#reach(derived, reached)
    else if (holds === undefined) erred.push(derived)
  }

  /** What inherits an error is in error too: the roles of the role that erred, and those derived from it. */
  #spreadError(erred: RoleNode[]): readonly RoleNode[] {
    const unsure: RoleNode[] = []
    // Grows while it is walked.
    for (const role of erred) {
      if (this.isHeld(role)) continue
      for (const one of this.#index.shared.roles.closure(role)) {
        if (this.isHeld(one) || one.erredAt === this.at) continue
        one.erredAt = this.at
        unsure.push(one)
        this.#follow(one, erred)
      }
    }
    this.#rolesErred = unsure.length > 0
    return unsure
  }

  /** What else cannot be told where this role cannot. */
  #follow(unsure: RoleNode, erred: RoleNode[]): void {
    for (const derived of unsure.derives) if (derived.derivedAt !== this.at) erred.push(derived)
    for (const base of unsure.inherits) if (base.inDoubt) erred.push(base)
    if (unsure.doubt?.inherits !== true) return
    // It may inherit any.
    for (const any of this.#index.shared.roles.keys()) if (any !== undefined) erred.push(any)
  }
}

// Measured: some 200 ns to lay one over another, where there are thousands.
const STEPS_PER_MEMBER = 3

const NONE: readonly string[] = Object.freeze([])
const NO_KEYS: readonly Key[] = Object.freeze([])
const NO_ROLES: readonly RoleNode[] = Object.freeze([])

function asSubjectOf(index: PolicyIndex, facts: EntityFacts, now: number, at: number): AsSubject {
  const { asSubject } = facts
  if (asSubject?.holds(index, facts, now)) return asSubject
  const made = new AsSubject(index, facts, now, at)
  facts.asSubject = made
  return made
}

function asResourceOf(index: PolicyIndex, facts: EntityFacts): AsResource {
  const { asResource } = facts
  if (asResource?.holds(index, facts)) return asResource
  const made = new AsResource(index, facts)
  facts.asResource = made
  return made
}

/** Whether an assignment counts in a decision about this resource at this time (ms), and if not, why. */
export function standingOf(assignment: GivenAssignment, resource: EntityFacts, now: number): Standing | 'elsewhere' {
  const standing = inForce(assignment, new Moment(now))
  if (standing !== 'in_force' || assignment.within === undefined) return standing
  return isWithin(resource, assignment.within) ? 'in_force' : 'elsewhere'
}
