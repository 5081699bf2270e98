import type { CompiledRule, Place } from '../compiled-rule.ts'
import type { EntityFacts } from '../entity-graph.ts'
import type { Key } from '../key.ts'
import type { EntityRef } from '../model.ts'
import { inForce, Moment } from '../moment.ts'
import { isAnyId } from '../pattern.ts'
import type { PolicyIndex } from '../policy-index.ts'
import type { RoleNode } from '../roles.ts'
import { mayAllow, narrowest, rulesAt, type Sought } from './allows.ts'
import { ALL, EVERYTHING, type Extent, isEverything } from './extent.ts'

/** Where a key of the subject may hold: within these alone, or (undefined among them) everywhere. */
type Scopes = (EntityRef | undefined)[]
const EVERYWHERE: Scopes = [undefined]

/** Where to look for resources of a type that the subject may do the action on: what rules that may allow it are about. */
export function* whatMay(sought: Sought, subject: EntityFacts): Generator<undefined, readonly Extent[]> {
  const { index, type } = sought
  const keys = yield* keysOf(index, subject, sought.now)
  const may = mayAllow(sought)
  const isOne = (rule: CompiledRule) =>
    may(rule) && rule.subjects.some((key) => keys.has(key)) && rule.resources.some((place) => isOfType(place, type))
  const rules = new Set<CompiledRule>()
  yield* rulesAt(sought, keys.keys(), rules, isOne)
  const { ids, ancestors } = index.shared
  for (const of of new Set([type, '*'])) yield* rulesAt(sought, ids.get(of)?.keys() ?? [], rules, isOne)
  yield* rulesAt(sought, ancestors.keys(), rules, isOne)
  return narrowest(sought, rules, (some) => extentsOf(some, keys, type))
}

function isOfType(place: Place, type: string): boolean {
  return place.type === '*' || place.type === type
}

function extentsOf(rules: readonly CompiledRule[], keys: ReadonlyMap<Key, Scopes>, type: string): readonly Extent[] {
  const extents: Extent[] = []
  // By the list, which all rules for a role share.
  const scoped = new Set<Scopes>()
  for (const rule of rules) {
    const scopes = rule.subjects.flatMap((key) => [keys.get(key) ?? []])
    const isEverywhere = scopes.includes(EVERYWHERE)
    for (const place of rule.resources) {
      if (!isOfType(place, type)) continue
      if (place.id?.kind === 'exact') extents.push({ kind: 'matching', pattern: place.id })
      else if (!isEverywhere) for (const each of scopes) scoped.add(each)
      else extents.push(extentOf(place))
    }
    if (isEverything(extents)) return EVERYTHING
  }
  for (const ref of [...scoped].flat()) if (ref !== undefined) extents.push({ kind: 'below', ref })
  return extents
}

function extentOf({ id, within }: Place): Extent {
  if (within !== undefined) return { kind: 'below', ref: { type: within.type, id: within.text } }
  return id === undefined || isAnyId(id) ? ALL : { kind: 'matching', pattern: id }
}

/** The keys that may hold for a subject, whatever it is asked about: those of derived roles too, held or not. */
function* keysOf(
  index: PolicyIndex,
  subject: EntityFacts,
  now: number,
): Generator<undefined, ReadonlyMap<Key, Scopes>> {
  const { any, subjects, roles } = index.shared
  const named: Key[] = [any]
  subjects.collect(subject, subject.ancestors, named)
  const keys = new Map<Key, Scopes>(named.map((key) => [key, EVERYWHERE]))
  const moment = new Moment(now)
  const byScope = new Map<EntityRef | undefined, RoleNode[]>()
  for (const assignment of subject.given.flat()) {
    yield
    const role = roles.get(assignment.role)
    if (role === undefined || inForce(assignment, moment) !== 'in_force') continue
    const of = byScope.get(assignment.within)
    if (of === undefined) byScope.set(assignment.within, [role])
    else of.push(role)
  }
  for (const role of reached(byScope.get(undefined) ?? [], keys)) keys.set(role, EVERYWHERE)
  for (const [within, held] of byScope) {
    if (within === undefined) continue
    for (const role of reached(held, keys)) {
      yield
      const scopes = keys.get(role)
      if (scopes === undefined) keys.set(role, [within])
      else if (scopes !== EVERYWHERE) scopes.push(within)
    }
  }
  return keys
}

/** The roles, what they inherit and what is derived from them; but for what holds everywhere already. */
function reached(roles: readonly RoleNode[], keys: ReadonlyMap<Key, Scopes>): ReadonlySet<RoleNode> {
  const all = new Set(roles)
  // Grows while it is walked.
  for (const role of all) {
    if (keys.get(role) === EVERYWHERE) continue
    for (const next of [...role.inherits, ...role.derives]) all.add(next)
  }
  return all
}
