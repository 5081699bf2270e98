import { type CompiledPolicy, CompiledRule, type Place, type Validity } from './compiled-rule.ts'
import { alwaysErrs, type Condition } from './condition.ts'
import { Conditions } from './conditions.ts'
import { EntityKeys } from './entity-keys.ts'
import { IdKeys } from './id-keys.ts'
import { Interned } from './interned.ts'
import { Key } from './key.ts'
import { KeyNews } from './key-news.ts'
import type { EntityRef, Permission, ResourceSelector, Role, Rule, SubjectSelector } from './model.ts'
import { actionPattern, idPattern, isAnyId, type Pattern } from './pattern.ts'
import { RoleGraph, RoleNode } from './roles.ts'

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
  /** Keys that came or mean something else. By one that went nothing is found, until it comes again as another one. */
  readonly news = new KeyNews()
  readonly any = new Key('any', '', '', 0)
  readonly subjects = new EntityKeys('subject')
  readonly ancestors = new EntityKeys('ancestor')
  /** By type of resource. */
  readonly ids = new Map<string, IdKeys>()
  readonly roles = new RoleGraph(this.news)
  readonly conditions = new Conditions()
  readonly #anybody: readonly Key[] = [this.any]
  readonly #actions = new Interned<readonly Pattern[]>()
  // Any resource of a type.
  readonly #types = new Interned<readonly Place[]>()

  get isEmpty(): boolean {
    const { subjects, ancestors, ids, roles, conditions } = this
    const named = [subjects, ancestors, roles, conditions, this.#actions, this.#types]
    return ids.size === 0 && named.every(({ isEmpty }) => isEmpty)
  }

  /** Each pattern of actions that a rule or a permission has. */
  *actionPatterns(): Generator<Pattern> {
    for (const patterns of this.#actions.values()) yield* patterns
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
    for (const key of rule.subjects) this.#releaseSubject(key)
    for (const { text } of rule.actions) this.#actions.release(text)
    for (const place of rule.resources) this.#releasePlace(place)
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
    const { name, policy, allows, priority, place } = identity
    // Each member by itself: with the identity spread into it, a rule took twice as long to load.
    return new CompiledRule({
      name,
      policy,
      allows,
      priority,
      place,
      subjects: flat(selectors.map((selector) => this.#subject(selector))),
      actions: flat(actions.map((text) => this.#actions.take(text, (made) => [actionPattern(made)]))),
      resources: flat(resources.map((selector) => this.#place(selector))),
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

  #subject(selector: SubjectSelector): readonly Key[] {
    if ('role' in selector) return this.roles.take(selector.role).itself
    return 'any' in selector ? this.#anybody : [this.#taken(this.subjects.take(selector))]
  }

  #taken(key: Key): Key {
    if (key.users === 1) this.news.tell(key)
    return key
  }

  #releaseSubject(key: Key): void {
    if (key instanceof RoleNode) this.roles.release(key)
    else if (key !== this.any) this.subjects.release(key)
  }

  #place({ type, id, within }: ResourceSelector): readonly Place[] {
    if (id === undefined && within === undefined) return this.#types.take(type, wholeType)
    const pattern = id === undefined ? undefined : idPattern(id)
    const ancestor = within === undefined ? undefined : this.#taken(this.ancestors.take(within))
    const idKey = pattern === undefined || isAnyId(pattern) ? undefined : this.#takeId(type, pattern)
    const foundBy = rarer(idKey, ancestor)
    const isCompared = !saysAll(foundBy, pattern, idKey, ancestor)
    return [{ type, id: pattern, within: ancestor, idKey, foundBy, isCompared }]
  }

  #takeId(type: string, pattern: Pattern): Key | undefined {
    const ofType = this.ids.get(type) ?? new IdKeys(type)
    const key = ofType.take(pattern)
    if (key === undefined) return undefined
    this.ids.set(type, ofType)
    return this.#taken(key)
  }

  #releasePlace({ type, id, within, idKey }: Place): void {
    if (id === undefined && within === undefined) this.#types.release(type)
    if (within !== undefined) this.ancestors.release(within)
    if (idKey === undefined) return
    const ofType = this.ids.get(type)
    ofType?.release(idKey)
    if (ofType?.isEmpty) this.ids.delete(type)
  }
}

/** Of one list, that list itself: most rules have one subject, one action and one resource, and share the lists too. */
function flat<T>(lists: readonly (readonly T[])[]): readonly T[] {
  const [first = [], second] = lists
  return second === undefined ? first : lists.flat()
}

function wholeType(type: string): readonly Place[] {
  return [{ type, id: undefined, within: undefined, idKey: undefined, foundBy: undefined, isCompared: false }]
}

function rarer(idKey: Key | undefined, ancestor: Key | undefined): Key | undefined {
  if (idKey === undefined || ancestor === undefined) return idKey ?? ancestor
  return idKey.users <= ancestor.users ? idKey : ancestor
}

/** Whether a place matches wherever what it is found by holds. */
function saysAll(
  foundBy: Key | undefined,
  pattern: Pattern | undefined,
  idKey: Key | undefined,
  ancestor: Key | undefined,
): boolean {
  if (pattern === undefined || isAnyId(pattern)) return true
  return pattern.kind !== 'other' && pattern.kind !== 'segment' && foundBy === idKey && ancestor === undefined
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
