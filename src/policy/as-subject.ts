import type { GivenAssignment } from './change.ts'
import { type EntityFacts, isWithin } from './entity-graph.ts'
import type { Holding } from './holding.ts'
import type { Key } from './key.ts'
import type { KeyNews } from './key-news.ts'
import { KeySet } from './key-set.ts'
import { inForce, Moment } from './moment.ts'
import type { PolicyIndex } from './policy-index.ts'
import { type RoleGraph, RoleNode } from './roles.ts'
import { ScopedRoles } from './scoped-roles.ts'

/**
 * What an entity is to an index when it asks: all that does not hang on the resource. It is kept with the entity's facts
 * until something changes in the index that concerns it, or one of its assignments begins or ends. What many assignments
 * come to is a `Holding`, which its entity has in common with whoever is in it, and which follows changes by itself.
 */
export class AsSubject {
  /** Itself, its ancestors and its roles, where rules name them, and "any". */
  readonly keys: KeySet
  readonly #of: EntityFacts
  readonly #news: KeyNews
  #seen: number
  // None of its few assignments begins or ends while it lasts.
  readonly #moment: Moment
  // Of the entities of its facts that have few assignments: their names, and what these come to.
  #assigned: readonly string[] = NOTHING
  #roles: readonly RoleNode[] = NO_ROLES
  #unsure: RoleNode[] | undefined
  #scoped: ScopedRoles | undefined
  // Of those that have many.
  #holdings: readonly Holding[] = NO_HOLDINGS
  #lists: readonly (readonly GivenAssignment[])[] = NO_HOLDINGS
  #memo: Memo | undefined

  /** `at`: the number of a decision, by which the keys are told apart that have been met. */
  constructor(index: PolicyIndex, facts: EntityFacts, now: number, at: number) {
    const { any, subjects, roles, news } = index.shared
    const { marked } = index.rules.limits
    this.#of = facts
    this.#news = news
    this.#seen = news.count
    this.#moment = new Moment(now)
    if (facts.given.length > 0) {
      const held: Held = { assigned: [], roles: [] }
      for (const list of facts.given) {
        if (list.length > marked) this.#hold(index, list, now)
        else for (const assignment of list) this.#take(assignment, roles, at, held)
      }
      this.#assigned = held.assigned
      this.#roles = held.roles
    }
    const keys: Key[] = [any]
    subjects.collect(facts, facts.ancestors, keys)
    for (const role of this.#roles) keys.push(role)
    const { hung } = index.rules
    if (this.#holdings.length === 0) this.keys = new KeySet(keys, marked, hung)
    else
      this.keys = new KeySet(
        keys,
        marked,
        hung,
        this.#holdings.map(({ roles: { keys: many } }) => many),
      )
  }

  /** Whether it still says what the entity is to the index; brings itself up to date, where that is all it takes. */
  holds(index: PolicyIndex, facts: EntityFacts, now: number): boolean {
    if (this.#of !== facts || this.#news !== index.shared.news || !this.#moment.lasts(now)) return false
    if (this.#seen !== this.#news.count && !this.#catchUp()) return false
    for (let at = 0; at < this.#holdings.length; at++) {
      const holding = this.#holdings[at]
      if (holding === undefined || holding.list !== this.#lists[at]) return false
      holding.freshen(now)
    }
    return true
  }

  /** The names of its roles, in order. */
  get names(): readonly string[] {
    return this.#remembered.names
  }

  /** Derived roles that name one of its roles. */
  get derivable(): readonly RoleNode[] {
    return this.#remembered.derivable
  }

  /** Roles that it may hold, as they are in doubt: given, inherited by what it holds, or held by nobody knows whom. */
  doubted(roles: RoleGraph): readonly RoleNode[] {
    if (roles.doubted.size === 0) return NO_ROLES
    const anybodys = [...roles.doubted].filter(({ doubt }) => doubt?.holders === true)
    return [...this.#remembered.doubted, ...anybodys]
  }

  /** The names of its roles for this resource alone. */
  rolesWithin(resource: EntityFacts): readonly string[] {
    if (this.#scoped === undefined && this.#holdings.length === 0) return NOTHING
    const names: string[] = []
    this.#scoped?.collect(resource, names)
    for (const { scoped } of this.#holdings) scoped.collect(resource, names)
    return names
  }

  get #remembered(): Memo {
    const version = this.#holdings.reduce((sum, { roles }) => sum + roles.version, 0)
    if (this.#memo?.version !== version) this.#memo = this.#remember(version)
    return this.#memo
  }

  #remember(version: number): Memo {
    const held = this.#holdings.map(({ roles }) => roles)
    const own = [...this.#roles.map(({ name }) => name), ...this.#assigned.filter((name) => !this.#isRole(name))]
    const [first, second] = held
    const isAll = first !== undefined && second === undefined && own.length === 0
    return {
      version,
      names: isAll ? first.names : [...new Set([...own, ...held.flatMap(({ names }) => names)])].sort(),
      derivable: [...new Set([...this.#roles, ...held].flatMap((each) => [...derivedOf(each)]))],
      doubted: [
        ...(this.#unsure ?? []),
        ...this.#roles.flatMap(({ inherits }) => inherits.filter(({ inDoubt }) => inDoubt)),
        ...held.flatMap(({ doubted }) => doubted),
      ],
    }
  }

  /** A name that is not one: nothing has it. */
  #isRole(name: string): boolean {
    return this.#roles.some((role) => role.name === name) || this.#unsure?.some((role) => role.name === name) === true
  }

  #hold(index: PolicyIndex, list: readonly GivenAssignment[], now: number): void {
    this.#holdings = [...this.#holdings, index.holdings.of(list, now)]
    this.#lists = [...this.#lists, list]
  }

  #take(assignment: GivenAssignment, roles: RoleGraph, at: number, into: Held): void {
    if (inForce(assignment, this.#moment) !== 'in_force') return
    const { role: name, within } = assignment
    if (within !== undefined) {
      this.#scoped ??= new ScopedRoles()
      this.#scoped.add(within, name)
      return
    }
    into.assigned.push(name)
    const role = roles.get(name)
    if (role === undefined) return
    if (role.inDoubt) {
      this.#unsure ??= []
      this.#unsure.push(role)
    } else if (role.inherits.length === 0) reach(role, at, into.roles)
    else for (const reached of roles.closure(role)) reach(reached, at, into.roles)
  }

  /** Whether nothing that it is made of has changed since. */
  #catchUp(): boolean {
    const keys = this.#news.since(this.#seen)
    if (keys === undefined || keys.length > WORTH_GOING_THROUGH || keys.some((key) => this.#concerns(key))) return false
    this.#seen = this.#news.count
    return true
  }

  #concerns(key: Key): boolean {
    if (key instanceof RoleNode) return this.#assigned.includes(key.name) || this.#roles.includes(key)
    return key.kind === 'subject' && isWithin(this.#of, { type: key.type, id: key.text })
  }
}

interface Held {
  readonly assigned: string[]
  readonly roles: RoleNode[]
}

function reach(role: RoleNode, at: number, into: RoleNode[]): void {
  if (role.heldAt === at) return
  role.heldAt = at
  into.push(role)
}

/** What few ask for, as of the versions of the holdings together. */
interface Memo {
  readonly version: number
  readonly names: readonly string[]
  readonly derivable: readonly RoleNode[]
  readonly doubted: readonly RoleNode[]
}

// To make it anew takes about as long.
const WORTH_GOING_THROUGH = 64

const NOTHING: readonly string[] = Object.freeze([])
const NO_ROLES: readonly RoleNode[] = Object.freeze([])
const NO_HOLDINGS: readonly never[] = Object.freeze([])

function derivedOf(from: RoleNode | Holding['roles']): Iterable<RoleNode> {
  return from instanceof RoleNode ? from.derives : from.derivable
}
