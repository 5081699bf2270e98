import { Budget } from './budget.ts'
import type { CompiledRule } from './compiled-rule.ts'
import { factsFor, type LoadedBundle } from './in-memory.ts'
import type { AccessRequest, Bundle, Decision, Effect, Permission, Rule } from './model.ts'
import { PolicyIndex } from './policy-index.ts'
import { Question } from './question.ts'
import { reachedBy, type Why, why } from './why.ts'

/**
 * How far the cases of a policy go: in how many of them a rule decided, and whether both ways were seen: of the cases
 * about its actions and resources one that came to the opposite, and its condition both met and not.
 */
export interface Covered {
  /** Into the bundle. */
  readonly pointer: string
  /** As in answers: `policy/name`. */
  readonly rule: string
  /** Of a role's permission: which, from 1. */
  readonly permission: number | null
  readonly effect: Effect
  readonly decided: number
  readonly missing: readonly Missing[]
}

export interface CoveredRole {
  readonly pointer: string
  readonly role: string
  /** Cases whose subject held it. */
  readonly held: number
  /** Those of them that were decided by it, or by what it inherits: by a permission, or a rule for its holders. */
  readonly decided: number
  readonly missing: readonly ('held' | 'decided')[]
}

export type Missing = 'decided' | 'allow' | 'deny' | 'condition_holds' | 'condition_fails'

export interface CoverageReport {
  /** Disabled rules are left out. */
  readonly rules: readonly Covered[]
  readonly permissions: readonly Covered[]
  readonly roles: readonly CoveredRole[]
}

interface Tally {
  readonly pointer: string
  readonly rule: string
  readonly place: number
  readonly effect: Effect
  readonly conditional: boolean
  /** Whether it leaves out some of what its actions and resources are asked for. */
  readonly selective: boolean
  readonly parts: Pick<Rule, 'subjects' | 'actions' | 'resources'>
  decided: number
  allow: number
  deny: number
  condition_holds: number
  condition_fails: number
}

export class Coverage {
  readonly #policy: LoadedBundle
  readonly #bundle: Bundle
  readonly #rules: readonly Tally[]
  readonly #permissions: readonly Tally[]
  readonly #all: readonly Tally[]
  readonly #byKey = new Map<string, Tally[]>()
  readonly #about: PolicyIndex
  readonly #roles = new Map<string, { held: number; decided: number }>()

  constructor(bundle: Bundle, policy: LoadedBundle) {
    this.#policy = policy
    this.#bundle = bundle
    this.#rules = (bundle.rules ?? []).flatMap((rule, place) =>
      rule.enabled === false ? [] : [tallyRule(rule, place)],
    )
    this.#permissions = (bundle.roles ?? []).flatMap(({ name, permissions = [] }, at) =>
      permissions.map((permission, place) => tallyPermission(name, permission, at, place)),
    )
    this.#all = [...this.#rules, ...this.#permissions]
    for (const tally of this.#all) {
      const there = this.#byKey.get(tally.rule)
      if (there === undefined) this.#byKey.set(tally.rule, [tally])
      else there.push(tally)
    }
    for (const { name } of bundle.roles ?? []) this.#roles.set(name, { held: 0, decided: 0 })
    this.#about = indexAbout(this.#all)
  }

  /** A case that was asked, with the answer. `now` in milliseconds since 1970. */
  add(request: AccessRequest, now: number, decision: Decision): void {
    const seen = why(this.#policy, request, now)
    const byRules = decision.reason === 'allowed_by_rule' || decision.reason === 'denied_by_rule'
    const deciding = byRules ? this.#deciding(decision.rules, seen) : []
    for (const tally of deciding) tally.decided++
    this.#countConditions(seen)
    for (const tally of this.#allAbout(request, now)) tally[decision.decision ? 'allow' : 'deny']++
    this.#countRoles(deciding, seen.roles)
  }

  report(): CoverageReport {
    const roles = (this.#bundle.roles ?? []).map(({ name }, place): CoveredRole => {
      const { held, decided } = this.#roles.get(name) ?? { held: 0, decided: 0 }
      const missing = held === 0 ? (['held', 'decided'] as const) : decided === 0 ? (['decided'] as const) : []
      return { pointer: `/roles/${place}`, role: name, held, decided, missing }
    })
    return {
      rules: this.#rules.map((tally) => covered(tally, null)),
      permissions: this.#permissions.map((tally) => covered(tally, tally.place + 1)),
      roles,
    }
  }

  /** What is named as having decided: of a role's permissions, those that applied. */
  #deciding(rules: readonly string[], { considered }: Why): Tally[] {
    const named = new Set(rules)
    return considered.flatMap(({ rule, place, outcome }) =>
      outcome === 'applies' && named.has(rule) ? this.#tallies(rule, place) : [],
    )
  }

  #tallies(rule: string, place: number): Tally[] {
    return (this.#byKey.get(rule) ?? []).filter((tally) => tally.place === place)
  }

  #countConditions({ considered }: Why): void {
    for (const { rule, place, outcome } of considered) {
      for (const tally of this.#tallies(rule, place)) {
        if (outcome === 'condition_fails') tally.condition_fails++
        if (outcome === 'applies') tally.condition_holds++
      }
    }
  }

  #allAbout(request: AccessRequest, now: number): Tally[] {
    const question = new Question(this.#about, factsFor(this.#policy.lookup, request), request, now, new Budget())
    const found: CompiledRule[] = []
    this.#about.rules.collect(question, found)
    return found.flatMap(({ name }) => this.#all[Number(name)] ?? [])
  }

  #countRoles(deciding: readonly Tally[], held: readonly string[]): void {
    const named = new Set<string>()
    for (const { parts } of deciding) {
      for (const selector of parts.subjects) if ('role' in selector) named.add(selector.role)
    }
    for (const role of held) {
      const tally = this.#roles.get(role)
      if (tally === undefined) continue
      tally.held++
      if (reachedBy(this.#policy.index, role).some((reached) => named.has(reached))) tally.decided++
    }
  }
}

const NOTHING_YET = { decided: 0, allow: 0, deny: 0, condition_holds: 0, condition_fails: 0 }

function tallyRule(rule: Rule, place: number): Tally {
  const { policy = 'default', name, effect } = rule
  const identity = { pointer: `/rules/${place}`, rule: `${policy}/${name}`, place: 0, effect }
  const conditional = isConditional(rule)
  const isForSome = !rule.subjects.some((selector) => 'any' in selector)
  const selective = conditional || isForSome || Boolean(rule.valid_from) || Boolean(rule.valid_until)
  return { ...identity, conditional, selective, parts: rule, ...NOTHING_YET }
}

function tallyPermission(role: string, permission: Permission, at: number, place: number): Tally {
  const { actions, resources } = permission
  const identity = {
    pointer: `/roles/${at}/permissions/${place}`,
    rule: `roles/${role}`,
    place,
    effect: 'allow',
  } as const
  const parts = { subjects: [{ role }], actions, resources }
  return { ...identity, conditional: isConditional(permission), selective: true, parts, ...NOTHING_YET }
}

function isConditional({ condition }: Pick<Permission, 'condition'>): boolean {
  return typeof condition === 'string'
}

/** An index of the same actions and resources for anybody, whose rules are named by their places among `all`. */
function indexAbout(all: readonly Tally[]): PolicyIndex {
  const index = new PolicyIndex()
  all.forEach(({ parts, effect }, place) => {
    const { actions, resources } = parts
    const after: Rule = { name: String(place), effect, subjects: [{ any: true }], actions, resources }
    index.apply({ kind: 'rule', key: { name: after.name }, operation: 'create', before: null, after })
  })
  return index
}

function covered(tally: Tally, permission: number | null): Covered {
  const { pointer, rule, effect, decided } = tally
  return {
    pointer,
    rule,
    permission,
    effect,
    decided,
    missing: wantedOf(tally).filter((branch) => tally[branch] === 0),
  }
}

/** Both ways, where there are two: an unconditional deny for anybody is never escaped. */
function wantedOf({ effect, conditional, selective }: Tally): Missing[] {
  const other = effect === 'allow' ? 'deny' : 'allow'
  return [
    'decided',
    ...(selective ? ([other] as const) : []),
    ...(conditional ? (['condition_holds', 'condition_fails'] as const) : []),
  ]
}
