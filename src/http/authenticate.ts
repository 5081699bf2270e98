import type { FastifyRequest } from 'fastify'
import { eventId } from '../audit/event.ts'
import type { Caller } from '../authn/caller.ts'
import * as contract from '../contract/authenticate.ts'
import { actorOf, type Pdp } from '../pdp.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import { builtInRoles } from '../snapshot/tenant-snapshot.ts'
import type { AccessTokens } from './access-token.ts'
import type { Authenticator } from './authenticator.ts'
import { callOf } from './guard.ts'
import { originOf } from './origin.ts'
import { problemInstead } from './problem.ts'
import type { App } from './server.ts'

export interface AuthenticateParts {
  readonly pdp: Pdp
  readonly snapshots: Snapshots
  readonly tokens: AccessTokens
  readonly authenticator: Authenticator
  readonly clock: () => number
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
      const caller = await authenticator.callerOf(request, request.body.api_key)
      const { tenant, subject, key_id } = caller
      const roles = await rolesOf(parts, request, caller)
      const access_token = tokens.issue({ tenant, subject, key: key_id ?? '' }, clock())
      await pdp.record(
        {
          ...eventId(clock()),
          tenant,
          type: 'authentication',
          actor: actorOf(caller, tenant),
          subject,
          action: { name: 'pdp:authenticate' },
          resource: null,
          context: { method: request.body.method },
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
      return { access_token, token_type: 'Bearer', expires_in: tokens.lifetime, tenant, subject, roles }
    },
  })
  app.route({ ...contract.jwks, handler: async () => ({ keys: tokens.keys() }) })
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
    return caller.key_roles ?? builtInRoles(tenant, subject, clock())
  })
  return roles ?? authenticator.refuse(request, caller.tenant)
}
