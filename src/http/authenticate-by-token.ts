import type { FastifyRequest } from 'fastify'
import type { Caller } from '../authn/caller.ts'
import type { TrustedTokens } from '../authn/issuer/trusted-tokens.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import type { Properties } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { AccessTokens } from './access-token.ts'
import type { Authenticator } from './authenticator.ts'

export interface TokenParts {
  readonly snapshots: Snapshots
  readonly tokens: AccessTokens
  readonly trustedTokens: TrustedTokens
  readonly authenticator: Authenticator
  readonly clock: () => number
}

/** Who has shown a credential, and the access token that is to be had for it. */
export interface SignedIn {
  readonly caller: Caller
  /** What the record says of how it came about. */
  readonly context: Properties
  /** Seconds. */
  readonly lifetime: number
  readonly access_token: () => string
}

/**
 * By a token of an issuer that the tenant trusts. The access token lives no longer than it, names the issuer's registration
 * and ends with that. A token may be shown again as long as it is valid: it is its bearer's, like the access token.
 */
export async function signInByToken(
  { snapshots, tokens, trustedTokens, authenticator, clock }: TokenParts,
  request: FastifyRequest,
  { tenant: id, token }: { readonly tenant: string; readonly token: string },
): Promise<SignedIn> {
  const tenant = await snapshots.tenant(id)
  if (tenant === undefined) return authenticator.refuse(request, undefined, { method: 'token' })
  const identity = await trustedTokens.verify(id, tenant.issuers, token, clock())
  if ('code' in identity) {
    const { code, issuer } = identity
    return authenticator.refuse(request, id, { method: 'token', refused: code, ...(issuer !== null && { issuer }) })
  }
  const { subject, registration, jti, expires } = identity
  const { name, allowed_roles } = registration.issuer
  const now = clock()
  const lifetime = Math.min(tokens.lifetime, Math.floor((expires - now) / 1000))
  // Within the tolerance of its clock a token may have passed its end.
  if (lifetime < 1) return authenticator.refuse(request, id, { method: 'token', refused: 'expired', issuer: name })
  const roles = identity.roles.filter(isBuiltIn)
  const issuer = { name, version: registration.version, roles }
  return {
    caller: {
      tenant: id,
      subject,
      method: 'access_token',
      key_id: null,
      key_roles: null,
      issuer: { name, roles, allowed: allowed_roles },
    },
    context: { method: 'token', issuer: name, jti },
    lifetime,
    access_token: () => tokens.issue({ tenant: id, subject, issuer }, now, lifetime),
  }
}
