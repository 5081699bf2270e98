import type { FastifyRequest } from 'fastify'
import type { GotWith } from '../../authn/authenticate.ts'
import type { Caller } from '../../authn/caller.ts'
import type { TrustedTokens } from '../../authn/issuer/trusted-tokens.ts'
import type { LogIn } from '../../authn/login.ts'
import type { SessionLimits, SessionStore } from '../../authn/session.ts'
import type { Pdp } from '../../pdp.ts'
import type { Properties } from '../../policy/model.ts'
import { callerRoles } from '../../snapshot/caller-roles.ts'
import type { Snapshots } from '../../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../../snapshot/tenant-snapshot.ts'
import type { AccessTokens } from '../access-token.ts'
import type { Authenticator } from '../authenticator.ts'
import type { Throttles } from '../throttle.ts'

export interface AuthenticateParts {
  readonly pdp: Pdp
  readonly snapshots: Snapshots
  readonly tokens: AccessTokens
  readonly trustedTokens: TrustedTokens
  readonly authenticator: Authenticator
  readonly throttles: Throttles
  readonly logIn: LogIn
  readonly sessions: SessionStore
  /** Comes back when this process knows of every session that has been ended. */
  readonly learnRevoked: () => Promise<void>
  readonly clock: () => number
}

/** Who has shown a credential that is good, and what the access token is to say. */
export interface Admission {
  readonly caller: Caller
  readonly of: GotWith
  /** The built-in roles held at this moment. */
  readonly roles: readonly string[]
  readonly refresh_token?: string
  /** When the access token ends at the latest: with the session, or the token that it was got with. ms since the epoch. */
  readonly until?: number
  /** What the record says of it, beside the method. */
  readonly context?: Properties
}

/** The built-in roles of a caller that may call at all: of a suspended tenant, or disabled, it gets no token. */
export async function rolesOf(
  { snapshots, authenticator, clock }: AuthenticateParts,
  request: FastifyRequest,
  caller: Caller,
): Promise<readonly string[]> {
  const roles = await snapshots.withEntity(caller.tenant, caller.subject, (tenant, subject) => {
    if (tenant.status === 'suspended' || subject.disabled) return undefined
    return callerRoles(caller, tenant, subject, clock())
  })
  return roles ?? authenticator.refuse(request, caller.tenant, { subject: caller.subject })
}

export function limitsOf({ index }: TenantSnapshot): SessionLimits {
  const { session_idle_seconds, session_lifetime_seconds } = index.settings
  return { idle_s: session_idle_seconds, lifetime_s: session_lifetime_seconds }
}

export function inSession(tenant: string, subject: Caller['subject'], session_id: string): Caller {
  return { tenant, subject, method: 'access_token', key_id: null, key_roles: null, session_id, issuer: null }
}
