import type { DecisionAnswer } from '../contract/authorize.ts'
import type { Problem } from '../failure.ts'
import type { AccessRequest, Decision, Settings } from '../policy/model.ts'
import type { Presented } from './context.ts'
import type { Proof } from './proof.ts'
import type { RecordedUse, Taken } from './quotas/takings.ts'

/** What a decision was made of, taken from memory in one turn. */
export interface Made {
  readonly decision: Decision
  readonly revision: number
  readonly settings: Required<Settings>
  readonly warnings: readonly Problem[]
  /** undefined: the request named its subject. */
  readonly proof: Proof | undefined
  /** undefined: no security context came in the subject's place. */
  readonly presented: Presented | undefined
  /** Units that were taken for it. */
  readonly taken?: readonly Taken[]
  /** Its quotas as its record has them, where units were taken. */
  readonly recorded?: readonly RecordedUse[]
}

export function answerOf(id: string, made: Made, { subject }: AccessRequest): DecisionAnswer {
  const { decision: found, revision, settings, warnings } = made
  const { decision, reason, rules, obligations, quotas } = found
  // Made for each item of a batch, and so without spreads.
  const context: DecisionAnswer['context'] = settings.rules_in_answers
    ? { decision_id: id, reason, rules: [...rules], obligations: [...obligations], revision }
    : { decision_id: id, reason, obligations: [...obligations], revision }
  if (quotas !== undefined) context.quotas = [...quotas]
  if (isToldWho(made)) context.subject = { type: subject.type, id: subject.id }
  if (warnings.length > 0) context.warnings = [...warnings]
  return { decision, context }
}

/** A token names somebody whom the caller may not know yet; one that is refused names nobody. */
function isToldWho({ proof, presented }: Made): boolean {
  return proof !== undefined || presented?.verified !== undefined
}

/** Whether a reason and rules are all that it was made of: many in a batch are alike then. */
export function isPlain({ decision, warnings, proof, presented, recorded }: Made): boolean {
  const { obligations, quotas } = decision
  const isBare = obligations.length === 0 && warnings.length === 0 && quotas === undefined && recorded === undefined
  return isBare && proof === undefined && presented === undefined
}

/** Whether two that are plain came to the same. */
export function areAlike(one: Made, other: Made): boolean {
  const { decision, reason, rules } = one.decision
  return (
    decision === other.decision.decision &&
    reason === other.decision.reason &&
    one.revision === other.revision &&
    one.settings === other.settings &&
    rules.length === other.decision.rules.length &&
    rules.every((rule, at) => rule === other.decision.rules[at])
  )
}
