import { type AuditEvent, eventId, type Origin } from './audit/event.ts'
import type { Caller } from './authn/caller.ts'
import type { DecisionAnswer } from './contract/authorize.ts'
import { Failure, type Problem } from './failure.ts'
import { Budget } from './policy/budget.ts'
import { builtInPolicy, isBuiltIn, localRole, type PdpPermission } from './policy/built-in.ts'
import type { GivenAssignment } from './policy/change.ts'
import { decide } from './policy/decide.ts'
import { type EntityFacts, type Facts, unknownEntity } from './policy/entity-graph.ts'
import { judgeRequest } from './policy/judgement.ts'
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
  /** On this machine's disk. */
  record(event: AuditEvent): Promise<void>
  /** In Postgres too. */
  recordCommitted(event: AuditEvent): Promise<void>
}

/** Who asks, in which tenant, and how the call came. */
export interface Asking {
  readonly caller: Caller
  readonly tenant: string
  readonly origin: Origin
  /** When the call began, as `performance.now()` counts. */
  readonly began: number
}

/** What a decision was made of, taken from memory in one turn. */
interface Made {
  readonly decision: Decision
  readonly revision: number
  readonly settings: Required<Settings>
  readonly warnings: readonly Problem[]
}

export interface Pdp {
  /** One decision: facts, then revision and decision in one turn, then the record, then the answer. */
  evaluate(asking: Asking, request: AccessRequest): Promise<DecisionAnswer>
  /** Whether a caller who holds these built-in roles may do this, by the policy `pdp` alone. */
  permit(caller: EntityFacts, roles: readonly string[], permission: PdpPermission): Decision
  /** Keeps the record of something that is not a decision of the tenant's policy. */
  record(event: AuditEvent, mode: Required<Settings>['audit_mode']): Promise<void>
}

export function createPdp({ snapshots, trail, clock, metrics }: PdpParts): Pdp {
  const builtIn = builtInPolicy()

  function decideBuiltIn(facts: Facts, roles: readonly string[], request: AccessRequest): Decision {
    const holder = { ...facts.subject, assignments: roles.map((role) => held(facts.subject, role)) }
    return decide(builtIn, { subject: holder, resource: facts.resource }, request, clock())
  }

  function decideNow(tenant: TenantSnapshot, facts: Facts, request: AccessRequest): Decision {
    if (tenant.status === 'suspended') return SUSPENDED
    if (isOurs(request)) {
      return decideBuiltIn(facts, builtInRoles(tenant, facts.subject, clock()), request)
    }
    return decide(tenant.index, facts, request, clock(), new Budget())
  }

  async function record(event: AuditEvent, mode: Required<Settings>['audit_mode']): Promise<void> {
    const began = performance.now()
    await (mode === 'commit' ? trail.recordCommitted(event) : trail.record(event))
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
        const warnings = warningsOf(tenant, facts, request)
        const began = performance.now()
        const decision = decideNow(tenant, facts, request)
        metrics.decideSeconds((performance.now() - began) / 1000)
        return { decision, revision: tenant.revision, settings: tenant.index.settings, warnings }
      })
      const made = making instanceof Promise ? await making : making
      const event = decisionEvent(asking, request, made, clock())
      await record(event, made.settings.audit_mode)
      metrics.decided(made.decision.reason)
      return answerOf(event.id, made)
    },
  }
}

/** Whether it is about Verdict itself: then nothing that the tenant declares has a say. */
function isOurs({ resource, action }: AccessRequest): boolean {
  return isBuiltIn(resource.type) || isBuiltIn(action.name)
}

/** Refuses a request whose properties do not fit their types; what is only worth telling is returned. */
function warningsOf(tenant: TenantSnapshot, facts: Facts, request: AccessRequest): readonly Problem[] {
  if (tenant.status === 'suspended' || isOurs(request)) return []
  const { problems, warnings } = judgeRequest(tenant.index, facts, request)
  if (problems.length === 0) return warnings
  throw new Failure('invalid_request', 'the properties do not fit the declared types', { problems })
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
    actor: actorOf(caller),
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

export function actorOf({ subject, key_id }: Caller): NonNullable<AuditEvent['actor']> {
  const { type, id } = subject
  return key_id === null ? { type, id } : { type, id, key_id }
}

// Members that the contract does not know are ignored: they are not recorded either.
function entityOf({ type, id, properties }: AccessRequest['subject']): AuditEvent['subject'] {
  return properties === undefined ? { type, id } : { type, id, properties }
}

function answerOf(id: string, { decision: made, revision, settings, warnings }: Made): DecisionAnswer {
  const { decision, reason, rules, obligations } = made
  return {
    decision,
    context: {
      decision_id: id,
      reason,
      ...(settings.rules_in_answers && { rules: [...rules] }),
      obligations: [...obligations],
      revision,
      ...(warnings.length > 0 && { warnings: [...warnings] }),
    },
  }
}
