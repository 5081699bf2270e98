import type { CompiledPolicy, CompiledRule } from '../compiled-rule.ts'
import type { Key } from '../key.ts'
import { matches } from '../pattern.ts'
import type { PolicyIndex } from '../policy-index.ts'
import type { Extent } from './extent.ts'
import { EVERYTHING, isEverything } from './extent.ts'

/** What a search knows of the requests that it is about. */
export interface Sought {
  readonly index: PolicyIndex
  /** Of the resource. */
  readonly type: string
  readonly action: string
  /** ms since 1970. */
  readonly now: number
}

/** Walks over keys, to those by which some rule about this type and action is found. */
export function* rulesAt(
  { index, type, action }: Sought,
  keys: Iterable<Key | undefined>,
  into: Set<CompiledRule>,
  isOne: (rule: CompiledRule) => boolean,
): Generator<undefined> {
  const sites = index.rules.sitesOf({ type, action })
  for (const key of keys) {
    yield
    if (key === undefined || !key.isAt(sites)) continue
    for (const rule of key.rules()) {
      if (!into.has(rule) && isOne(rule)) into.add(rule)
      yield
    }
  }
}

/** Tells the rules that may allow something now: nothing is allowed without one. */
export function mayAllow({ index, type, action, now }: Sought): (rule: CompiledRule) => boolean {
  const at = index.nextDecision()
  return ({ allows, quarantined, policy, validity, actions }) =>
    allows &&
    // What errs never allows.
    !quarantined &&
    !policy.inDoubt &&
    policy.isAsked(type, action, at) &&
    (validity === undefined || (now >= validity.from && now < validity.until)) &&
    actions.some((pattern) => matches(pattern, action))
}

/**
 * Where the rules may allow something. Every required policy must itself come to allow, by a rule of its own: so one
 * that narrows more than all rules together is enough to look at.
 */
export function narrowest(
  { index, type, action }: Sought,
  rules: Iterable<CompiledRule>,
  extentsOf: (rules: readonly CompiledRule[]) => readonly Extent[],
): readonly Extent[] {
  const all = [...rules]
  const at = index.nextDecision()
  let narrow: readonly Extent[] | undefined
  for (const policy of index.requiredPolicies) {
    if (!policy.isAsked(type, action, at)) continue
    const extents = extentsOf(all.filter((rule) => isOf(rule, policy)))
    if (extents.length === 0) return extents
    if (!isEverything(extents)) narrow ??= extents
  }
  if (narrow !== undefined) return narrow
  const extents = extentsOf(all)
  return isEverything(extents) ? EVERYTHING : extents
}

function isOf(rule: CompiledRule, policy: CompiledPolicy): boolean {
  return rule.policy === policy
}
