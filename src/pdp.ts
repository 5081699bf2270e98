import { type AuditEvent, eventId, type Origin } from './audit/event.ts'
import type { Caller } from './authn/caller.ts'
import type { DecisionAnswer } from './contract/authorize.ts'
import { Budget } from './policy/budget.ts'
import { builtInPolicy, isBuiltIn, localRole, type PdpPermission } from './policy/built-in.ts'
import type { GivenAssignment } from './policy/change.ts'
import { decide } from './policy/decide.ts'
import { type EntityFacts, type Facts, unknownEntity } from './policy/entity-graph.ts'
import type { AccessRequest, Decision, EntityRef, Settings } from './policy/model.ts'
import type { Snapshots } from './snapshot/snapshots.ts'
import { builtInRoles, type TenantSnapshot } from './snapshot/tenant-snapshot.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** What the use case is made of. */
export interface PdpParts {
  readonly snapshots: Snapshots
  readonly trail: Trail
  /** ms since the epoch. */
  readonly clock: () => number
  readonly metrics: Metrics
}

/** Where records are kept: both resolve once that is so, and fail with `audit_unavailable` if it can't be. */
export interface Trail {
  /** On this machine's disk. @returns the record's number. */
  record(event: AuditEvent): Promise<number>
  /** In Postgres too. */
  committed(seq: number): Promise<void>
}

/** Who asks, in which tenant, and how the call came. */
export interface Asking {
  readonly caller: Caller
  readonly tenant: string
  readonly origin: Origin
  /** When the call began, as `performance.now()` counts. */
  readonly began: number
  /** Whether its record is kept already: a call leaves one. */
  recorded: boolean
}

export type AuditMode = Required<Settings>['audit_mode']

/** What a decision was made of, taken from memory in one turn. */
interface Made {
  readonly decision: Decision
  readonly revision: number
  readonly settings: Required<Settings>
}

export interface Pdp {
  /** One decision: facts, then revision and decision in one turn, then the record, then the answer. */
  evaluate(asking: Asking, request: AccessRequest): Promise<DecisionAnswer>
  /** Whether a caller who holds these built-in roles may do this, by the policy `pdp` alone. */
  permit(caller: EntityFacts, roles: readonly string[], permission: PdpPermission): Decision
  /** Keeps the record of something that is not a decision of the tenant's policy. */
  record(event: AuditEvent, mode: AuditMode): Promise<void>
}

export function createPdp({ snapshots, trail, clock, metrics }: PdpParts): Pdp {
  const builtIn = builtInPolicy()

  function decideBuiltIn(facts: Facts, roles: readonly string[], request: AccessRequest): Decision {
    const holder = { ...facts.subject, assignments: roles.map((role) => held(facts.subject, role)) }
    return decide(builtIn, { subject: holder, resource: facts.resource }, request, clock())
  }

  function decideNow(tenant: TenantSnapshot, facts: Facts, request: AccessRequest): Decision {
    if (tenant.status === 'suspended') return SUSPENDED
    if (isBuiltIn(request.resource.type) || isBuiltIn(request.action.name)) {
      return decideBuiltIn(facts, builtInRoles(tenant, facts.subject, clock()), request)
    }
    return decide(tenant.index, facts, request, clock(), new Budget())
  }

  async function record(event: AuditEvent, mode: AuditMode, call?: Asking): Promise<void> {
    const began = performance.now()
    const seq = await trail.record(event)
    // From here on the call has its record, even if its answer is withheld because Postgres does not have it in time.
    if (call !== undefined) call.recorded = true
    if (mode === 'commit') await trail.committed(seq)
    metrics.auditAppendSeconds((performance.now() - began) / 1000)
  }

  return {
    record,

    permit(caller, roles, permission) {
      const request = {
        subject: caller,
        action: { name: permission.action },
        resource: { type: permission.type, id: '*' },
      }
      return decideBuiltIn({ subject: caller, resource: bare(request.resource) }, roles, request)
    },

    async evaluate(asking, request) {
      const minimum = request.options?.min_revision
      const waiting = minimum === undefined ? undefined : snapshots.atLeast(asking.tenant, minimum)
      if (waiting !== undefined) await waiting
      const making = snapshots.withFacts<Made>(asking.tenant, request, (tenant, facts) => {
        const began = performance.now()
        const decision = decideNow(tenant, facts, request)
        metrics.decideSeconds((performance.now() - began) / 1000)
        return { decision, revision: tenant.revision, settings: tenant.index.settings }
      })
      const made = making instanceof Promise ? await making : making
      const event = decisionEvent(asking, request, made, clock())
      await record(event, made.settings.audit_mode, asking)
      metrics.decided(made.decision.reason)
      return answerOf(event.id, made)
    },
  }
}

const SUSPENDED: Decision = { decision: false, reason: 'tenant_suspended', rules: [], obligations: [] }

function bare({ type, id }: EntityRef): EntityFacts {
  return { ...unknownEntity(type, id), ancestors: [] }
}

/** A built-in role as the policy `pdp` sees it held: by the caller, for this call. */
function held({ type, id }: EntityRef, role: string): GivenAssignment {
  return { id: role, subject: { type, id }, role: localRole(role), granted_by: { type: 'pdp', id: 'pdp' } }
}

function decisionEvent(asking: Asking, request: AccessRequest, made: Made, now: number): AuditEvent {
  const { caller, tenant, origin, began } = asking
  const { decision, reason, rules, obligations } = made.decision
  const { subject, action, resource, context } = request
  return {
    ...eventId(now),
    tenant,
    type: 'decision',
    actor: actorOf(caller, tenant),
    subject: entityOf(subject),
    action:
      action.properties === undefined ? { name: action.name } : { name: action.name, properties: action.properties },
    resource: entityOf(resource),
    context: context ?? null,
    decision,
    reason,
    rules,
    obligations,
    revision: made.revision,
    ip: origin.ip,
    user_agent: origin.user_agent,
    request_id: origin.request_id,
    trace_id: origin.trace_id,
    duration_us: Math.round((performance.now() - began) * 1000),
  }
}

/** Who did it, for a record in `tenant`: somebody of another tenant is said to be. */
export function actorOf({ subject, key_id, tenant: home }: Caller, tenant: string): NonNullable<AuditEvent['actor']> {
  const { type, id } = subject
  return { type, id, ...(key_id !== null && { key_id }), ...(home !== tenant && { tenant: home }) }
}

// Members that the contract does not know are ignored: they are not recorded either.
function entityOf({ type, id, properties }: AccessRequest['subject']): AuditEvent['subject'] {
  return properties === undefined ? { type, id } : { type, id, properties }
}

function answerOf(id: string, { decision: made, revision, settings }: Made): DecisionAnswer {
  const { decision, reason, rules, obligations } = made
  return {
    decision,
    context: {
      decision_id: id,
      reason,
      ...(settings.rules_in_answers && { rules: [...rules] }),
      obligations: [...obligations],
      revision,
    },
  }
}
