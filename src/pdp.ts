import type { AuditEvent, Origin } from './audit/event.ts'
import type { Redactor } from './audit/redactor.ts'
import type { Caller } from './authn/caller.ts'
import type { ContextTokens } from './authn/context/tokens.ts'
import type { TrustedTokens } from './authn/issuer/trusted-tokens.ts'
import type { DecisionAnswer, DecisionRequest } from './contract/authorize.ts'
import type { ExplainAnswer } from './contract/explain.ts'
import { Failure, type Problem } from './failure.ts'
import { answerOf, type Made } from './pdp/answer.ts'
import { type Batch, type BatchDecision, type Budgets, decideBatch } from './pdp/batch.ts'
import { decidePresented, type Presented } from './pdp/context.ts'
import { decisionEvent, explainEvent } from './pdp/event.ts'
import { reached } from './pdp/freshness.ts'
import { type ProvenRequest, provenFacts, proveSubject } from './pdp/proof.ts'
import type { Quotas } from './pdp/quotas.ts'
import { Budget } from './policy/budget.ts'
import {
  bareEntity,
  builtInPolicy,
  holdingBuiltIn,
  isAboutVerdict,
  mayReadEntities,
  type PdpPermission,
} from './policy/built-in.ts'
import { CLEAR, type Show } from './policy/condition-trace.ts'
import type { View } from './policy/context/lowered.ts'
import { decide } from './policy/decide.ts'
import type { EntityFacts, Facts } from './policy/entity-graph.ts'
import { type Explanation, explain, NO_TRACE } from './policy/explain.ts'
import { judgeRequest } from './policy/judgement.ts'
import type { AccessRequest, Decision, Settings } from './policy/model.ts'
import type { Snapshots } from './snapshot/snapshots.ts'
import { builtInRoles, type TenantSnapshot } from './snapshot/tenant-snapshot.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** What the use case is made of. */
export interface PdpParts {
  readonly snapshots: Snapshots
  /** Of subjects that a request does not name. */
  readonly tokens: TrustedTokens
  /** Security contexts that stand in the place of a subject. */
  readonly contexts: ContextTokens
  readonly trail: Trail
  /** ms since the epoch. */
  readonly clock: () => number
  readonly metrics: Metrics
  readonly redactor: Redactor
  readonly quotas: Quotas
}

/** Where records are kept: both resolve once that is so, and fail with `audit_unavailable` if it can't be. */
export interface Trail {
  /** On this machine's disk. @returns the record's number. */
  record(event: AuditEvent): Promise<number>
  /** Encoded events of one tenant, all in one write, or none. @returns the number of the last. */
  recordAll(tenant: string, events: readonly string[]): Promise<number>
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
  /** What the decision must at least be made at, by the call's header. */
  readonly min_revision?: number | undefined
  /** Whether its record is kept already: a call leaves one. */
  recorded: boolean
}

export type AuditMode = Required<Settings>['audit_mode']

/** A call that the guard let pass. */
export interface Permitted extends Asking {
  /** The built-in roles that the caller holds for it. */
  readonly roles: readonly string[]
  readonly permission: PdpPermission
  /** The rules of the policy `pdp` that permit it. */
  readonly rules: readonly string[]
}

/** The same of an explanation. */
interface Explained extends Made {
  readonly explanation: Explanation
}

export interface Pdp {
  /** One decision: facts, then revision and decision in one turn, then the record, then the answer. */
  evaluate(asking: Asking, asked: DecisionRequest): Promise<DecisionAnswer>
  /** Many decisions, each as if it were asked alone; their records are kept in one write, before the answer. */
  evaluateAll(asking: Asking, batch: Batch): Promise<BatchDecision>
  /** The same decision with its trace. It is recorded, but not as a decision: nobody acts on it. */
  explain(asking: Permitted, asked: DecisionRequest): Promise<ExplainAnswer>
  /** Whether a caller who holds these built-in roles may do this, by the policy `pdp` alone. */
  permit(caller: EntityFacts, roles: readonly string[], permission: PdpPermission): Decision
  /** Keeps the record of something that is not a decision of the tenant's policy. */
  record(event: AuditEvent, mode: AuditMode): Promise<void>
}

/** What a permission asks of the policy `pdp`: the same for each call of a route, so it is made once. */
const askedBy = new WeakMap<PdpPermission, { action: { name: string }; resource: EntityFacts }>()

function askedOf(permission: PdpPermission) {
  const known = askedBy.get(permission)
  if (known !== undefined) return known
  const made = { action: { name: permission.action }, resource: bareEntity({ type: permission.type, id: '*' }) }
  askedBy.set(permission, made)
  return made
}

/**
 * What the policy `pdp` has said to a list of roles. It depends on these and the permission alone, and the list of a key is
 * the same object in each of its calls.
 */
const permitted = new WeakMap<readonly string[], WeakMap<PdpPermission, Decision>>()

function permittedTo(roles: readonly string[]): WeakMap<PdpPermission, Decision> {
  const known = permitted.get(roles)
  if (known !== undefined) return known
  const made = new WeakMap<PdpPermission, Decision>()
  permitted.set(roles, made)
  return made
}

export function createPdp(parts: PdpParts): Pdp {
  const { snapshots, trail, clock, metrics, redactor, quotas } = parts
  const builtIn = builtInPolicy()

  function decideBuiltIn(facts: Facts, roles: readonly string[], request: AccessRequest): Decision {
    return decide(builtIn, holdingBuiltIn(facts, roles), request, clock())
  }

  function decideNow(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, budget: Budget): Decision {
    if (tenant.status === 'suspended') return SUSPENDED
    if (isAboutVerdict(request)) return decideBuiltIn(facts, builtInRoles(tenant, facts.subject, clock()), request)
    return decide(tenant.index, facts, request, clock(), budget)
  }

  /** The same of a request whose subject came as a security context. */
  function settle(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, presented: Presented, budget: Budget) {
    const bare = (of: View) => decideNow(tenant, of.facts, of.request, budget)
    return decidePresented(parts.contexts, tenant, { facts, request }, presented, bare, clock(), budget)
  }

  function make(tenant: TenantSnapshot, found: Facts, proven: ProvenRequest, budgets: Budgets): Made {
    const { request, proof, presented } = proven
    const facts = proof === undefined ? found : provenFacts(tenant.issuers, found, proof, clock())
    const warnings = warningsOf(tenant, facts, request, budgets.properties)
    const began = performance.now()
    const decision =
      presented === undefined
        ? decideNow(tenant, facts, request, budgets.conditions)
        : settle(tenant, facts, request, presented, budgets.conditions).decision
    metrics.decideSeconds((performance.now() - began) / 1000)
    return { decision, revision: tenant.revision, settings: tenant.index.settings, warnings, proof, presented }
  }

  function explainNow(
    tenant: TenantSnapshot,
    facts: Facts,
    request: AccessRequest,
    roles: readonly string[],
  ): Explanation {
    if (tenant.status === 'suspended') return { decision: SUSPENDED, trace: NO_TRACE }
    const show = showTo(roles, tenant)
    if (!isAboutVerdict(request)) return explain(tenant.index, facts, request, clock(), tenant.lookup, show)
    const held = holdingBuiltIn(facts, builtInRoles(tenant, facts.subject, clock()))
    return explain(builtIn, held, request, clock(), tenant.lookup, show)
  }

  /** Who may read entities sees values in the clear; anybody else as they are recorded. */
  function showTo(roles: readonly string[], { id, index }: TenantSnapshot): Show {
    const redaction = redactor.of(id, index.settings)
    return redaction === undefined || mayReadEntities(roles) ? CLEAR : redaction.value
  }

  /** `recording` is of what its tenant lets be recorded. */
  async function keep(recording: Promise<number>, mode: AuditMode, call?: Asking): Promise<void> {
    const began = performance.now()
    const seq = await recording
    // From here on the call has its record, even if its answer is withheld because Postgres does not have it in time.
    if (call !== undefined) call.recorded = true
    if (mode === 'commit') await trail.committed(seq)
    metrics.auditAppendSeconds((performance.now() - began) / 1000)
  }

  /** Where the tenant's settings can't be had, nothing is recorded in the clear that they could hide. */
  async function redacted(event: AuditEvent): Promise<AuditEvent> {
    try {
      const tenant = await snapshots.tenant(event.tenant)
      return tenant === undefined ? redactor.strictly(event) : redactor.event(event, tenant.index.settings)
    } catch {
      return redactor.strictly(event)
    }
  }

  return {
    async record(event, mode) {
      await keep(trail.record(await redacted(event)), mode)
    },

    permit(caller, roles, permission) {
      const said = permittedTo(roles)
      const known = caller.disabled ? undefined : said.get(permission)
      if (known !== undefined) return known
      const { action, resource } = askedOf(permission)
      const decision = decideBuiltIn({ subject: caller, resource }, roles, { subject: caller, action, resource })
      if (!caller.disabled) said.set(permission, decision)
      return decision
    },

    async evaluate(asking, asked) {
      const waiting = reached(snapshots, asking, asked.options?.min_revision)
      if (waiting !== undefined) await waiting
      const proving = proveSubject(parts, asking.tenant, asked)
      const proven = proving instanceof Promise ? await proving : proving
      const { request } = proven
      const making = snapshots.withFacts(asking.tenant, request, (tenant, found) =>
        make(tenant, found, proven, freshBudgets()),
      )
      const drawing = quotas.draw(asking.tenant, making instanceof Promise ? await making : making)
      const made = drawing instanceof Promise ? await drawing : drawing
      try {
        const event = decisionEvent(asking, request, made, clock())
        await keep(trail.record(redactor.event(event, made.settings)), made.settings.audit_mode, asking)
        metrics.decided(made.decision.reason)
        return answerOf(event.id, made, request)
      } catch (error) {
        if (!asking.recorded) quotas.giveBack(made)
        throw error
      }
    },

    async evaluateAll(asking, batch) {
      const waiting = reached(snapshots, asking, batch.options?.min_revision)
      if (waiting !== undefined) await waiting
      const given: Made[] = []
      try {
        const made = await decideBatch({ ...parts, make, given }, asking, batch, freshBudgets())
        await keep(trail.recordAll(asking.tenant, made.records), made.mode, asking)
        for (const reason of made.reasons) metrics.decided(reason)
        return made.answer
      } catch (error) {
        if (!asking.recorded) for (const one of given) quotas.giveBack(one)
        throw error
      }
    },

    async explain(asking, asked) {
      await reached(snapshots, asking, asked.options?.min_revision)
      const { request, proof, presented } = await proveSubject(parts, asking.tenant, asked)
      const made = await snapshots.withFacts<Explained>(asking.tenant, request, (tenant, found) => {
        const facts = proof === undefined ? found : provenFacts(tenant.issuers, found, proof, clock())
        const warnings = warningsOf(tenant, facts, request, new Budget())
        const settled = presented && settle(tenant, facts, request, presented, new Budget())
        const explanation = explainNow(tenant, settled?.facts ?? facts, settled?.request ?? request, asking.roles)
        const decision = settled?.decision ?? explanation.decision
        const { revision, index } = tenant
        const left = { explanation, decision, revision, settings: index.settings, warnings, proof, presented }
        return quotas.foresee<Explained>(left)
      })
      const event = explainEvent(asking, request, made, clock())
      await keep(trail.record(redactor.event(event, made.settings)), made.settings.audit_mode, asking)
      return { ...answerOf(event.id, made, request), trace: made.explanation.trace }
    },
  }
}

/** Refuses a request whose properties do not fit their types; what is only worth telling is returned. */
function warningsOf(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, budget: Budget): readonly Problem[] {
  if (tenant.status === 'suspended' || isAboutVerdict(request)) return []
  const { problems, warnings } = judgeRequest(tenant.index, facts, request, budget)
  if (problems.length === 0) return warnings
  throw new Failure('invalid_request', 'the properties do not fit the declared types', { problems })
}

function freshBudgets(): Budgets {
  return { conditions: new Budget(), properties: new Budget() }
}

const SUSPENDED: Decision = { decision: false, reason: 'tenant_suspended', rules: [], obligations: [] }
