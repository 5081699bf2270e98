import { around } from './around.ts'
import type { Budget } from './budget.ts'
import { combinePolicies } from './combine.ts'
import { type CompiledPolicy, type CompiledRule, inOrder } from './compiled-rule.ts'
import type { TraceCondition } from './condition-trace.ts'
import { conclude } from './decide.ts'
import type { Facts } from './entity-graph.ts'
import type { Failed, NearMiss } from './explanation.ts'
import type { PolicyIndex } from './policy-index.ts'
import type { Question } from './question.ts'
import { actionMatches, isTargeted, isValid, resourceMatches, subjectMatches, traceParts } from './rule-trace.ts'

/** How far the search goes. */
export interface SearchLimits {
  /** Steps in each neighbourhood of the request: other subjects, places, actions, types. About 0.1 µs each. */
  readonly steps: number
  /** Rules of which one part fails that are tried: would they have made it an allow? */
  readonly trials: number
  readonly shown: number
}

export const SEARCH_LIMITS: SearchLimits = { steps: 10_000, trials: 200, shown: 10 }

export interface Denied {
  readonly index: PolicyIndex
  readonly question: Question
  readonly facts: Facts
  readonly candidates: readonly CompiledRule[]
  /** Those that apply or erred. */
  readonly rules: readonly CompiledRule[]
}

interface Miss {
  readonly rule: CompiledRule
  readonly failed: Failed
}

/**
 * The allow rules of which exactly one part fails, and that would have made it an allow. Walks outwards from the
 * request, a bounded number of steps in each direction; `complete` says whether that was everything.
 */
export function nearMisses(
  denied: Denied,
  budget: Budget,
  trace: TraceCondition,
  limits = SEARCH_LIMITS,
): { readonly nearest_misses: NearMiss[]; readonly complete: boolean } {
  const { misses, complete } = search(denied, budget, limits)
  const wouldAllow = trials(denied)
  const shown: NearMiss[] = []
  let tried = 0
  for (const { rule, failed } of misses.sort(nearestFirst)) {
    if (shown.length === limits.shown) break
    if (++tried > limits.trials) return { nearest_misses: shown, complete: false }
    if (wouldAllow(rule)) shown.push({ ...traceParts(rule, denied.question, trace), failed })
  }
  return { nearest_misses: shown, complete: complete && !budget.spent }
}

function search({ index, question, candidates }: Denied, budget: Budget, { steps }: SearchLimits) {
  const misses: Miss[] = []
  const seen = new Set<CompiledRule>()
  const look = (rule: CompiledRule | undefined) => {
    if (rule === undefined || !rule.allows || seen.has(rule)) return
    seen.add(rule)
    const failed = onlyFailure(rule, question, budget)
    if (failed !== undefined) misses.push({ rule, failed })
  }
  let complete = true
  for (const rule of candidates) look(rule)
  for (const neighbourhood of around(index.shared, question)) {
    let taken = 0
    for (const rule of neighbourhood) {
      if (++taken > steps) {
        complete = false
        break
      }
      look(rule)
    }
  }
  return { misses, complete }
}

/** The one part of a rule that fails or errs; undefined where it is none, or more. */
function onlyFailure(rule: CompiledRule, question: Question, budget: Budget): Failed | undefined {
  // That its policy is not asked is no part of a rule, and hangs on more than this rule.
  if (!isTargeted(rule, question)) return undefined
  const failed: Failed[] = []
  if (subjectMatches(rule, question) !== true) failed.push('subject')
  if (!isValid(rule, question)) failed.push('validity')
  if (failed.length < 2 && !actionMatches(rule, question)) failed.push('action')
  if (failed.length < 2 && !resourceMatches(rule, question)) failed.push('resource')
  if (failed.length > 1) return undefined
  const { condition } = rule
  if (condition !== undefined && condition.holds(question.scope(), budget) !== true) failed.push('condition')
  return failed.length === 1 ? failed[0] : undefined
}

/** Whether a decision with the rule applying comes to allow: by the same steps as the decision itself. */
function trials({ index, question, facts, rules }: Denied): (rule: CompiledRule) => boolean {
  const byPolicy = new Map<CompiledPolicy, boolean>()
  const attempt = (rule: CompiledRule) => {
    const { erred } = rule
    rule.erred = false
    const all = [...rules.filter((other) => other !== rule), rule].sort(inOrder)
    const { decision } = conclude(index, question, facts, all, combinePolicies(all))
    rule.erred = erred
    return decision
  }
  return (rule) => {
    // By priority, each rule has its own answer; else all allows of a policy have the same.
    if (rule.policy.combining === 'first_applicable') return attempt(rule)
    const known = byPolicy.get(rule.policy)
    if (known !== undefined) return known
    const allows = attempt(rule)
    byPolicy.set(rule.policy, allows)
    return allows
  }
}

// What is most easily put right stands first: an attribute, a date, a role, then what the rule is about.
const RANK: Record<Failed, number> = { condition: 0, validity: 1, subject: 2, resource: 4, action: 5 }

function nearestFirst(a: Miss, b: Miss): number {
  return rankOf(a) - rankOf(b) || inOrder(a.rule, b.rule)
}

function rankOf({ rule, failed }: Miss): number {
  // A rule for somebody else is farther than one for a role.
  const isPersonal = failed === 'subject' && !rule.subjects.some(({ kind }) => kind === 'role')
  return RANK[failed] + (isPersonal ? 1 : 0)
}
