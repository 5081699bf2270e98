import type { FastifyRequest } from 'fastify'
import type { AuditEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { Caller } from '../authn/caller.ts'
import * as contract from '../contract/authenticate.ts'
import { BODY_LIMIT } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { actorOf } from '../pdp/event.ts'
import type { Admission, AuthenticateParts } from './authenticate/admission.ts'
import { byApiKey } from './authenticate/api-key.ts'
import { byPassword } from './authenticate/password.ts'
import { byRefreshToken } from './authenticate/refresh-token.ts'
import { byToken } from './authenticate/token.ts'
import { callOf } from './guard.ts'
import { originOf } from './origin.ts'
import { problemInstead } from './problem.ts'
import type { App } from './server.ts'

/** Each way to say who one is has a file of its own. What is no good is refused, and recorded, in there. */
function admit(parts: AuthenticateParts, request: FastifyRequest, body: contract.Credential): Promise<Admission> {
  switch (body.method) {
    case 'api_key':
      return byApiKey(parts, request, body)
    case 'password':
      return byPassword(parts, request, body)
    case 'refresh_token':
      return byRefreshToken(parts, request, body)
    case 'token':
      return byToken(parts, request, body)
  }
}

/** How a refusal is answered; from an address that is locked it is a 429. */
const REFUSALS: ReadonlySet<number> = new Set([401, 429])

/** For everybody: a credential against an access token, and the keys that such tokens are verified with. */
export function openAuthenticateRoutes(app: App, parts: AuthenticateParts): void {
  const { pdp, tokens, authenticator, clock } = parts
  app.route({
    ...contract.authenticate,
    bodyLimit: BODY_LIMIT.authenticate,
    onRequest: (request, reply) => parts.throttles.authentication(request, reply),
    // A token that was given or refused has its record.
    onSend: (request, reply, payload, done) => {
      if (reply.statusCode < 400 || REFUSALS.has(reply.statusCode)) return done(null, payload)
      authenticator.failed(request, reply.statusCode).then(
        () => done(null, payload),
        (error: unknown) => done(null, problemInstead(error, request, reply)),
      )
    },
    handler: async (request) => {
      const began = performance.now()
      const { caller, of, roles, refresh_token, until, context: said } = await admit(parts, request, request.body)
      const { tenant, subject } = caller
      const { token, expires_in } = tokens.issue({ tenant, subject, of }, clock(), until)
      const context = { method: request.body.method, ...said }
      await pdp.record(successEvent(request, caller, 'pdp:authenticate', context, clock(), began), 'journal')
      const refresh = refresh_token === undefined ? {} : { refresh_token }
      return { access_token: token, token_type: 'Bearer', expires_in, ...refresh, tenant, subject, roles }
    },
  })
  app.route({ ...contract.jwks, handler: async () => ({ keys: tokens.keys() }) })
}

export function ownRoutes(app: App, parts: AuthenticateParts): void {
  app.route({
    ...contract.revoke,
    handler: async (request, reply) => {
      const call = callOf(request)
      const context = await end(parts, request, call.caller, request.body.all === true)
      await parts.learnRevoked()
      const event = successEvent(request, call.caller, 'pdp:revoke', context, parts.clock(), call.began)
      await parts.pdp.record(event, call.audit_mode)
      call.recorded = true
      return reply.code(204).send()
    },
  })
  app.route({
    ...contract.me,
    handler: async (request) => {
      const { caller, roles } = callOf(request)
      const { tenant, subject, method, key_id, session_id } = caller
      return { tenant, subject, roles, method, key_id, session_id }
    },
  })
}

/** Ends what the call was made with. @returns what the record says of it. */
async function end(
  { sessions, authenticator, clock }: AuthenticateParts,
  request: FastifyRequest,
  { tenant, subject, method, session_id }: Caller,
  all: boolean,
): Promise<Record<string, unknown>> {
  // Who holds a key of somebody's is not that person, nor is whom an issuer names.
  if (all && session_id === null) throw new Failure('unprocessable', 'only who is in a session ends all of them')
  if (all) return { sessions: await sessions.revokeAll(tenant, subject) }
  if (session_id !== null) {
    await sessions.revoke(tenant, session_id)
    return { session: session_id }
  }
  const claims = method === 'access_token' ? authenticator.claimsOf(request) : undefined
  if (claims === undefined) throw new Failure('unprocessable', 'an API key has no session: it ends when it is deleted')
  await sessions.revokeToken(claims.jti, Math.ceil(claims.exp - clock() / 1000))
  return { token: claims.jti }
}

function successEvent(
  request: FastifyRequest,
  caller: Caller,
  action: string,
  context: Record<string, unknown>,
  now: number,
  began: number,
): AuditEvent {
  return {
    ...eventId(now),
    tenant: caller.tenant,
    type: 'authentication',
    actor: actorOf(caller, caller.tenant),
    subject: caller.subject,
    action: { name: action },
    resource: null,
    context,
    decision: true,
    reason: null,
    rules: [],
    obligations: [],
    revision: null,
    ...originOf(request),
    duration_us: Math.round((performance.now() - began) * 1000),
  }
}
