import { type CompiledPolicy, CompiledRule, type Place, type Validity } from './compiled-rule.ts'
import { alwaysErrs, type Condition } from './condition.ts'
import { Conditions } from './conditions.ts'
import { EntityKeys, Key } from './keys.ts'
import type { EntityRef, Permission, ResourceSelector, Role, Rule, SubjectSelector } from './model.ts'
import { actionPattern, idPattern } from './pattern.ts'
import { RoleGraph } from './roles.ts'

type Parts = Pick<
  Rule,
  'subjects' | 'actions' | 'resources' | 'condition' | 'obligations' | 'valid_from' | 'valid_until'
>

interface Identity {
  readonly name: string
  readonly policy: CompiledPolicy
  readonly allows: boolean
  readonly priority: number
  readonly place: number
  /** It is what the model says, as far as can be told without compiling it. */
  readonly isSound: boolean
}

/** What stands for a part that is not what it should be: it matches everything. */
const ANY_SUBJECT: readonly SubjectSelector[] = [{ any: true }]
const ANY_ACTION: readonly string[] = ['*']
const ANY_RESOURCE: readonly ResourceSelector[] = [{ type: '*' }]

/**
 * Turns rules into what is decided by, with what they share: entities, roles and conditions are one object each.
 * A rule that cannot be compiled (an older version wrote it, or a hand) is quarantined: what is wrong in it matches
 * everything and its condition always errs, so that as an allow it never applies, and as a deny it does.
 */
export class Compiler {
  readonly any = new Key()
  readonly subjects = new EntityKeys()
  readonly resources = new EntityKeys()
  readonly roles = new RoleGraph()
  readonly conditions = new Conditions()

  get isEmpty(): boolean {
    const { subjects, resources, roles, conditions } = this
    return subjects.isEmpty && resources.isEmpty && roles.isEmpty && conditions.isEmpty
  }

  rule(rule: Rule, policy: CompiledPolicy, isSound = true): CompiledRule {
    const allows = rule.effect === 'allow'
    return this.#compile(rule, { name: rule.name, policy, allows, priority: rule.priority ?? 0, place: 0, isSound })
  }

  permission(
    permission: Permission,
    { name }: Role,
    place: number,
    policy: CompiledPolicy,
    isSound = true,
  ): CompiledRule {
    const subjects = [{ role: name }]
    return this.#compile({ ...permission, subjects }, { name, policy, allows: true, priority: 0, place, isSound })
  }

  /** Gives back what a rule shares. */
  release(rule: CompiledRule): void {
    for (const selector of rule.selectors) this.#releaseSubject(selector)
    for (const { withinRef } of rule.resources) if (withinRef !== undefined) this.resources.release(withinRef)
    if (rule.condition !== undefined && !rule.quarantined) this.conditions.release(rule.condition)
  }

  #compile(parts: Parts, identity: Identity): CompiledRule {
    const from = instant(parts.valid_from, Number.NEGATIVE_INFINITY)
    const until = instant(parts.valid_until, Number.POSITIVE_INFINITY)
    const selectors = areAll(parts.subjects, isSubject) ? parts.subjects : ANY_SUBJECT
    const actions = areAll(parts.actions, isText) ? parts.actions : ANY_ACTION
    const resources = areAll(parts.resources, isResource) ? parts.resources : ANY_RESOURCE
    const whole = selectors === parts.subjects && actions === parts.actions && resources === parts.resources
    const obligations = parts.obligations ?? []
    const sound = identity.isSound && whole && Array.isArray(obligations) && !Number.isNaN(from) && !Number.isNaN(until)
    const { condition, quarantined } = this.#condition(parts.condition ?? undefined, sound)
    const { isSound: _isSound, ...named } = identity
    return new CompiledRule({
      ...named,
      selectors,
      subjects: selectors.map((selector) => this.#subject(selector)),
      actions: actions.map(actionPattern),
      resources: resources.map((selector) => this.#place(selector)),
      condition,
      quarantined,
      obligations: Array.isArray(obligations) ? obligations : [],
      validity: sound ? validityOf(from, until) : undefined,
    })
  }

  #condition(text: string | undefined, sound: boolean): { condition: Condition | undefined; quarantined: boolean } {
    if (!sound) return { condition: alwaysErrs(text ?? ''), quarantined: true }
    if (text === undefined) return { condition: undefined, quarantined: false }
    const condition = this.conditions.take(text)
    return { condition: condition ?? alwaysErrs(text), quarantined: condition === undefined }
  }

  #subject(selector: SubjectSelector): Key {
    if ('role' in selector) {
      const { key } = this.roles.take(selector.role)
      key.users++
      return key
    }
    return 'any' in selector ? this.any : this.subjects.take(selector)
  }

  #releaseSubject(selector: SubjectSelector): void {
    if ('any' in selector) return
    const node = 'role' in selector ? this.roles.get(selector.role) : undefined
    if (!('role' in selector)) this.subjects.release(selector)
    if (node === undefined) return
    node.key.users--
    this.roles.release(node)
  }

  #place({ type, id, within }: ResourceSelector): Place {
    return {
      type,
      id: id === undefined ? undefined : idPattern(id),
      within: within === undefined ? undefined : this.resources.take(within),
      withinRef: within,
    }
  }
}

/** NaN: no instant. */
function instant(text: string | null | undefined, otherwise: number): number {
  return text === undefined || text === null ? otherwise : Date.parse(text)
}

function validityOf(from: number, until: number): Validity | undefined {
  return from === Number.NEGATIVE_INFINITY && until === Number.POSITIVE_INFINITY ? undefined : { from, until }
}

function areAll(list: unknown, isOne: (item: unknown) => boolean): boolean {
  return Array.isArray(list) && list.every(isOne)
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

type Loose<T> = T extends unknown ? { [K in keyof T]?: unknown } : never

function isSubject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { role, any }: { role?: unknown; any?: unknown } = value
  return isText(role) || any === true || isRef(value)
}

function isRef(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { type, id }: Loose<EntityRef> = value
  return isText(type) && isText(id)
}

function isResource(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { type, id, within }: Loose<ResourceSelector> = value
  return isText(type) && (id === undefined || isText(id)) && (within === undefined || isRef(within))
}
