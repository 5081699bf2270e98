import { isDeepStrictEqual } from 'node:util'
import type {
  AccessRequest,
  Bundle,
  Decision,
  EntityRef,
  Obligation,
  Permission,
  Properties,
  Rule,
} from '../../src/policy/model.ts'

/**
 * The reference: what the design says of one decision, read off the documents, without an index and without a thought
 * for speed. A condition is known by its text; `undefined` is an error. What does not compile always errs.
 */
export type Conditions = ReadonlyMap<string, (scope: NaiveScope) => boolean | undefined>

export interface NaiveScope {
  readonly subject: { id: string; properties: Properties; roles: readonly string[] | undefined; known: boolean }
  readonly action: { name: string; properties: Properties }
  readonly resource: { id: string; properties: Properties; known: boolean }
  readonly context: Properties
  readonly now: number
  readonly levels: readonly string[]
}

type Truth = boolean | undefined // undefined: in error

export function naiveDecide(bundle: Bundle, conditions: Conditions, request: AccessRequest, now: number): Decision {
  const { entities = [], roles = [], rules = [], policies = [], types = [], assignments = [], settings = {} } = bundle
  const same = (a: EntityRef, b: EntityRef) => a.type === b.type && a.id === b.id
  const entity = (ref: EntityRef) => entities.find((other) => same(other, ref))
  const role = (name: string) => roles.find((other) => other.name === name)
  const inForce = (from?: string | null, until?: string | null) =>
    (from == null || now >= Date.parse(from)) && (until == null || now < Date.parse(until))

  const above = (ref: EntityRef, seen: EntityRef[] = []): EntityRef[] => {
    if (seen.some((other) => same(other, ref))) return seen
    seen.push({ type: ref.type, id: ref.id })
    for (const parent of entity(ref)?.parents ?? []) above(parent, seen)
    return seen
  }
  const subjects = above(request.subject)
  const resources = above(request.resource)

  // Roles: assigned in force and in scope to the subject or an ancestor, then inherited, then derived.
  const closure = (names: readonly string[], seen: string[] = []): string[] => {
    for (const name of names) {
      if (seen.includes(name)) continue
      seen.push(name)
      closure(role(name)?.inherits ?? [], seen)
    }
    return seen
  }
  const assigned = closure(
    assignments
      .filter((given) => !given.role.startsWith('pdp:') && subjects.some((ref) => same(ref, given.subject)))
      .filter(({ valid_from, valid_until }) => inForce(valid_from, valid_until))
      .filter(({ within }) => within === undefined || resources.some((ref) => same(ref, within)))
      .map((given) => given.role),
  )

  const properties = (ref: AccessRequest['subject']): Properties => {
    const stored = Object.entries(entity(ref)?.properties ?? {})
    const guarded = types.find(({ name }) => name === ref.type)?.protected_properties ?? []
    const asked = Object.entries(ref.properties ?? {}).filter(([name]) => !guarded.includes(name))
    return Object.fromEntries(
      settings.attribute_precedence === 'stored' ? [...asked, ...stored] : [...stored, ...asked],
    )
  }
  const scope = (held: readonly string[] | undefined): NaiveScope => ({
    subject: {
      id: request.subject.id,
      properties: properties(request.subject),
      roles: held,
      known: entity(request.subject) !== undefined,
    },
    resource: {
      id: request.resource.id,
      properties: properties(request.resource),
      known: entity(request.resource) !== undefined,
    },
    action: { properties: {}, ...request.action },
    context: request.context ?? {},
    now,
    levels: settings.levels ?? ['none', 'read_only', 'read_write', 'admin', 'system'],
  })
  const holds = (condition: string | null | undefined, held: readonly string[] | undefined): Truth =>
    condition == null ? true : conditions.get(condition)?.(scope(held))

  const derivable = roles.filter((other) => other.derived !== undefined)
  const outcome = (name: string) => holds(role(name)?.derived?.condition, [...assigned].sort())
  const held = [...assigned]
  for (let before = -1; before < held.length; ) {
    before = held.length
    for (const { name, derived } of derivable) {
      if (derived?.from.some((from) => held.includes(from)) && outcome(name) === true) closure([name], held)
    }
  }
  const unsure: string[] = []
  for (let before = -1; before < unsure.length; ) {
    before = unsure.length
    for (const { name, derived } of derivable) {
      if (held.includes(name)) continue
      const errs = derived?.from.some((from) => held.includes(from))
        ? outcome(name) === undefined
        : derived?.from.some((from) => unsure.includes(from))
      if (errs)
        for (const inherited of closure([name]))
          if (!held.includes(inherited) && !unsure.includes(inherited)) unsure.push(inherited)
    }
  }
  const knownRoles = unsure.length > 0 ? undefined : held.sort()

  // Every rule and every permission, each with whether it applies.
  const permitted = roles.flatMap(({ name, permissions = [] }) =>
    permissions.map(
      (permission: Permission): Rule => ({
        ...permission,
        name,
        policy: 'roles',
        effect: 'allow',
        subjects: [{ role: name }],
      }),
    ),
  )
  const subjectMatches = (rule: Rule): Truth => {
    const truths = rule.subjects.map((selector): Truth => {
      if ('any' in selector) return true
      if (!('role' in selector)) return subjects.some((ref) => same(ref, selector))
      return held.includes(selector.role) || (unsure.includes(selector.role) ? undefined : false)
    })
    return truths.includes(true) || (truths.includes(undefined) ? undefined : false)
  }
  const targeted = (name: string) => {
    const { resource_types, actions } = policies.find((policy) => policy.name === name)?.target ?? {}
    const typed =
      resource_types === undefined || resource_types.includes(request.resource.type) || resource_types.includes('*')
    return typed && (actions === undefined || actions.some((action) => globs(action, request.action.name, true)))
  }
  const resourceMatches = (rule: Rule) =>
    rule.resources.some(
      ({ type, id, within }) =>
        (type === '*' || type === request.resource.type) &&
        (id === undefined || globs(id, request.resource.id, false)) &&
        (within === undefined || resources.some((ref) => same(ref, within))),
    )
  const judged = [...permitted, ...rules]
    .map((rule, place) => ({
      rule,
      place,
      policy: rule.policy ?? 'default',
      key: `${rule.policy ?? 'default'}/${rule.name}`,
    }))
    .filter(
      ({ rule, policy }) => rule.enabled !== false && targeted(policy) && inForce(rule.valid_from, rule.valid_until),
    )
    .filter(
      ({ rule }) => rule.actions.some((action) => globs(action, request.action.name, true)) && resourceMatches(rule),
    )
    .map((one) => {
      const truths = [subjectMatches(one.rule), holds(one.rule.condition, knownRoles)]
      return { ...one, truth: truths.includes(false) ? false : truths.includes(undefined) ? undefined : true }
    })
    .filter(({ truth }) => truth !== false)
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.place - b.place))
  type Judged = (typeof judged)[number]
  const applies = ({ rule, truth }: Judged) => truth === true || rule.effect === 'deny'

  // What each policy comes to, and by which rules.
  const decisive = (name: string, list: Judged[]): Judged[] => {
    const algorithm = policies.find((policy) => policy.name === name)?.combining ?? 'deny_overrides'
    const [first] = [...list].sort((a, b) => (b.rule.priority ?? 0) - (a.rule.priority ?? 0))
    if (algorithm === 'first_applicable') return first === undefined ? [] : [first]
    const winners = list.filter(({ rule }) => rule.effect === (algorithm === 'deny_overrides' ? 'deny' : 'allow'))
    return winners.length > 0 ? winners : list
  }
  const outcomes = [...new Set([...judged.map(({ policy }) => policy), ...policies.map(({ name }) => name)])]
    .sort()
    .map((name) => {
      const own = judged.filter(({ policy }) => policy === name)
      const by = decisive(name, own.filter(applies))
      const surelyBy = decisive(
        name,
        own.filter((one) => one.truth === true),
      )
      return { name, by, surelyBy, effect: by[0]?.rule.effect, sureEffect: surelyBy[0]?.rule.effect }
    })

  const erred = judged.filter(({ truth }) => truth === undefined)
  const satisfied = policies
    .filter(({ name, required }) => required && targeted(name))
    .every(({ name }) => outcomes.find((one) => one.name === name)?.effect === 'allow')
  const answer = (reason: Decision['reason'], by: Judged[], obliging: Judged[]): Decision => {
    const obligations: Obligation[] = []
    for (const one of obliging.flatMap(({ rule }) => rule.obligations ?? []))
      if (!obligations.some((other) => isDeepStrictEqual(one, other))) obligations.push(one)
    const keys = [...new Set(by.map(({ key }) => key))].sort()
    return { decision: reason === 'allowed_by_rule', reason, rules: keys, obligations }
  }
  const denies = judged.filter(({ rule }) => rule.effect === 'deny')
  if (entity(request.subject)?.disabled) return answer('subject_disabled', [], denies)
  const sure = outcomes.filter(({ sureEffect, effect }) => effect === 'deny' && sureEffect === 'deny')
  if (sure.length > 0)
    return answer(
      'denied_by_rule',
      sure.flatMap(({ surelyBy }) => surelyBy),
      denies,
    )
  const allowing = outcomes.filter(({ effect }) => effect === 'allow')
  if (allowing.length > 0 && satisfied && !outcomes.some(({ effect }) => effect === 'deny')) {
    return answer(
      'allowed_by_rule',
      allowing.flatMap(({ by }) => by),
      // In the order of all keys: "a-b/…" stands before "a/…", though "a" does before "a-b".
      judged.filter(
        ({ rule, truth, policy }) =>
          rule.effect === 'allow' && truth && allowing.some((outcome) => outcome.name === policy),
      ),
    )
  }
  if (erred.length > 0) return answer('condition_error', erred, denies)
  return answer(satisfied ? 'no_applicable_rule' : 'required_policy_not_satisfied', [], denies)
}

/** Patterns by trying everything. */
export function globs(pattern: string, text: string, inAction: boolean): boolean {
  const [first] = pattern
  if (first === undefined) return text === ''
  if (first === '\\' && !inAction && pattern.length > 1) {
    const [literal = ''] = pattern.slice(1)
    return text.startsWith(literal) && globs(pattern.slice(1 + literal.length), text.slice(literal.length), inAction)
  }
  const [next = ''] = text
  const rest = text.slice(next.length)
  if (first === '*') {
    const double = inAction || pattern[1] === '*'
    const after = pattern.slice(double && !inAction ? 2 : 1)
    return globs(after, text, inAction) || (next !== '' && (double || next !== '/') && globs(pattern, rest, inAction))
  }
  const matches = first === '?' && !inAction ? next !== '' && next !== '/' : first === next
  return matches && globs(pattern.slice(first.length), rest, inAction)
}
