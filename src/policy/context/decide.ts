import type { Budget } from '../budget.ts'
import { decide } from '../decide.ts'
import type { Decision, Reason } from '../model.ts'
import { withoutRepeats } from '../obligations.ts'
import type { PolicyIndex } from '../policy-index.ts'
import { Question } from '../question.ts'
import { quotasOfAll } from '../within-quotas.ts'
import { type Carried, exceedsQuota, isCarried } from './carried.ts'
import { type View, viewsOf } from './lowered.ts'

/** With what decided: as it was asked, or with a lower level. */
export interface Settled extends View {
  readonly decision: Decision
}

/**
 * What the subject may do now and what the context carries: the request is allowed if it is allowed at the subject's own
 * level and at each lower one that the context has had, every layer carries it there, and it is within the quotas. All of
 * it stays when a context is narrowed, so that a narrowed one never allows more. Pure, as `decide` is.
 */
export function decideCarried(index: PolicyIndex, view: View, carried: Carried, now: number, budget: Budget): Settled {
  const views = viewsOf(index, view, carried.levels)
  const decisions: Decision[] = []
  for (const each of views) {
    const decision = decide(index, each.facts, each.request, now, budget)
    if (!decision.decision) return { ...each, decision }
    decisions.push(decision)
  }
  for (const each of views) {
    const { facts, request } = each
    let question: Question | undefined
    const asked = () => {
      question ??= new Question(index, facts, request, now, budget)
      return question
    }
    if (!isCarried(carried, facts.resource, request, asked)) return { ...each, decision: denied('context_exceeded') }
  }
  const last = views.at(-1) ?? view
  return { ...last, decision: exceedsQuota(carried, view.request) ? denied('quota_exceeded') : inAll(decisions) }
}

/** A deny that no rule has made. */
export function denied(reason: Reason): Decision {
  return { decision: false, reason, rules: [], obligations: [] }
}

/** What allows it at one level and at another are conditions of both. */
function inAll(decisions: readonly Decision[]): Decision {
  const [first, second] = decisions
  if (first === undefined) throw new RangeError('there is always the request as it was asked')
  if (second === undefined) return first
  return {
    decision: true,
    reason: first.reason,
    rules: [...new Set(decisions.flatMap(({ rules }) => rules))].sort(),
    obligations: withoutRepeats(decisions.flatMap(({ obligations }) => obligations)),
    ...quotasOfAll(decisions),
  }
}
