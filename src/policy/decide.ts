import { Budget } from './budget.ts'
import { combinePolicies, type Outcome, pushDecisive } from './combine.ts'
import { type CompiledRule, inOrder } from './compiled-rule.ts'
import type { Facts } from './entity-graph.ts'
import type { AccessRequest, Decision, Obligation, Reason } from './model.ts'
import { withoutRepeats } from './obligations.ts'
import type { PolicyIndex } from './policy-index.ts'
import { Question } from './question.ts'
import { withinQuotas } from './within-quotas.ts'

/**
 * Decides one request. `now` in milliseconds since 1970; the items of a batch share one budget. Pure (but for the marks
 * that a decision leaves in the index, which mean nothing to the next), synchronous, never throws.
 */
export function decide(
  index: PolicyIndex,
  facts: Facts,
  request: AccessRequest,
  now: number,
  budget: Budget = new Budget(),
): Decision {
  const question = new Question(index, facts, request, now, budget)
  const rules = applicableRules(candidatesOf(index, question), question)
  return decideOn(index, question, facts, request, rules, combinePolicies(rules))
}

// The steps of a decision. `explain` takes the same ones, and looks at what lies between them.

/** The rules whose subject, action and resource match. */
export function candidatesOf(index: PolicyIndex, question: Question): CompiledRule[] {
  const candidates: CompiledRule[] = []
  index.rules.collect(question, candidates)
  return candidates
}

/** What the rules that apply come to, and where that is an allow, the quotas. */
export function decideOn(
  index: PolicyIndex,
  question: Question,
  facts: Facts,
  request: AccessRequest,
  rules: readonly CompiledRule[],
  outcomes: readonly Outcome[],
): Decision {
  const decision = conclude(index, question, facts, rules, outcomes)
  if (index.quotas.isEmpty || !decision.decision) return decision
  return withinQuotas(decision, index.quotas.matching(question), request, () => obligationsOf(false, outcomes))
}

/** What the rules that apply come to, given what each policy came to by them. */
export function conclude(
  index: PolicyIndex,
  question: Question,
  facts: Facts,
  rules: readonly CompiledRule[],
  outcomes: readonly Outcome[],
): Decision {
  const reason = reasonOf(outcomes, rules, facts.subject.disabled, areRequiredSatisfied(index, question, outcomes))
  const decision = reason === 'allowed_by_rule'
  const obligations = obligationsOf(decision, outcomes)
  return { decision, reason, rules: rulesBehind(reason, outcomes, rules), obligations }
}

/** The rules that apply, and those of which it cannot be told (`erred`), in the order of their keys. */
export function applicableRules(candidates: readonly CompiledRule[], question: Question): CompiledRule[] {
  const rules: CompiledRule[] = []
  if (candidates.length > HANDFUL) return candidates.filter((rule) => mayApply(rule, question)).sort(inOrder)
  for (const rule of candidates) if (mayApply(rule, question)) insert(rule, rules)
  return rules
}

// As many are put in their places one by one: faster, for so few, than to sort with a function that compares.
const HANDFUL = 24

function insert(rule: CompiledRule, into: CompiledRule[]): void {
  let at = into.length
  into.push(rule)
  for (; at > 0; at--) {
    const before = into[at - 1]
    if (before === undefined || inOrder(before, rule) < 0) break
    into[at] = before
  }
  into[at] = rule
}

function mayApply(rule: CompiledRule, question: Question): boolean {
  if (!rule.policy.isAsked(question.type, question.action, question.at)) return false
  const { validity } = rule
  if (validity !== undefined && (question.now < validity.from || question.now >= validity.until)) return false
  const holds = rule.condition === undefined ? true : question.holds(rule.condition)
  rule.erred = holds === undefined || rule.subjectErred || rule.policy.inDoubt
  return holds !== false
}

/** Every required policy whose target matches must itself have come to allow. */
function areRequiredSatisfied(index: PolicyIndex, question: Question, outcomes: readonly Outcome[]): boolean {
  for (const policy of index.requiredPolicies) {
    if (!policy.isAsked(question.type, question.action, question.at)) continue
    if (!outcomes.some((outcome) => outcome.policy === policy && outcome.verdict === 'allow')) return false
  }
  return true
}

function reasonOf(
  outcomes: readonly Outcome[],
  rules: readonly CompiledRule[],
  disabled: boolean,
  satisfied: boolean,
): Reason {
  if (disabled) return 'subject_disabled'
  if (outcomes.some((outcome) => outcome.sureVerdict === 'deny')) return 'denied_by_rule'
  const denied = outcomes.some((outcome) => outcome.verdict === 'deny')
  if (!denied && satisfied && outcomes.some((outcome) => outcome.verdict === 'allow')) return 'allowed_by_rule'
  if (rules.some((rule) => rule.erred)) return 'condition_error'
  return satisfied ? 'no_applicable_rule' : 'required_policy_not_satisfied'
}

/** The keys of the rules that made the decision, or that erred. */
function rulesBehind(reason: Reason, outcomes: readonly Outcome[], rules: readonly CompiledRule[]): string[] {
  const keys: string[] = []
  if (reason === 'condition_error') {
    for (const rule of rules) if (rule.erred && rule.key !== keys.at(-1)) keys.push(rule.key)
  } else if (reason === 'allowed_by_rule' || reason === 'denied_by_rule') {
    const wanted = reason === 'allowed_by_rule' ? 'allow' : 'deny'
    for (const outcome of outcomes) if (outcome.sureVerdict === wanted) pushDecisive(outcome, keys)
  }
  return keys
}

const NO_OBLIGATIONS: readonly Obligation[] = Object.freeze([])

/**
 * An allow carries the obligations of the applicable allow rules of every policy that came to allow; a deny those of
 * every applicable deny, whatever its policy came to (one that erred applies). In the order of the rules' keys, and
 * wholly equal ones once, where they first stand.
 */
function obligationsOf(decision: boolean, outcomes: readonly Outcome[]): readonly Obligation[] {
  let all: Obligation[] | undefined
  for (const { verdict, rules } of outcomes) {
    if (decision && verdict !== 'allow') continue
    for (const rule of rules) {
      if (rule.obligations.length === 0 || rule.allows !== decision || (decision && rule.erred)) continue
      all ??= []
      for (const obligation of rule.obligations) all.push(obligation)
    }
  }
  if (all === undefined) return NO_OBLIGATIONS
  return all.length === 1 ? all : withoutRepeats(all)
}
