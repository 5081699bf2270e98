import type { FastifyRequest } from 'fastify'
import type { Caller } from '../../authn/caller.ts'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { isBuiltIn } from '../../policy/built-in.ts'
import { type Admission, type AuthenticateParts, rolesOf } from './admission.ts'

/**
 * By a token of an issuer that the tenant trusts. The access token lives no longer than it, names the issuer's registration
 * and ends with that. A token may be shown again as long as it is valid: it is its bearer's, like the access token.
 */
export async function byToken(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { tenant: id, token }: CredentialOf<'token'>,
): Promise<Admission> {
  const { snapshots, trustedTokens, authenticator, clock } = parts
  const tenant = await snapshots.tenant(id)
  if (tenant === undefined) return authenticator.refuse(request, undefined, { context: { method: 'token' } })
  const refuse = (refused: string, issuer: string | null) =>
    authenticator.refuse(request, id, { context: { method: 'token', refused, ...(issuer !== null && { issuer }) } })
  const identity = await trustedTokens.verify(id, tenant.issuers, token, clock())
  if ('code' in identity) return refuse(identity.code, identity.issuer)
  const { subject, registration, jti, expires } = identity
  const { name, allowed_roles: allowed } = registration.issuer
  // Within the tolerance of its clock a token may have passed its end.
  if (expires - clock() < 1000) return refuse('expired', name)
  const given = identity.roles.filter(isBuiltIn)
  const issuer = { name, roles: given, allowed }
  const caller: Caller = {
    tenant: id,
    subject,
    method: 'access_token',
    key_id: null,
    key_roles: null,
    session_id: null,
    issuer,
  }
  const roles = await rolesOf(parts, request, caller)
  const of = { issuer: { name, version: registration.version, roles: given } }
  return { caller, of, roles, until: expires, context: { issuer: name, jti } }
}
