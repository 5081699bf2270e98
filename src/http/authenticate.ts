import type { FastifyRequest } from 'fastify'
import { eventId } from '../audit/event.ts'
import type { Caller } from '../authn/caller.ts'
import * as contract from '../contract/authenticate.ts'
import { actorOf, type Pdp } from '../pdp.ts'
import { callerRoles } from '../snapshot/caller-roles.ts'
import { type SignedIn, signInByToken, type TokenParts } from './authenticate-by-token.ts'
import { callOf } from './guard.ts'
import { originOf } from './origin.ts'
import { problemInstead } from './problem.ts'
import type { App } from './server.ts'

export interface AuthenticateParts extends TokenParts {
  readonly pdp: Pdp
}

/** For everybody: a credential against an access token, and the keys that such tokens are verified with. */
export function openAuthenticateRoutes(app: App, parts: AuthenticateParts): void {
  const { pdp, tokens, authenticator, clock } = parts
  app.route({
    ...contract.authenticate,
    // A token that was given or refused has its record.
    onSend: (request, reply, payload, done) => {
      if (reply.statusCode < 400 || reply.statusCode === 401) return done(null, payload)
      authenticator.failed(request, reply.statusCode).then(
        () => done(null, payload),
        (error: unknown) => done(null, problemInstead(error, request, reply)),
      )
    },
    handler: async (request) => {
      const began = performance.now()
      const { body } = request
      const signedIn =
        body.method === 'token' ? await signInByToken(parts, request, body) : await signInByKey(parts, request, body)
      const { caller, context, lifetime: expires_in } = signedIn
      const { tenant, subject } = caller
      const roles = await rolesOf(parts, request, caller)
      const access_token = signedIn.access_token()
      await pdp.record(
        {
          ...eventId(clock()),
          tenant,
          type: 'authentication',
          actor: actorOf(caller, tenant),
          subject,
          action: { name: 'pdp:authenticate' },
          resource: null,
          context,
          decision: true,
          reason: null,
          rules: [],
          obligations: [],
          revision: null,
          ...originOf(request),
          duration_us: Math.round((performance.now() - began) * 1000),
        },
        'journal',
      )
      return { access_token, token_type: 'Bearer', expires_in, tenant, subject, roles }
    },
  })
  app.route({ ...contract.jwks, handler: async () => ({ keys: tokens.keys() }) })
}

async function signInByKey(
  { tokens, authenticator, clock }: AuthenticateParts,
  request: FastifyRequest,
  { api_key }: { readonly api_key: string },
): Promise<SignedIn> {
  const caller = await authenticator.callerOf(request, api_key)
  const { tenant, subject, key_id: key } = caller
  // An access token that no key stands behind is not to be had anew by itself, for ever.
  if (key === null) return authenticator.refuse(request, tenant)
  return {
    caller,
    context: { method: 'api_key' },
    lifetime: tokens.lifetime,
    access_token: () => tokens.issue({ tenant, subject, key }, clock()),
  }
}

export function ownRoutes(app: App): void {
  app.route({
    ...contract.me,
    handler: async (request) => {
      const { caller, roles } = callOf(request)
      const { tenant, subject, method, key_id } = caller
      return { tenant, subject, roles, method, key_id }
    },
  })
}

/** The built-in roles of a caller that may call at all: of a suspended tenant, or disabled, it gets no token. */
async function rolesOf(
  { snapshots, authenticator, clock }: AuthenticateParts,
  request: FastifyRequest,
  caller: Caller,
): Promise<readonly string[]> {
  const roles = await snapshots.withEntity(caller.tenant, caller.subject, (tenant, subject) => {
    if (tenant.status === 'suspended' || subject.disabled) return undefined
    return callerRoles(caller, tenant, subject, clock())
  })
  return roles ?? authenticator.refuse(request, caller.tenant)
}
