import { AsResource } from '../as-resource.ts'
import { isAt } from '../candidate.ts'
import type { CompiledRule } from '../compiled-rule.ts'
import type { EntityFacts } from '../entity-graph.ts'
import type { Key } from '../key.ts'
import { RoleNode } from '../roles.ts'
import { mayAllow, narrowest, rulesAt, type Sought } from './allows.ts'
import { EVERYTHING, type Extent } from './extent.ts'

/** Where to look for subjects that may do the action on the resource: whom rules that may allow it name. */
export function* whoMay(sought: Sought, resource: EntityFacts): Generator<undefined, readonly Extent[]> {
  const { index } = sought
  const { any, subjects, roles } = index.shared
  const own = new AsResource(index, resource).keys.all
  const held = new Set(own)
  const place = { type: resource.type, id: resource.id, isHeld: (key: Key) => held.has(key) }
  const may = mayAllow(sought)
  const isOne = (rule: CompiledRule) => may(rule) && rule.resources.some((each) => isAt(each, place))
  const rules = new Set<CompiledRule>()
  for (const keys of [own, [any], subjects.keys(), roles.keys()]) yield* rulesAt(sought, keys, rules, isOne)
  if (rules.size === 0) return []
  const builtOn = yield* builtOnRoles(roles.keys())
  return narrowest(sought, rules, (some) => extentsOf(some, any, builtOn, resource))
}

function extentsOf(
  rules: readonly CompiledRule[],
  any: Key,
  builtOn: BuiltOn,
  resource: EntityFacts,
): readonly Extent[] {
  const keys = new Set(rules.flatMap(({ subjects }) => subjects))
  if (keys.has(any)) return EVERYTHING
  const roles = new Set<RoleNode>()
  const extents: Extent[] = []
  for (const key of keys) {
    if (key instanceof RoleNode) roles.add(key)
    else extents.push({ kind: 'below', ref: { type: key.type, id: key.text } })
  }
  // Grows while it is walked: who has a role that is built on one of these, or that one of these is derived from.
  for (const role of roles) {
    for (const user of builtOn.get(role) ?? []) roles.add(user)
    for (const from of role.derivation?.from ?? []) roles.add(from)
  }
  const within = [resource, ...resource.ancestors]
  for (const { name } of roles) extents.push({ kind: 'holders', role: name, within })
  return extents
}

/** The roles that inherit a role, each by itself. */
type BuiltOn = ReadonlyMap<RoleNode, readonly RoleNode[]>

function* builtOnRoles(roles: Iterable<RoleNode | undefined>): Generator<undefined, BuiltOn> {
  const builtOn = new Map<RoleNode, RoleNode[]>()
  for (const role of roles) {
    yield
    for (const base of role?.inherits ?? []) {
      const users = builtOn.get(base)
      if (users === undefined) builtOn.set(base, role === undefined ? [] : [role])
      else if (role !== undefined) users.push(role)
    }
  }
  return builtOn
}
