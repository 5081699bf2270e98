import type { GivenCapability } from './capability.ts'
import type { PolicyChange } from './change.ts'
import { CompiledPolicy, type CompiledRule } from './compiled-rule.ts'
import { Compiler } from './compiler.ts'
import { alwaysErrs, type Condition, compileCondition, isFault } from './condition.ts'
import { Holdings } from './holdings.ts'
import type { Key } from './key.ts'
import { KeyTable } from './key-table.ts'
import { DEFAULT_SETTINGS, type EntityType, type Policy, type Role, type Rule, type Settings } from './model.ts'
import { type PropertyCheck, propertyCheck } from './property-check.ts'
import { type Fault, Quarantine, type Quarantined } from './quarantine.ts'
import type { Quota } from './quota.ts'
import { QuotaIndex } from './quota-index.ts'
import { RuleIndex } from './rule-index.ts'
import {
  soundCapability,
  soundPermission,
  soundPolicy,
  soundQuota,
  soundRole,
  soundRule,
  soundSettings,
  soundType,
} from './soundness.ts'
import { VagueRules } from './vague-rules.ts'
import { byText } from './wide-map.ts'

interface CompiledRole {
  readonly permissions: readonly CompiledRule[]
  /** Of a derived role. */
  readonly condition: Condition | undefined
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
  readonly #rules = new KeyTable<CompiledRule>()
  readonly #capabilities = new KeyTable<CompiledRule>()
  readonly #roles = byText<CompiledRole>()
  readonly #doubtfulTypes = new Set<string>()
  #precedenceInDoubt = false
  #decisions = 0

  /** What is stored and is not what it should be. */
  readonly quarantine = new Quarantine()

  readonly shared = new Compiler()
  readonly vague = new VagueRules()
  readonly rules: RuleIndex
  readonly holdings: Holdings
  readonly quotas: QuotaIndex

  /** `makeRules` is for tests, which show that they would find a broken index. */
  constructor(makeRules = (any: Key): RuleIndex => new RuleIndex(any)) {
    this.rules = makeRules(this.shared.any)
    this.holdings = new Holdings(this.shared.roles, this.shared.news, this.rules.hung)
    this.quotas = new QuotaIndex(this.shared, this.rules, this.vague)
  }

  get settings(): Required<Settings> {
    return this.#settings
  }

  get types(): ReadonlyMap<string, EntityType> {
    return this.#types
  }

  /** Documents that are quarantined: an error in them never becomes an allow. */
  get quarantined(): number {
    return this.quarantine.size + this.shared.roles.cyclic
  }

  /** Why a document is quarantined; undefined: it is not, or is not there. */
  faultOf(kind: Quarantined, name: string): string | undefined {
    const role = kind === 'role' ? this.shared.roles.get(name) : undefined
    return this.quarantine.reason(kind, name) ?? (role?.cyclic === true ? CYCLE : undefined)
  }

  /** All documents that are quarantined. */
  *faults(): Generator<Fault> {
    yield* this.quarantine.all()
    for (const { name, doubt } of this.shared.roles.doubted) {
      if (doubt === undefined) yield { kind: 'role', name, reason: CYCLE }
    }
  }

  /** How many rules there are; the permissions of roles and capabilities are not counted. */
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

  /** Properties of the type, or a request's that may be laid over the stored ones, cannot be told. */
  isInDoubt(type: string, isRequested: boolean): boolean {
    return (isRequested && this.#precedenceInDoubt) || this.#doubtfulTypes.has(type)
  }

  /**
   * Takes what a change says of settings, types, policies, roles, rules, capabilities and quotas; other kinds are none of its
   * business. Throws nothing, whatever stands in it.
   */
  apply(change: PolicyChange): void {
    if (change.kind === 'settings') this.#putSettings(change.after)
    else if (change.kind === 'type') this.#putType(change.key.name, change.after)
    else if (change.kind === 'policy') this.#putPolicy(change.key.name, change.after)
    else if (change.kind === 'role') this.#putRole(change.key.name, change.after)
    else if (change.kind === 'rule') this.#putRule(change.key.name, change.after)
    else if (change.kind === 'capability') this.#putCapability(change.key.id, change.after)
    else if (change.kind === 'quota') this.#putQuota(change.key.name, change.after)
  }

  #putSettings(stored: Settings | null): void {
    const { document, fault, inDoubt } = soundSettings(stored)
    this.#settings = document
    this.#precedenceInDoubt = inDoubt
    this.quarantine.set('settings', '', fault)
  }

  #putType(name: string, stored: EntityType | null): void {
    this.#types.delete(name)
    this.#protected.delete(name)
    this.#checks.delete(name)
    this.#doubtfulTypes.delete(name)
    this.quarantine.set('type', name, undefined)
    if (stored === null) return
    const { document: type, fault } = soundType(name, stored)
    this.quarantine.set('type', name, fault)
    if (fault !== undefined) this.#doubtfulTypes.add(name)
    this.#types.set(name, type)
    const check = propertyCheck(type)
    if (check !== undefined) this.#checks.set(name, check)
    if (type.protected_properties?.length) this.#protected.set(name, new Set(type.protected_properties))
  }

  #putPolicy(name: string, stored: Policy | null): void {
    const policy = this.#policy(name)
    const sound = stored === null ? undefined : soundPolicy(name, stored)
    policy.define(sound?.document, sound?.inDoubt)
    this.quarantine.set('policy', name, sound?.fault)
    if (stored === null) this.#defined.delete(policy)
    else this.#defined.add(policy)
    if (policy.required) this.#required.add(policy)
    else this.#required.delete(policy)
    this.#tidy(policy)
  }

  // What is there is taken out only when what comes is in: what both name stays, and nobody who was told of it before
  // has to look again. Nor is a condition compiled twice.

  #putRole(name: string, stored: Role | null): void {
    const old = this.#roles.get(name)
    if (stored === null) {
      if (old !== undefined) this.#dropRole(name, old)
      return
    }
    const { document: role, fault, doubt } = soundRole(name, stored)
    const node = this.shared.roles.take(name)
    const text = role.derived?.condition
    const condition = text === undefined ? undefined : this.shared.conditions.take(text)
    const { permissions, fault: permissionFault } = this.#filePermissions(role)
    if (old !== undefined) this.#dropRole(name, old)
    this.shared.roles.define(role, text === undefined ? undefined : (condition ?? alwaysErrs(text)), doubt)
    this.shared.roles.release(node)
    this.#roles.set(name, { permissions, condition })
    const isUncompiled = text !== undefined && condition === undefined
    const derived = isUncompiled ? `/derived${conditionFault(text)}` : undefined
    this.quarantine.set('role', name, fault ?? derived ?? permissionFault)
  }

  #filePermissions(role: Role): { readonly permissions: CompiledRule[]; readonly fault: string | undefined } {
    const policy = this.#policy('roles')
    let fault: string | undefined
    const permissions = (role.permissions ?? []).map((each, place) => {
      const sound = soundPermission(each)
      const compiled = this.#file(
        this.shared.permission(sound.document, role, place, policy, sound.fault === undefined),
      )
      if (compiled.quarantined) fault ??= `/permissions/${place}${faultOfCompiled(compiled, sound.fault)}`
      return compiled
    })
    this.#tidy(policy)
    return { permissions, fault }
  }

  #dropRole(name: string, { permissions, condition }: CompiledRole): void {
    this.#roles.delete(name)
    this.quarantine.set('role', name, undefined)
    for (const permission of permissions) this.#unfile(permission)
    this.shared.roles.undefine(name)
    if (condition !== undefined) this.shared.conditions.release(condition)
  }

  #putRule(name: string, stored: Rule | null): void {
    const old = this.#rules.find(name)
    const sound = stored === null ? undefined : soundRule(name, stored)
    const made = sound === undefined || sound.document.enabled === false ? undefined : this.#makeRule(sound)
    if (old !== undefined) {
      this.#rules.remove(old)
      this.#unfile(old)
      if (old.quarantined) this.quarantine.set('rule', name, undefined)
    }
    if (made === undefined) return
    this.#rules.add(made)
    if (made.quarantined) this.quarantine.set('rule', name, faultOfCompiled(made, sound?.fault))
  }

  #putCapability(id: string, stored: GivenCapability | null): void {
    const old = this.#capabilities.find(id)
    const sound = stored === null ? undefined : soundCapability(id, stored)
    const made = sound === undefined ? undefined : this.#makeRule(sound)
    if (old !== undefined) {
      this.#capabilities.remove(old)
      this.#unfile(old)
      if (old.quarantined) this.quarantine.set('capability', id, undefined)
    }
    if (made === undefined) return
    this.#capabilities.add(made)
    if (made.quarantined) this.quarantine.set('capability', id, faultOfCompiled(made, sound?.fault))
  }

  #putQuota(name: string, stored: Quota | null): void {
    const sound = stored === null ? undefined : soundQuota(name, stored)
    this.quotas.put(name, sound?.document.enabled === false ? undefined : sound)
    this.quarantine.set('quota', name, sound?.fault)
  }

  #makeRule({ document: rule, fault }: ReturnType<typeof soundRule>): CompiledRule {
    return this.#file(this.shared.rule(rule, this.#policy(rule.policy ?? 'default'), fault === undefined))
  }

  #file(rule: CompiledRule): CompiledRule {
    this.rules.add(rule)
    this.vague.add(rule)
    rule.policy.users++
    return rule
  }

  #unfile(rule: CompiledRule): void {
    this.rules.remove(rule)
    this.vague.remove(rule)
    this.shared.release(rule)
    rule.policy.users--
    this.#tidy(rule.policy)
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

const CYCLE = 'it builds on itself, by way of the roles that it inherits or is derived from'

function faultOfCompiled({ condition }: CompiledRule, fault: string | undefined): string {
  return fault ?? conditionFault(condition?.text ?? '')
}

function conditionFault(text: string): string {
  const fault = compileCondition(text)
  if (!isFault(fault)) return 'an instant cannot be read'
  return `/condition: line ${fault.line}, column ${fault.column}: ${fault.detail}`
}
