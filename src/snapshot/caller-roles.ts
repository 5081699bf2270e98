import type { Caller } from '../authn/caller.ts'
import type { EntityFacts } from '../policy/entity-graph.ts'
import { builtInRoles, type TenantSnapshot } from './tenant-snapshot.ts'

/**
 * The built-in roles that a caller holds for a call: those of its key, or what its subject holds at this moment (ms). Who
 * came with an issuer's token holds what the token gave besides, and nothing that the issuer's registration does not
 * allow: an issuer can say of anybody that it is them.
 */
export function callerRoles(
  { key_roles, issuer }: Caller,
  tenant: TenantSnapshot,
  subject: EntityFacts,
  now: number,
): readonly string[] {
  if (key_roles !== null) return key_roles
  const assigned = builtInRoles(tenant, subject, now)
  if (issuer === null) return assigned
  return issuer.allowed.filter(
    (role) =>
      role.startsWith('pdp:') &&
      (assigned.includes(role) || issuer.roles.includes(role)) &&
      (role !== 'pdp:operator' || tenant.id === 'system'),
  )
}
