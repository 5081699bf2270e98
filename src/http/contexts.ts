import type { FastifyRequest } from 'fastify'
import { type ContextAdministration, contextOf, type Shown } from '../administration/contexts.ts'
import type { AuditEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { ContextRefusal, VerifiedContext } from '../authn/context/tokens.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/contexts.ts'
import { Failure } from '../failure.ts'
import { actorOf } from '../pdp/event.ts'
import type { Pdp } from '../pdp.ts'
import type { EntityRef } from '../policy/model.ts'
import { type Call, callOf } from './guard.ts'
import type { App } from './server.ts'

export interface ContextRouteParts {
  readonly contexts: ContextAdministration
  readonly pdp: Pdp
  /** ms since the epoch. */
  readonly clock: () => number
}

/** What became of a context, as it is recorded: never its token. */
type Happening = 'created' | 'propagated' | 'received' | 'expired' | 'revoked' | 'refused'

interface Told {
  readonly event: Happening
  readonly status: number
  /** Undefined: it can't be told which it is. */
  readonly id: string | undefined
  readonly of?: EntityRef | undefined
  readonly [more: string]: unknown
}

export function contextRoutes(app: App, { contexts, pdp, clock }: ContextRouteParts): void {
  const keep = async (request: FastifyRequest, told: Told) => {
    const call = callOf(request)
    await pdp.record(happened(call, told, clock()), call.audit_mode)
    call.recorded = true
  }

  /** Fails, once that is recorded, where a token is not good. */
  const good = async (request: FastifyRequest, token: string): Promise<VerifiedContext> => {
    const shown = await contexts.show(callOf(request).tenant, token)
    if (shown.refused === undefined) return shown.verified
    await keep(request, refusedAs(shown))
    throw refused(shown.refused)
  }

  app.route({
    ...contract.createContext,
    handler: async (request, reply) => {
      const { tenant, caller } = callOf(request)
      const issued = await contexts.create(tenant, caller.subject, request.body)
      await keep(request, { event: 'created', status: 201, ...recordOf(issued) })
      return reply.code(201).send(issued)
    },
  })
  app.route({
    ...contract.attenuateContext,
    handler: async (request, reply) => {
      const { token, ...asked } = request.body
      const context = await good(request, token)
      try {
        const issued = await contexts.attenuate(callOf(request).caller.subject, context, asked)
        await keep(request, { event: 'propagated', status: 201, ...recordOf(issued) })
        return reply.code(201).send(issued)
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== 'unprocessable') throw error
        const { jti: id, subject: of } = context.claims
        await keep(request, { event: 'refused', status: 422, id, of, at: error.problems.map(({ pointer }) => pointer) })
        throw error
      }
    },
  })
  app.route({
    ...contract.receiveContext,
    handler: async (request) => {
      const { claims } = await good(request, request.body.token)
      await keep(request, { event: 'received', status: 200, id: claims.jti, of: claims.subject })
      return contextOf(claims)
    },
  })
  app.route({
    ...contract.listContexts,
    handler: (request) => contexts.list(callOf(request).tenant, request.query, pageOf(request.query)),
  })
  app.route({
    ...contract.getContext,
    handler: (request) => contexts.get(callOf(request).tenant, request.params.id),
  })
  app.route({
    ...contract.deleteContext,
    handler: async (request, reply) => {
      const { id } = request.params
      const of = await contexts.revoke(callOf(request).tenant, id)
      await keep(request, { event: 'revoked', status: 204, id, of })
      return reply.code(204).send()
    },
  })
}

const DETAILS: Readonly<Record<ContextRefusal, string>> = {
  context_invalid: 'the token is no context of this tenant (context_invalid)',
  context_expired: 'the context has expired (context_expired)',
  context_revoked: 'the context, or one that it was narrowed from, is revoked (context_revoked)',
}

function refused(why: ContextRefusal): Failure {
  const detail = DETAILS[why]
  return new Failure('unprocessable', detail, { problems: [{ pointer: '/token', detail }] })
}

function refusedAs({ refused: why, verified }: Shown): Told {
  const named = { status: 422, id: verified?.claims.jti, of: verified?.claims.subject }
  return why === 'context_expired' ? { event: 'expired', ...named } : { event: 'refused', ...named, refused: why }
}

/** All that was signed, so that the trail says what was handed on. */
function recordOf({ id, subject: of, level, quotas, capabilities, parents, expires_at }: contract.Context) {
  return { id, of, level, quotas, capabilities, parents, expires_at }
}

function happened(call: Call, { id, of, ...said }: Told, now: number): AuditEvent {
  const { caller, tenant, permission, origin, began, rules } = call
  return {
    ...eventId(now),
    tenant,
    type: 'administration',
    actor: actorOf(caller, tenant),
    subject: caller.subject,
    action: { name: permission.action },
    resource: { type: 'pdp:context', id: id ?? '*' },
    context: { ...said, ...(of !== undefined && { of }) },
    decision: true,
    reason: 'allowed_by_rule',
    rules,
    obligations: [],
    revision: null,
    ...origin,
    duration_us: Math.round((performance.now() - began) * 1000),
  }
}
