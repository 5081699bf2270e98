import type { Redactor } from '../audit/redactor.ts'
import type { ContextTokens } from '../authn/context/tokens.ts'
import { Failure, type Problem } from '../failure.ts'
import { Budget } from '../policy/budget.ts'
import { builtInPolicy, holdingBuiltIn, isAboutVerdict, mayReadEntities } from '../policy/built-in.ts'
import { CLEAR, type Show } from '../policy/condition-trace.ts'
import type { Settled } from '../policy/context/decide.ts'
import type { View } from '../policy/context/lowered.ts'
import { decide } from '../policy/decide.ts'
import type { Facts } from '../policy/entity-graph.ts'
import { type Explanation, explain, NO_TRACE } from '../policy/explain.ts'
import { judgeRequest } from '../policy/judgement.ts'
import type { AccessRequest, Decision } from '../policy/model.ts'
import { builtInRoles, type TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Made } from './answer.ts'
import type { Budgets } from './batch.ts'
import { decidePresented, type Presented } from './context.ts'
import { type ProvenRequest, provenFacts } from './proof.ts'

export interface DeciderParts {
  readonly contexts: ContextTokens
  readonly metrics: Pick<Metrics, 'decideSeconds'>
  readonly redactor: Redactor
  /** ms since the epoch. */
  readonly clock: () => number
}

/** The same of an explanation. */
export interface Explained extends Made {
  readonly explanation: Explanation
}

/** Decides by what it is given, all of it in one turn: it loads nothing, draws no units, and keeps no record. */
export class Decider {
  readonly #builtIn = builtInPolicy()
  readonly #contexts: ContextTokens
  readonly #metrics: Pick<Metrics, 'decideSeconds'>
  readonly #redactor: Redactor
  readonly #clock: () => number

  constructor({ contexts, metrics, redactor, clock }: DeciderParts) {
    this.#contexts = contexts
    this.#metrics = metrics
    this.#redactor = redactor
    this.#clock = clock
  }

  /** Fails with `invalid_request` where its properties do not fit their types, and where its proof holds no more. */
  make(tenant: TenantSnapshot, found: Facts, proven: ProvenRequest, budgets: Budgets): Made {
    return this.#make(tenant, found, proven, budgets, this.#metrics)
  }

  /** The same of what is not decided yet, and so not counted. */
  guess(tenant: TenantSnapshot, found: Facts, proven: ProvenRequest, budgets: Budgets): Made {
    return this.#make(tenant, found, proven, budgets, undefined)
  }

  /** The same decision with its trace, as far as a caller with these built-in roles may see it. */
  explain(tenant: TenantSnapshot, found: Facts, proven: ProvenRequest, roles: readonly string[]): Explained {
    const { request, proof, presented } = proven
    const facts = proof === undefined ? found : provenFacts(tenant.issuers, found, proof, this.#clock())
    const warnings = warningsOf(tenant, facts, request, new Budget())
    const settled = presented && this.#settle(tenant, facts, request, presented, new Budget())
    const explanation = this.#explain(tenant, settled?.facts ?? facts, settled?.request ?? request, roles)
    const decision = settled?.decision ?? explanation.decision
    const { revision, index } = tenant
    return { explanation, decision, revision, settings: index.settings, warnings, proof, presented }
  }

  /** By the policy `pdp` alone. */
  byBuiltIn(facts: Facts, roles: readonly string[], request: AccessRequest): Decision {
    return decide(this.#builtIn, holdingBuiltIn(facts, roles), request, this.#clock())
  }

  #make(
    tenant: TenantSnapshot,
    found: Facts,
    proven: ProvenRequest,
    budgets: Budgets,
    counted: Pick<Metrics, 'decideSeconds'> | undefined,
  ): Made {
    const { request, proof, presented } = proven
    const facts = proof === undefined ? found : provenFacts(tenant.issuers, found, proof, this.#clock())
    const warnings = warningsOf(tenant, facts, request, budgets.properties)
    const began = performance.now()
    const decision =
      presented === undefined
        ? this.#decide(tenant, facts, request, budgets.conditions)
        : this.#settle(tenant, facts, request, presented, budgets.conditions).decision
    counted?.decideSeconds((performance.now() - began) / 1000)
    return { decision, revision: tenant.revision, settings: tenant.index.settings, warnings, proof, presented }
  }

  #decide(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, budget: Budget): Decision {
    if (tenant.status === 'suspended') return SUSPENDED
    if (isAboutVerdict(request)) {
      return this.byBuiltIn(facts, builtInRoles(tenant, facts.subject, this.#clock()), request)
    }
    return decide(tenant.index, facts, request, this.#clock(), budget)
  }

  /** The same of a request whose subject came as a security context. */
  #settle(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, presented: Presented, budget: Budget): Settled {
    const bare = (of: View) => this.#decide(tenant, of.facts, of.request, budget)
    return decidePresented(this.#contexts, tenant, { facts, request }, presented, bare, this.#clock(), budget)
  }

  #explain(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, roles: readonly string[]): Explanation {
    if (tenant.status === 'suspended') return { decision: SUSPENDED, trace: NO_TRACE }
    const show = this.#showTo(roles, tenant)
    if (!isAboutVerdict(request)) return explain(tenant.index, facts, request, this.#clock(), tenant.lookup, show)
    const held = holdingBuiltIn(facts, builtInRoles(tenant, facts.subject, this.#clock()))
    return explain(this.#builtIn, held, request, this.#clock(), tenant.lookup, show)
  }

  /** Who may read entities sees values in the clear; anybody else as they are recorded. */
  #showTo(roles: readonly string[], { id, index }: TenantSnapshot): Show {
    const redaction = this.#redactor.of(id, index.settings)
    return redaction === undefined || mayReadEntities(roles) ? CLEAR : redaction.value
  }
}

/** Refuses a request whose properties do not fit their types; what is only worth telling is returned. */
function warningsOf(tenant: TenantSnapshot, facts: Facts, request: AccessRequest, budget: Budget): readonly Problem[] {
  if (tenant.status === 'suspended' || isAboutVerdict(request)) return []
  const { problems, warnings } = judgeRequest(tenant.index, facts, request, budget)
  if (problems.length === 0) return warnings
  throw new Failure('invalid_request', 'the properties do not fit the declared types', { problems })
}

const SUSPENDED: Decision = { decision: false, reason: 'tenant_suspended', rules: [], obligations: [] }
