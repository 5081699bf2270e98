import type { FastifyRequest } from 'fastify'
import { type AuditEvent, eventId } from '../audit/event.ts'
import { type Authenticated, authenticate } from '../authn/authenticate.ts'
import type { Caller } from '../authn/caller.ts'
import { FailedAttempts, type Uncounted } from '../authn/failed-attempts.ts'
import { Failure } from '../failure.ts'
import type { Pdp } from '../pdp.ts'
import type { Properties } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { AccessTokens } from './access-token.ts'
import { header, originOf } from './origin.ts'

/** Says who calls, and keeps the record of who could not say. */
export interface Authenticator {
  /** Fails with `unauthenticated`, once the refusal is recorded. */
  caller(request: FastifyRequest): Caller | Promise<Caller>
  /** The same for a credential that came in a body. */
  callerOf(request: FastifyRequest, credential: string): Promise<Caller>
  /** Records a refusal in the tenant that the credential names, where it names one, and fails with `unauthenticated`. */
  refuse(request: FastifyRequest, tenant: string | undefined, context?: Properties): Promise<never>
  /** Records a call for a token that came to neither a token nor a refusal: a malformed one, say. */
  failed(request: FastifyRequest, status: number): Promise<void>
  /** Records what was too much to be recorded singly: `past` every minute or so, `all` when the process ends. */
  drain(which: 'past' | 'all'): Promise<void>
}

export interface AuthenticatorParts {
  readonly pdp: Pdp
  readonly snapshots: Snapshots
  readonly tokens: AccessTokens
  readonly clock: () => number
}

const SYSTEM = 'system'
const REFUSED = 'invalid_credential'

export function createAuthenticator({ pdp, snapshots, tokens, clock }: AuthenticatorParts): Authenticator {
  const failed = new FailedAttempts()
  const source = {
    findApiKey: (id: string) => snapshots.findApiKey(id),
    verifyToken: (token: string, now: number) => tokens.verify(token, now),
    findIssuer: (id: string, name: string) => {
      const tenant = snapshots.tenant(id)
      return tenant instanceof Promise
        ? tenant.then((found) => found?.issuers.named(name))
        : tenant?.issuers.named(name)
    },
  }

  async function refuse(request: FastifyRequest, tenant: string | undefined, context?: Properties): Promise<never> {
    const now = clock()
    if (failed.isRecordedSingly(request.ip, now)) {
      const event = failureEvent(now, tenant ?? SYSTEM, originOf(request), REFUSED, context ?? null)
      await pdp.record(event, 'journal')
    }
    throw new Failure('unauthenticated', 'no valid credential came with the request')
  }

  function settle(request: FastifyRequest, authenticated: Authenticated): Caller | Promise<Caller> {
    if (authenticated.caller !== undefined) return authenticated.caller
    return refuse(request, authenticated.tenant)
  }

  async function recordCount(uncounted: Uncounted, now: number): Promise<void> {
    const { address, count } = uncounted
    const origin = { ip: address, user_agent: null, request_id: null, trace_id: null }
    try {
      await pdp.record(failureEvent(now, SYSTEM, origin, REFUSED, { count }), 'journal')
    } catch (error) {
      failed.putBack(uncounted)
      throw error
    }
  }

  return {
    refuse,
    caller(request) {
      const authenticating = authenticate(source, header(request, 'authorization'), clock())
      if (!(authenticating instanceof Promise)) return settle(request, authenticating)
      return authenticating.then((authenticated) => settle(request, authenticated))
    },
    async callerOf(request, credential) {
      return settle(request, await authenticate(source, `Bearer ${credential}`, clock()))
    },
    async failed(request, status) {
      const now = clock()
      if (!failed.isRecordedSingly(request.ip, now)) return
      const reason = status < 500 ? 'invalid_request' : 'unavailable'
      await pdp.record(failureEvent(now, SYSTEM, originOf(request), reason, { status }), 'journal')
    },
    async drain(which) {
      const now = clock()
      await Promise.all(failed.drain(now, which).map((uncounted) => recordCount(uncounted, now)))
    },
  }
}

function failureEvent(
  now: number,
  tenant: string,
  origin: Pick<AuditEvent, 'ip' | 'user_agent' | 'request_id' | 'trace_id'>,
  reason: string,
  context: AuditEvent['context'],
): AuditEvent {
  return {
    ...eventId(now),
    tenant,
    type: 'authentication',
    actor: null,
    subject: null,
    action: { name: 'pdp:authenticate' },
    resource: null,
    context,
    decision: false,
    reason,
    rules: [],
    obligations: [],
    revision: null,
    ...origin,
    duration_us: null,
  }
}
