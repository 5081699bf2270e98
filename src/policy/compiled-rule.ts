import type { Condition } from './condition.ts'
import { hashOf } from './hash.ts'
import type { Key } from './key.ts'
import type { Combining, Obligation, Policy } from './model.ts'
import { actionPattern, matches, type Pattern } from './pattern.ts'

/** A policy as rules refer to it, defined or not: what nobody defined has the defaults. */
export class CompiledPolicy {
  readonly name: string
  /** What the keys of its rules begin with. Of two policies, the order of these is the order of all their rules' keys. */
  readonly prefix: string
  combining: Combining = 'deny_overrides'
  required = false
  /** What it is about cannot be told: its rules are in error. */
  inDoubt = false
  #types: ReadonlySet<string> | undefined
  #actions: readonly Pattern[] | undefined
  /** How many rules it has. */
  users = 0
  /** The last decision that asked for its target, and what was found. */
  askedAt = 0
  asked = false

  constructor(name: string) {
    this.name = name
    this.prefix = `${name}/`
  }

  define(policy: Policy | undefined, inDoubt = false): void {
    this.inDoubt = inDoubt
    this.combining = policy?.combining ?? 'deny_overrides'
    this.required = policy?.required ?? false
    const { resource_types, actions } = policy?.target ?? {}
    this.#types = resource_types && new Set(resource_types)
    this.#actions = actions?.map(actionPattern)
  }

  /** Whether its target matches, looked at once a decision. */
  isAsked(type: string, action: string, at: number): boolean {
    if (this.askedAt === at) return this.asked
    this.askedAt = at
    this.asked = this.#targets(type, action)
    return this.asked
  }

  #targets(type: string, action: string): boolean {
    if (this.#types !== undefined && !this.#types.has(type) && !this.#types.has('*')) return false
    return this.#actions === undefined || this.#actions.some((pattern) => matches(pattern, action))
  }
}

/** One way for a rule's resource to match: what is given must all hold. */
export interface Place {
  readonly type: string
  readonly id: Pattern | undefined
  readonly within: Key | undefined
  /** What the id is found by. */
  readonly idKey: Key | undefined
  /** The rarer of the two, by which the rule is found; undefined: by its subject. */
  readonly foundBy: Key | undefined
  /** Whether that says less than the place, so that what is found is compared. */
  readonly isCompared: boolean
}

/** `[from, until)`, in milliseconds since 1970. */
export interface Validity {
  readonly from: number
  readonly until: number
}

export interface RuleParts {
  readonly name: string
  readonly policy: CompiledPolicy
  readonly allows: boolean
  readonly priority: number
  /** Sets apart what has one key: the permissions of a role. */
  readonly place: number
  readonly subjects: readonly Key[]
  readonly actions: readonly Pattern[]
  readonly resources: readonly Place[]
  readonly condition: Condition | undefined
  readonly quarantined: boolean
  readonly obligations: readonly Obligation[]
  readonly validity: Validity | undefined
}

const NO_OBLIGATIONS: readonly Obligation[] = Object.freeze([])

/** A rule or a role's permission, ready to be decided by. What every decision reads stands first, side by side. */
export class CompiledRule {
  /** The last decision that it was a candidate of. */
  seenAt = 0
  /** Filed under more than it means, so that it is compared in whole when it is found. */
  coarse = false
  /** In that decision: its subject matches only by roles that are in error. */
  subjectErred = false
  readonly policy: CompiledPolicy
  readonly validity: Validity | undefined
  readonly condition: Condition | undefined
  /** In that decision: it could not be told whether it applies. */
  erred = false
  readonly allows: boolean
  /** The beginning of the name as a number, which is compared without going to the text. */
  readonly head: number
  readonly key: string
  readonly obligations: readonly Obligation[]
  readonly priority: number
  /** Its name. */
  readonly text: string
  readonly place: number
  /** Some part of it could not be compiled: its condition is then one that always errs. */
  readonly quarantined: boolean
  readonly subjects: readonly Key[]
  readonly actions: readonly Pattern[]
  readonly resources: readonly Place[]
  /** Of its name. */
  readonly hash: number

  constructor(parts: RuleParts) {
    this.allows = parts.allows
    this.policy = parts.policy
    this.condition = parts.condition
    this.validity = parts.validity
    this.head = headOf(parts.name)
    this.key = parts.policy.prefix + parts.name
    this.priority = parts.priority
    this.obligations = parts.obligations.length === 0 ? NO_OBLIGATIONS : parts.obligations
    this.text = parts.name
    this.place = parts.place
    this.quarantined = parts.quarantined
    this.subjects = parts.subjects
    this.actions = parts.actions
    this.resources = parts.resources
    this.hash = hashOf(parts.name)
  }

  get name(): string {
    return this.text
  }
}

// Four characters of seven bits: a name is ASCII, and this still is a small integer.
function headOf(name: string): number {
  let head = 0
  for (let at = 0; at < 4; at++) head = head * 128 + Math.min(name.charCodeAt(at) || 0, 127)
  return head
}

/** The order of answers: by key, and what has one key by its place. */
export function inOrder(a: CompiledRule, b: CompiledRule): number {
  if (a.policy !== b.policy) return a.policy.prefix < b.policy.prefix ? -1 : 1
  if (a.head !== b.head) return a.head - b.head
  if (a.text !== b.text) return a.text < b.text ? -1 : 1
  return a.place - b.place
}
