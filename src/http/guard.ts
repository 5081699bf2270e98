import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Read } from '../administration/write.ts'
import type { AuditEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { Caller } from '../authn/caller.ts'
import { isDecision, REVISION_TEXT } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { actorOf } from '../pdp/event.ts'
import type { Asking, AuditMode, Pdp } from '../pdp.ts'
import { ACTING_OPERATOR, type PdpPermission } from '../policy/built-in.ts'
import type { EntityFacts } from '../policy/entity-graph.ts'
import type { Decision, Properties } from '../policy/model.ts'
import { callerRoles } from '../snapshot/caller-roles.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import { after } from './at-once.ts'
import type { Authenticator } from './authenticator.ts'
import { header, originOf } from './origin.ts'
import { problemInstead } from './problem.ts'
import type { DecisionRate, Throttles } from './throttle.ts'

/** A call by somebody who is known. */
export interface Call extends Asking {
  /** The built-in roles that the caller holds for it. */
  readonly roles: readonly string[]
  readonly permission: PdpPermission
  readonly rules: readonly string[]
  readonly audit_mode: AuditMode
  /** null: as many as the tenant asks for. */
  readonly decisions_per_second: number | null
  /** Why it was refused, by the guard or by what the caller may not do to this very thing. */
  refusal: Decision | undefined
  /** What else its record says of it. */
  about: Properties | undefined
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
  readonly throttles: Throttles
  readonly rates: DecisionRate
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
    if (route.config?.unaudited === true) throw new Error(`${route.url} stands where every call is recorded`)
  })
  app.addHook('onRequest', (request, reply, done) => {
    const entering = after(parts.authenticator.caller(request), (caller) =>
      after(throttled(parts, request, reply, caller), () =>
        after(admit(parts, request, caller), (admission) => enter(request, caller, admission)),
      ),
    )
    if (entering instanceof Promise) entering.then(() => done(), done)
    else done()
  })
  app.addHook('onError', (request, _reply, error, done) => {
    const { call } = request
    if (call !== null && (error as Error) instanceof Failure && error.code === 'forbidden')
      call.refusal ??= BEYOND_AUTHORITY
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { call } = request
    if (call === null || call.recorded) return done(null, payload)
    call.recorded = true
    // A failure's record is worth having, but not worth another wait for a database that may be what failed.
    const mode = reply.statusCode >= 500 ? 'journal' : call.audit_mode
    const events = callEvents(request, call, clock(), reply.statusCode)
    Promise.all(events.map((event) => pdp.record(event, mode))).then(
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
  const { tenant, caller, roles } = callOf(request)
  return { tenant, acting: tenant !== caller.tenant, roles, caller }
}

type Judgement = Omit<Call, keyof Asking | 'about'> & Pick<Call, 'tenant'>

interface Admission {
  readonly call: Judgement
  /** Whether the tenant that an operator wants to act in is there. */
  readonly isThere: boolean
}

/** Before it is judged: being refused, again and again, fills the trail. */
function throttled(parts: GuardParts, request: FastifyRequest, reply: FastifyReply, caller: Caller) {
  // What enforcement points ask is held up by no limit but the tenant's own.
  return isDecision(request.routeOptions.config) ? undefined : parts.throttles.administration(request, reply, caller)
}

/** The call begins, or is refused. */
function enter(request: FastifyRequest, caller: Caller, { call, isThere }: Admission): void {
  // Written out: each request makes one, and over a spread object that takes 4 µs.
  const { tenant, roles, permission, rules, audit_mode, decisions_per_second, refusal } = call
  const asked = permission.type === 'pdp:decision' ? header(request, 'verdict-min-revision') : undefined
  request.call = {
    tenant,
    roles,
    permission,
    rules,
    audit_mode,
    decisions_per_second,
    refusal,
    caller,
    origin: originOf(request),
    began: request.began,
    min_revision: asked === undefined ? undefined : Number(asked),
    recorded: false,
    about: undefined,
  }
  if (refusal !== undefined) throw new Failure('forbidden', `the caller may not do this: ${refusal.reason}`)
  if (!isThere) throw new Failure('not_found', 'there is no such tenant')
  if (asked !== undefined && !REVISION.test(asked)) throw noRevision()
}

const REVISION = new RegExp(REVISION_TEXT)

function noRevision(): Failure {
  return new Failure('invalid_request', 'the header Verdict-Min-Revision is no revision', {
    problems: [{ pointer: '/verdict-min-revision', detail: 'header: must be a whole number, as Verdict-Revision is' }],
  })
}

/** Whose rights a call has, and whether they are enough. */
function admit(parts: GuardParts, request: FastifyRequest, caller: Caller): Admission | Promise<Admission> {
  const acting = header(request, 'verdict-tenant')
  const judging = parts.snapshots.withEntity(caller.tenant, caller.subject, (tenant, subject) =>
    judge(parts, request, caller, tenant, subject, acting),
  )
  return after(judging, (call) => {
    if (call.refusal !== undefined || call.tenant === caller.tenant) return { call, isThere: true }
    return after(parts.snapshots.tenant(call.tenant), (other) => elsewhere(call, caller, other))
  })
}

/** What an operator does in a tenant that is not its own goes by that one's settings. */
function elsewhere(call: Judgement, caller: Caller, tenant: TenantSnapshot | undefined): Admission {
  if (tenant === undefined) return { call: { ...call, tenant: caller.tenant }, isThere: false }
  return { call: { ...call, audit_mode: tenant.index.settings.audit_mode }, isThere: true }
}

function judge(
  { pdp, clock, rates }: GuardParts,
  request: FastifyRequest,
  caller: Caller,
  tenant: TenantSnapshot,
  subject: EntityFacts,
  acting: string | undefined,
): Judgement {
  const { permission: asked, acting: mayAct, suspended } = request.routeOptions.config
  const permission = asked === 'caller' || asked === 'anyone' || asked === undefined ? OWN : asked
  const { audit_mode, decisions_per_second } = tenant.index.settings
  if (decisions_per_second !== null && isDecision(request.routeOptions.config))
    rates.count(tenant.id, decisions_per_second, clock())
  const own = callerRoles(caller, tenant, subject, clock())
  const isElsewhere = acting !== undefined && acting !== caller.tenant
  const mayActHere = caller.tenant === SYSTEM && own.includes('pdp:operator') && (mayAct === true || !isElsewhere)
  const roles = isElsewhere ? [ACTING_OPERATOR] : own
  const decide = () => {
    if (tenant.status === 'suspended' && suspended !== 'answers') return SUSPENDED
    if (acting !== undefined && !mayActHere) return NO_OPERATOR
    if (permission === OWN || isAboutItself(request, caller)) return ownDecision(subject)
    return pdp.permit(subject, roles, permission)
  }
  const decision = decide()
  return {
    tenant: isElsewhere && mayActHere ? acting : caller.tenant,
    roles,
    permission,
    rules: decision.rules,
    audit_mode,
    decisions_per_second,
    refusal: decision.decision ? undefined : decision,
  }
}

/**
 * Whoever is logged in may do some things to itself. Only in a session: who holds a key of somebody's is not that
 * person, and a key that holds less than its subject must not make a password that holds more.
 */
function isAboutItself(request: FastifyRequest, { session_id, subject }: Caller): boolean {
  if (request.routeOptions.config.own !== true || session_id === null) return false
  const { type, id } = request.params as Record<string, unknown>
  return type === subject.type && id === subject.id
}

const NOTHING = { rules: [], obligations: [] } as const
const SUSPENDED: Decision = { decision: false, reason: 'tenant_suspended', ...NOTHING }
const DISABLED: Decision = { decision: false, reason: 'subject_disabled', ...NOTHING }
/** `Verdict-Tenant` from who is no operator, or on a route that no operator has in another tenant. */
const NO_OPERATOR: Decision = { decision: false, reason: 'no_applicable_rule', ...NOTHING }
/** A right that the policy `pdp` gives, but not over this thing: a role that others give, a holder of one. */
const BEYOND_AUTHORITY: Decision = { decision: false, reason: 'no_applicable_rule', ...NOTHING }
const ALLOWED: Decision = { decision: true, reason: 'allowed_by_rule', ...NOTHING }

function ownDecision({ disabled }: EntityFacts): Decision {
  return disabled ? DISABLED : ALLOWED
}

/**
 * The record of a call: of the audit's own reading one of its own type, of the rest an administrative one. What an
 * operator does in another tenant is recorded there and in its own.
 */
function callEvents(request: FastifyRequest, call: Call, now: number, status: number): AuditEvent[] {
  const event = callEvent(request, call, now, status)
  const { caller, tenant } = call
  if (tenant === caller.tenant) return [event]
  return [event, { ...event, ...eventId(now), tenant: caller.tenant, context: { ...event.context, tenant } }]
}

function callEvent(request: FastifyRequest, call: Call, now: number, status: number): AuditEvent {
  const { caller, tenant, permission, origin, began, refusal } = call
  const isReading = permission.type === 'pdp:audit' && refusal === undefined
  const { params, query } = asked(request)
  return {
    ...eventId(now),
    tenant,
    type: isReading ? 'audit_access' : 'administration',
    actor: actorOf(caller, tenant),
    subject: caller.subject,
    action: { name: permission.action },
    resource: { type: permission.type, id: Object.values(params).join('/') || '*' },
    context: { status, ...(Object.keys(query).length > 0 && { query }), ...call.about },
    decision: refusal === undefined,
    reason: refusal === undefined ? ALLOWED.reason : refusal.reason,
    rules: refusal === undefined ? call.rules : refusal.rules,
    obligations: [],
    revision: null,
    ...origin,
    duration_us: Math.round((performance.now() - began) * 1000),
  }
}

/**
 * What a path and a query name: which rule, which filter. Bodies are not repeated here, nor what a query holds that no
 * route knows, where anybody may write anything. A cursor says nothing to a reader, and holds names.
 */
function asked(request: FastifyRequest): { params: Record<string, unknown>; query: Record<string, unknown> } {
  const known = queryOf(request.routeOptions.schema?.querystring)
  const query = Object.entries(request.query as object).filter(([name]) => name !== 'cursor' && known.has(name))
  return { params: { ...(request.params as object) }, query: Object.fromEntries(query) }
}

function queryOf(schema: unknown): ReadonlySet<string> {
  const properties = typeof schema === 'object' && schema !== null && 'properties' in schema ? schema.properties : null
  return new Set(Object.keys(properties ?? {}))
}
