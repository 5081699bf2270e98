import type { FastifyRequest } from 'fastify'
import type { AuditEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import { type Authenticated, authenticate, type CredentialSource, type TokenClaims } from '../authn/authenticate.ts'
import type { Caller } from '../authn/caller.ts'
import { LastCredentials, readCredential } from '../authn/credential.ts'
import { FailedAttempts, type Uncounted } from '../authn/failed-attempts.ts'
import type { KeyUse } from '../authn/key-use.ts'
import { Failure } from '../failure.ts'
import type { Pdp } from '../pdp.ts'
import type { EntityRef, Properties } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { AccessTokens } from './access-token.ts'
import { header, originOf } from './origin.ts'

/** Says who calls, and keeps the record of who could not say. */
export interface Authenticator {
  /** Fails with `unauthenticated`, once the refusal is recorded. */
  caller(request: FastifyRequest): Caller | Promise<Caller>
  /** The same for a credential that came in a body. */
  callerOf(request: FastifyRequest, credential: string): Promise<Caller>
  /** What the access token of a request says; undefined where it came with none. */
  claimsOf(request: FastifyRequest): TokenClaims | undefined
  /**
   * Records a refusal in the tenant that the credential names, where it names one, and fails with `unauthenticated`, or
   * with `throttled` where there is a time to wait.
   */
  refuse(request: FastifyRequest, tenant: string | undefined, refused?: Refused): Promise<never>
  /** Records a call for a token that came to neither a token nor a refusal: a malformed one, say. */
  failed(request: FastifyRequest, status: number): Promise<void>
  /** Records what was too much to be recorded singly: `past` every minute or so, `all` when the process ends. */
  drain(which: 'past' | 'all'): Promise<void>
}

/** What a record says of a refusal; to whom it is answered, all are the same. */
export interface Refused {
  readonly reason?: string
  /** Whose the credential is, where there is such a one. */
  readonly subject?: EntityRef | null
  readonly context?: Properties
  /** Seconds; 0 or absent: no time would help. */
  readonly retryAfter?: number
}

export interface AuthenticatorParts {
  readonly pdp: Pdp
  readonly snapshots: Snapshots
  readonly tokens: AccessTokens
  readonly keyUse: KeyUse
  readonly isRevoked: (id: string) => boolean
  readonly clock: () => number
}

const SYSTEM = 'system'

export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  const { pdp, tokens, keyUse, clock } = parts
  const failed = new FailedAttempts()
  const presented = new LastCredentials()
  const source = sourceOf(parts)

  async function refuse(request: FastifyRequest, tenant: string | undefined, refused: Refused = {}): Promise<never> {
    const now = clock()
    if (failed.isRecordedSingly(request.ip, now)) {
      await pdp.record(failureEvent(now, tenant ?? SYSTEM, originOf(request), refused), 'journal')
    }
    const { retryAfter = 0 } = refused
    if (retryAfter > 0) throw new Failure('throttled', 'too many failed attempts from this address', { retryAfter })
    throw new Failure('unauthenticated', 'no valid credential came with the request')
  }

  function settle(request: FastifyRequest, authenticated: Authenticated): Caller | Promise<Caller> {
    const { caller } = authenticated
    if (caller !== undefined) {
      keyUse.note(caller, clock())
      return caller
    }
    return refuse(request, authenticated.tenant)
  }

  async function recordCount(uncounted: Uncounted, now: number): Promise<void> {
    const { address, count } = uncounted
    const origin = { ip: address, user_agent: null, request_id: null, trace_id: null }
    try {
      await pdp.record(failureEvent(now, SYSTEM, origin, { context: { count } }), 'journal')
    } catch (error) {
      failed.putBack(uncounted)
      throw error
    }
  }

  return {
    refuse,
    caller(request) {
      const credential = presented.read(request.raw.socket, header(request, 'authorization'))
      const authenticating = authenticate(source, credential, clock())
      if (!(authenticating instanceof Promise)) return settle(request, authenticating)
      return authenticating.then((authenticated) => settle(request, authenticated))
    },
    async callerOf(request, credential) {
      return settle(request, await authenticate(source, readCredential(`Bearer ${credential}`), clock()))
    },
    claimsOf(request) {
      const credential = readCredential(header(request, 'authorization'))
      return credential?.key === undefined ? credential && tokens.verify(credential.token, clock()) : undefined
    },
    async failed(request, status) {
      const now = clock()
      if (!failed.isRecordedSingly(request.ip, now)) return
      const reason = status < 500 ? 'invalid_request' : 'unavailable'
      await pdp.record(failureEvent(now, SYSTEM, originOf(request), { reason, context: { status } }), 'journal')
    },
    async drain(which) {
      const now = clock()
      await Promise.all(failed.drain(now, which).map((uncounted) => recordCount(uncounted, now)))
    },
  }
}

/** What credentials are held against. */
function sourceOf({ snapshots, tokens, isRevoked }: AuthenticatorParts): CredentialSource {
  function inTenant<T>(id: string, read: (tenant: TenantSnapshot) => T): T | undefined | Promise<T | undefined> {
    const tenant = snapshots.tenant(id)
    if (tenant instanceof Promise) return tenant.then((found) => found && read(found))
    return tenant && read(tenant)
  }

  return {
    findApiKey: (id) => snapshots.findApiKey(id),
    verifyToken: (token, now) => tokens.verify(token, now),
    isRevoked,
    isTenant: (id) => {
      const tenant = snapshots.tenant(id)
      return tenant instanceof Promise ? tenant.then((found) => found !== undefined) : tenant !== undefined
    },
    findIssuer: (id, name) => inTenant(id, ({ issuers }) => issuers.named(name)),
  }
}

function failureEvent(
  now: number,
  tenant: string,
  origin: Pick<AuditEvent, 'ip' | 'user_agent' | 'request_id' | 'trace_id'>,
  { reason = 'invalid_credential', subject = null, context }: Refused,
): AuditEvent {
  return {
    ...eventId(now),
    tenant,
    type: 'authentication',
    actor: null,
    subject,
    action: { name: 'pdp:authenticate' },
    resource: null,
    context: context ?? null,
    decision: false,
    reason,
    rules: [],
    obligations: [],
    revision: null,
    ...origin,
    duration_us: null,
  }
}
