import { Budget } from '../budget.ts'
import { combinePolicies } from '../combine.ts'
import { applicableRules, candidatesOf, decideOn } from '../decide.ts'
import type { Facts } from '../entity-graph.ts'
import type { AccessRequest } from '../model.ts'
import type { PolicyIndex } from '../policy-index.ts'
import { Question } from '../question.ts'

/** What one candidate came to. */
export interface Judged {
  readonly allowed: boolean
  /** What it took, in steps of about 50 ns. */
  readonly steps: number
}

// Measured with rules of each kind: what a decision takes at least, for each rule that is found, and for each thing that
// is known of subject and resource.
const STEPS = 60
const STEPS_FOR_RULE = 3
const STEPS_FOR_FACT = 2

/**
 * Decides one candidate, as `decide` does and by its steps, with a budget of its own: what authorize allows is never lost
 * because others took long. What is beyond a static quota is not allowed; of counters nothing is asked or taken. Counts what it took: by the clock, equal searches would not have equal answers.
 */
export function judge(index: PolicyIndex, facts: Facts, request: AccessRequest, now: number): Judged {
  const budget = new Budget()
  const whole = budget.left
  const question = new Question(index, facts, request, now, budget)
  const found = candidatesOf(index, question)
  const rules = applicableRules(found, question)
  const { decision: allowed } = decideOn(index, question, facts, request, rules, combinePolicies(rules))
  return {
    allowed,
    steps: STEPS + whole - budget.left + STEPS_FOR_RULE * found.length + STEPS_FOR_FACT * sizeOf(facts),
  }
}

function sizeOf({ subject, resource }: Facts): number {
  const assigned = subject.given.reduce((sum, { length }) => sum + length, 0)
  return subject.ancestors.length + assigned + resource.ancestors.length
}
