import { Budget } from './budget.ts'
import { combinePolicies, decisiveRules, type Outcome } from './combine.ts'
import type { CompiledPolicy, CompiledRule } from './compiled-rule.ts'
import { inOrder } from './compiled-rule.ts'
import { conditionTracer, outcomeOf, type Show, type TraceCondition } from './condition-trace.ts'
import { applicableRules, candidatesOf, decideOn } from './decide.ts'
import type { Facts, Lookup } from './entity-graph.ts'
import type { PartOutcome, PolicyTrace, RuleTrace, Trace } from './explanation.ts'
import type { AccessRequest, Decision } from './model.ts'
import { nearMisses } from './near-misses.ts'
import type { PolicyIndex } from './policy-index.ts'
import { Question } from './question.ts'
import { traceRoles } from './role-trace.ts'
import { isTargeted, isValid, traceParts } from './rule-trace.ts'

export interface Explanation {
  readonly decision: Decision
  readonly trace: Trace
}

// Rules that do not apply are told up to this many.
const RULES_AT_MOST = 1000

/**
 * Decides one request by the steps of `decide`, and says how it came out so. What is only told costs budgets of its
 * own, one to trace and one to search for near misses, so that it can't change what is decided. `lookup` is asked for the groups between a subject and a role of theirs;
 * `show` is what values pass through.
 */
export function explain(
  index: PolicyIndex,
  facts: Facts,
  request: AccessRequest,
  now: number,
  lookup: Lookup,
  show: Show,
): Explanation {
  const question = new Question(index, facts, request, now, new Budget())
  const candidates = candidatesOf(index, question)
  const rules = applicableRules(candidates, question)
  const outcomes = combinePolicies(rules)
  const decision = decideOn(index, question, facts, request, rules, outcomes)

  const tracing = new Budget()
  const searching = new Budget()
  const tracer = conditionTracer(tracing, show)
  const { complete: allRoles, ...roles } = traceRoles(index, question, facts, lookup, tracer)
  const traced = traceRules(candidates, rules, question, tracer)
  const policies = tracePolicies(index, question, candidates, outcomes)
  const { nearest_misses, complete: allMisses } =
    decision.decision || decision.reason === 'quota_exceeded'
      ? { nearest_misses: [], complete: true }
      : nearMisses({ index, question, facts, candidates, rules }, searching, tracer)
  const complete = allRoles && allMisses && traced.complete && !tracing.spent
  return { decision, trace: { ...roles, rules: traced.rules, policies, nearest_misses, complete } }
}

/** Of a decision that no policy was asked for. */
export const NO_TRACE: Trace = {
  roles: [],
  roles_missed: [],
  rules: [],
  policies: [],
  nearest_misses: [],
  complete: true,
}

function traceRules(
  candidates: readonly CompiledRule[],
  rules: readonly CompiledRule[],
  question: Question,
  trace: TraceCondition,
): { readonly rules: RuleTrace[]; readonly complete: boolean } {
  const counting = new Set(rules)
  const others = candidates.filter((rule) => !counting.has(rule)).sort(inOrder)
  const told = [...rules, ...others.slice(0, RULES_AT_MOST)].sort(inOrder)
  const traced = told.map((rule): RuleTrace => {
    const counts = counting.has(rule)
    const erred = counts && rule.erred
    const parts = traceParts(rule, question, trace, conditionAsDecided(rule, question, counts))
    return { ...parts, applies: counts && (!erred || !rule.allows), erred }
  })
  return { rules: traced, complete: others.length <= RULES_AT_MOST }
}

/** Undefined: the decision did not come to its condition, or what it made of it can't be told from outside. */
function conditionAsDecided(rule: CompiledRule, question: Question, counts: boolean): PartOutcome | undefined {
  if (!isTargeted(rule, question) || !isValid(rule, question)) return undefined
  if (!counts) return 'fails'
  if (rule.erred) return rule.subjectErred ? undefined : 'errs'
  return outcomeOf(true)
}

function tracePolicies(
  index: PolicyIndex,
  question: Question,
  candidates: readonly CompiledRule[],
  outcomes: readonly Outcome[],
): PolicyTrace[] {
  const policies = new Set<CompiledPolicy>([...candidates.map(({ policy }) => policy), ...index.requiredPolicies])
  const byPolicy = new Map(outcomes.map((outcome) => [outcome.policy, outcome]))
  const inTurn = [...policies].sort((a, b) => (a.name < b.name ? -1 : 1))
  return inTurn.map((policy) => tracePolicy(policy, question, byPolicy.get(policy)))
}

function tracePolicy(policy: CompiledPolicy, question: Question, outcome: Outcome | undefined): PolicyTrace {
  const { name, combining, required } = policy
  return {
    policy: name,
    combining,
    required,
    target: policy.isAsked(question.type, question.action, question.at),
    verdict: outcome?.verdict ?? null,
    erred: outcome !== undefined && outcome.verdict !== outcome.sureVerdict,
    rules: outcome === undefined ? [] : [...new Set(decisiveRules(outcome))],
  }
}
