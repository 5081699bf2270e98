import { bareEntity, type PdpPermission } from '../policy/built-in.ts'
import type { EntityFacts } from '../policy/entity-graph.ts'
import type { Decision } from '../policy/model.ts'
import type { Decider } from './decider.ts'

/** What a permission asks of the policy `pdp`: the same for each call of a route, so it is made once. */
const askedBy = new WeakMap<PdpPermission, { action: { name: string }; resource: EntityFacts }>()

function askedOf(permission: PdpPermission) {
  const known = askedBy.get(permission)
  if (known !== undefined) return known
  const made = { action: { name: permission.action }, resource: bareEntity({ type: permission.type, id: '*' }) }
  askedBy.set(permission, made)
  return made
}

/**
 * What the policy `pdp` has said to a list of roles. It depends on these and the permission alone, and the list of a key is
 * the same object in each of its calls.
 */
const permitted = new WeakMap<readonly string[], WeakMap<PdpPermission, Decision>>()

function permittedTo(roles: readonly string[]): WeakMap<PdpPermission, Decision> {
  const known = permitted.get(roles)
  if (known !== undefined) return known
  const made = new WeakMap<PdpPermission, Decision>()
  permitted.set(roles, made)
  return made
}

/** Whether a caller who holds these built-in roles may do this, by the policy `pdp` alone. */
export function permit(
  decider: Pick<Decider, 'byBuiltIn'>,
  caller: EntityFacts,
  roles: readonly string[],
  permission: PdpPermission,
): Decision {
  const said = permittedTo(roles)
  const known = caller.disabled ? undefined : said.get(permission)
  if (known !== undefined) return known
  const { action, resource } = askedOf(permission)
  const decision = decider.byBuiltIn({ subject: caller, resource }, roles, { subject: caller, action, resource })
  if (!caller.disabled) said.set(permission, decision)
  return decision
}
