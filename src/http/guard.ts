import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Read } from '../administration/write.ts'
import { type AuditEvent, eventId } from '../audit/event.ts'
import type { Caller } from '../authn/caller.ts'
import { Failure } from '../failure.ts'
import { type Asking, actorOf, type Pdp } from '../pdp.ts'
import { ACTING_OPERATOR, type PdpPermission } from '../policy/built-in.ts'
import type { EntityFacts } from '../policy/entity-graph.ts'
import type { Decision, Settings } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import { builtInRoles, type TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { Authenticator } from './authenticator.ts'
import { header, originOf } from './origin.ts'
import { problemInstead } from './problem.ts'

/** A call that came past the guard. */
export interface Call extends Asking {
  /** The built-in roles that the caller holds for it. */
  readonly roles: readonly string[]
  readonly permission: PdpPermission
  readonly rules: readonly string[]
  readonly audit_mode: Required<Settings>['audit_mode']
  /** Whether its record is kept already: a call leaves one. */
  recorded: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    call: Call | null
  }
}

export interface GuardParts {
  readonly pdp: Pdp
  readonly snapshots: Snapshots
  readonly authenticator: Authenticator
  readonly clock: () => number
}

const SYSTEM = 'system'

/** What any valid credential may do: ask who it is. The policy `pdp` is not asked about it. */
const OWN: PdpPermission = { type: 'pdp:caller', action: 'pdp:read' }

/**
 * Guards a scope: who calls (401), whether it may (403, by the policy `pdp`), and that the call leaves its record
 * before its answer leaves. What stands in the scope is guarded, whatever its path looks like.
 */
export function guard(app: FastifyInstance, parts: GuardParts): void {
  const { pdp, clock } = parts
  app.decorateRequest('call', null)
  app.addHook('onRoute', (route) => {
    if (route.config?.permission === 'anyone') throw new Error(`${route.url} is open, but stands in the guarded scope`)
  })
  app.addHook('onRequest', async (request) => {
    const began = performance.now()
    const caller = await parts.authenticator.caller(request)
    const admission = await admit(parts, request, caller)
    const call = { ...admission.call, caller, origin: originOf(request), began, recorded: false }
    request.call = call
    if (admission.refusal === undefined) return
    call.recorded = true
    await pdp.record(callEvent(call, admission.refusal, clock(), 403), call.audit_mode)
    throw new Failure('forbidden', `the caller may not do this: ${admission.refusal.reason}`)
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { call } = request
    if (call === null || call.recorded) return done(null, payload)
    call.recorded = true
    // A failure's record is worth having, but not worth another wait for a database that may be what failed.
    const mode = reply.statusCode >= 500 ? 'journal' : call.audit_mode
    pdp.record(callEvent(call, allowed(call), clock(), reply.statusCode), mode).then(
      () => done(null, payload),
      (error: unknown) => done(null, problemInstead(error, request, reply)),
    )
  })
}

/** The call of a request in a guarded scope. */
export function callOf(request: FastifyRequest): Call {
  if (request.call === null) throw new Failure('internal', 'a guarded handler was reached without its guard')
  return request.call
}

export function readOf(request: FastifyRequest): Read {
  return { tenant: callOf(request).tenant }
}

interface Admission {
  readonly call: Pick<Call, 'tenant' | 'roles' | 'permission' | 'rules' | 'audit_mode'>
  readonly refusal: Decision | undefined
}

/** Whose rights a call has, and whether they are enough. */
async function admit(parts: GuardParts, request: FastifyRequest, caller: Caller): Promise<Admission> {
  const acting = header(request, 'verdict-tenant')
  const judging = parts.snapshots.withEntity(caller.tenant, caller.subject, (tenant, subject) =>
    judge(parts, request, caller, tenant, subject, acting),
  )
  const admission = judging instanceof Promise ? await judging : judging
  if (admission.refusal !== undefined || acting === undefined) return admission
  const other = await parts.snapshots.tenant(acting)
  if (other === undefined) throw new Failure('not_found', 'there is no such tenant')
  return { ...admission, call: { ...admission.call, audit_mode: other.index.settings.audit_mode } }
}

function judge(
  { pdp, clock }: GuardParts,
  request: FastifyRequest,
  caller: Caller,
  tenant: TenantSnapshot,
  subject: EntityFacts,
  acting: string | undefined,
): Admission {
  const { permission: asked, acting: mayAct, suspended } = request.routeOptions.config
  const permission = asked === 'caller' || asked === 'anyone' || asked === undefined ? OWN : asked
  const own = caller.key_roles ?? builtInRoles(tenant, subject, clock())
  const elsewhere = acting !== undefined && acting !== caller.tenant
  const mayActHere = caller.tenant === SYSTEM && own.includes('pdp:operator') && (mayAct === true || !elsewhere)
  const call = {
    tenant: elsewhere && mayActHere ? acting : caller.tenant,
    roles: elsewhere ? [ACTING_OPERATOR] : own,
    permission,
    audit_mode: tenant.index.settings.audit_mode,
  }
  if (tenant.status === 'suspended' && suspended !== 'answers') return refused(call, SUSPENDED)
  if (acting !== undefined && !mayActHere) return refused(call, NO_OPERATOR)
  const decision = permission === OWN ? ownDecision(subject) : pdp.permit(subject, call.roles, permission)
  if (!decision.decision) return refused(call, decision)
  return { call: { ...call, rules: decision.rules }, refusal: undefined }
}

function refused(call: Omit<Admission['call'], 'rules'>, refusal: Decision): Admission {
  return { call: { ...call, rules: refusal.rules }, refusal }
}

const NOTHING = { rules: [], obligations: [] } as const
const SUSPENDED: Decision = { decision: false, reason: 'tenant_suspended', ...NOTHING }
const DISABLED: Decision = { decision: false, reason: 'subject_disabled', ...NOTHING }
/** `Verdict-Tenant` from who is no operator, or on a route that no operator has in another tenant. */
const NO_OPERATOR: Decision = { decision: false, reason: 'no_applicable_rule', ...NOTHING }
const ALLOWED: Decision = { decision: true, reason: 'allowed_by_rule', ...NOTHING }

function ownDecision({ disabled }: EntityFacts): Decision {
  return disabled ? DISABLED : ALLOWED
}

function allowed({ rules }: Call): Decision {
  return { ...ALLOWED, rules }
}

/** The record of a call: of the audit's own reading one of its own type, of the rest an administrative one. */
function callEvent(call: Call, decision: Decision, now: number, status: number): AuditEvent {
  const { caller, tenant, permission, origin, began } = call
  const reading = permission.type === 'pdp:audit' && decision.decision
  return {
    ...eventId(now),
    tenant: decision.decision ? tenant : caller.tenant,
    type: reading ? 'audit_access' : 'administration',
    actor: actorOf(caller),
    subject: caller.subject,
    action: { name: permission.action },
    resource: { type: permission.type, id: '*' },
    context: { status },
    decision: decision.decision,
    reason: decision.reason,
    rules: decision.rules,
    obligations: [],
    revision: null,
    ...origin,
    duration_us: Math.round((performance.now() - began) * 1000),
  }
}
