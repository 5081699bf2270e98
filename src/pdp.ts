import type { AuditEvent, Origin } from './audit/event.ts'
import type { Redactor } from './audit/redactor.ts'
import type { Caller } from './authn/caller.ts'
import type { ContextTokens } from './authn/context/tokens.ts'
import type { TrustedTokens } from './authn/issuer/trusted-tokens.ts'
import type { DecisionAnswer, DecisionRequest } from './contract/authorize.ts'
import type { ExplainAnswer } from './contract/explain.ts'
import { answerOf, type Made } from './pdp/answer.ts'
import { type Batch, type BatchDecision, type Budgets, decideBatch } from './pdp/batch.ts'
import { Decider } from './pdp/decider.ts'
import { decisionEvent, explainEvent } from './pdp/event.ts'
import { reached } from './pdp/freshness.ts'
import { permit } from './pdp/permit.ts'
import { proveSubject } from './pdp/proof.ts'
import type { Quotas } from './pdp/quotas.ts'
import { Recorder } from './pdp/recorder.ts'
import { Budget } from './policy/budget.ts'
import type { PdpPermission } from './policy/built-in.ts'
import type { EntityFacts } from './policy/entity-graph.ts'
import type { Decision, Settings } from './policy/model.ts'
import type { Snapshots } from './snapshot/snapshots.ts'
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

export function createPdp(parts: PdpParts): Pdp {
  const { snapshots, clock, metrics, quotas } = parts
  const decider = new Decider(parts)
  const recorder = new Recorder(parts)

  return {
    async evaluate(asking, asked) {
      const waiting = reached(snapshots, asking, asked.options?.min_revision)
      if (waiting !== undefined) await waiting
      const proving = proveSubject(parts, asking.tenant, asked)
      const proven = proving instanceof Promise ? await proving : proving
      const { request } = proven
      const making = snapshots.withFacts(asking.tenant, request, (tenant, found) =>
        decider.make(tenant, found, proven, freshBudgets()),
      )
      const drawing = quotas.draw(asking.tenant, making instanceof Promise ? await making : making)
      const made = drawing instanceof Promise ? await drawing : drawing
      try {
        const event = decisionEvent(asking, request, made, clock())
        await recorder.decided(asking, event, made.settings)
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
        const made = await decideBatch({ ...parts, decider, given }, asking, batch, freshBudgets())
        await recorder.decidedAll(asking, made.records, made.mode)
        for (const reason of made.reasons) metrics.decided(reason)
        return made.answer
      } catch (error) {
        if (!asking.recorded) for (const one of given) quotas.giveBack(one)
        throw error
      }
    },

    async explain(asking, asked) {
      await reached(snapshots, asking, asked.options?.min_revision)
      const proven = await proveSubject(parts, asking.tenant, asked)
      const { request } = proven
      const made = await snapshots.withFacts(asking.tenant, request, (tenant, found) =>
        quotas.foresee(decider.explain(tenant, found, proven, asking.roles)),
      )
      const event = explainEvent(asking, request, made, clock())
      await recorder.decided(asking, event, made.settings)
      return { ...answerOf(event.id, made, request), trace: made.explanation.trace }
    },

    permit: (caller, roles, permission) => permit(decider, caller, roles, permission),

    record: (event, mode) => recorder.happened(event, mode),
  }
}

function freshBudgets(): Budgets {
  return { conditions: new Budget(), properties: new Budget() }
}
