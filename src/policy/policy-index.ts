import type { PolicyChange } from './change.ts'
import { CompiledPolicy, type CompiledRule } from './compiled-rule.ts'
import { Compiler } from './compiler.ts'
import { alwaysErrs, type Condition } from './condition.ts'
import type { Key } from './key.ts'
import {
  DEFAULT_SETTINGS,
  type EntityType,
  inForce,
  type Policy,
  type Role,
  type Rule,
  type Settings,
} from './model.ts'
import { type PropertyCheck, propertyCheck } from './property-check.ts'
import { RuleIndex } from './rule-index.ts'
import { VagueRules } from './vague-rules.ts'
import { byText } from './wide-map.ts'

interface CompiledRole {
  readonly permissions: readonly CompiledRule[]
  /** Of a derived role. */
  readonly condition: Condition | undefined
  readonly quarantined: boolean
}

/** One tenant's policy, compiled. Changes are applied in place, each wholly within its call. */
export class PolicyIndex {
  #settings: Required<Settings> = DEFAULT_SETTINGS
  readonly #types = new Map<string, EntityType>()
  readonly #protected = new Map<string, ReadonlySet<string>>()
  readonly #checks = new Map<string, PropertyCheck>()
  readonly #policies = new Map<string, CompiledPolicy>()
  readonly #defined = new Set<CompiledPolicy>()
  readonly #required = new Set<CompiledPolicy>()
  readonly #rules = byText<CompiledRule>()
  readonly #roles = byText<CompiledRole>()
  #quarantined = 0
  #decisions = 0
  #stamp: object = {}

  readonly shared = new Compiler()
  readonly vague = new VagueRules()
  readonly rules: RuleIndex

  /** `makeRules` is for tests, which show that they would find a broken index. */
  constructor(makeRules = (any: Key): RuleIndex => new RuleIndex(any)) {
    this.rules = makeRules(this.shared.any)
  }

  /** Another object after each change of rules or roles: what was made of the index is told by it to be old. */
  get stamp(): object {
    return this.#stamp
  }

  get settings(): Required<Settings> {
    return this.#settings
  }

  get types(): ReadonlyMap<string, EntityType> {
    return this.#types
  }

  /** Rules, permissions and derived roles that could not be compiled: they never allow, and always deny. */
  get quarantined(): number {
    return this.#quarantined
  }

  /** How many rules there are; the permissions of roles are not counted. */
  get size(): number {
    return this.#rules.size
  }

  /** No rule and no role, and nothing left of any. */
  get isEmpty(): boolean {
    return this.#policies.size === 0 && this.rules.isEmpty && this.shared.isEmpty
  }

  get requiredPolicies(): Iterable<CompiledPolicy> {
    return this.#required
  }

  /** The number of a decision, with which it marks what holds for it. */
  nextDecision(): number {
    return ++this.#decisions
  }

  /** Undefined: the type protects nothing. */
  protectedProperties(type: string): ReadonlySet<string> | undefined {
    return this.#protected.get(type)
  }

  /** What judges properties, by the names of the types that declare a schema. */
  get propertyChecks(): ReadonlyMap<string, PropertyCheck> {
    return this.#checks
  }

  /** Takes what a change says of settings, types, policies, roles and rules; other kinds are none of its business. */
  apply(change: PolicyChange): void {
    if (change.kind === 'settings') this.#settings = inForce(change.after)
    else if (change.kind === 'type') this.#putType(change.key.name, change.after)
    else if (change.kind === 'policy') this.#putPolicy(change.key.name, change.after)
    else if (change.kind === 'role') this.#putRole(change.key.name, change.after)
    else if (change.kind === 'rule') this.#putRule(change.key.name, change.after)
  }

  #putType(name: string, type: EntityType | null): void {
    this.#types.delete(name)
    this.#protected.delete(name)
    this.#checks.delete(name)
    if (type === null) return
    this.#types.set(name, type)
    const check = propertyCheck(type)
    if (check !== undefined) this.#checks.set(name, check)
    if (type.protected_properties?.length) this.#protected.set(name, new Set(type.protected_properties))
  }

  #putPolicy(name: string, definition: Policy | null): void {
    const policy = this.#policy(name)
    policy.define(definition ?? undefined)
    if (definition === null) this.#defined.delete(policy)
    else this.#defined.add(policy)
    if (policy.required) this.#required.add(policy)
    else this.#required.delete(policy)
    this.#tidy(policy)
  }

  #putRole(name: string, role: Role | null): void {
    this.#stamp = {}
    const old = this.#roles.get(name)
    if (old !== undefined) this.#dropRole(name, old)
    if (role === null) return
    const text = role.derived?.condition
    const condition = text === undefined ? undefined : this.shared.conditions.take(text)
    const quarantined = text !== undefined && condition === undefined
    if (quarantined) this.#quarantined++
    this.shared.roles.define(role, text === undefined ? undefined : (condition ?? alwaysErrs(text)))
    const policy = this.#policy('roles')
    const permissions = (role.permissions ?? []).map((permission, place) =>
      this.#file(this.shared.permission(permission, role, place, policy)),
    )
    this.#tidy(policy)
    this.#roles.set(name, { permissions, condition, quarantined })
  }

  #dropRole(name: string, { permissions, condition, quarantined }: CompiledRole): void {
    this.#roles.delete(name)
    for (const permission of permissions) this.#unfile(permission)
    this.shared.roles.undefine(name)
    if (condition !== undefined) this.shared.conditions.release(condition)
    if (quarantined) this.#quarantined--
  }

  #putRule(name: string, rule: Rule | null): void {
    this.#stamp = {}
    const old = this.#rules.get(name)
    if (old !== undefined) {
      this.#rules.delete(name)
      this.#unfile(old)
    }
    if (rule === null || rule.enabled === false) return
    this.#rules.set(name, this.#file(this.shared.rule(rule, this.#policy(rule.policy ?? 'default'))))
  }

  #file(rule: CompiledRule): CompiledRule {
    this.rules.add(rule)
    this.vague.add(rule)
    rule.policy.users++
    if (rule.quarantined) this.#quarantined++
    return rule
  }

  #unfile(rule: CompiledRule): void {
    this.rules.remove(rule)
    this.vague.remove(rule)
    this.shared.release(rule)
    rule.policy.users--
    this.#tidy(rule.policy)
    if (rule.quarantined) this.#quarantined--
  }

  #policy(name: string): CompiledPolicy {
    let policy = this.#policies.get(name)
    if (policy === undefined) {
      policy = new CompiledPolicy(name)
      this.#policies.set(name, policy)
    }
    return policy
  }

  #tidy(policy: CompiledPolicy): void {
    if (policy.users === 0 && !this.#defined.has(policy)) this.#policies.delete(policy.name)
  }
}
