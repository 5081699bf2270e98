import type { DecisionAnswer } from '../contract/authorize.ts'
import type { Problem } from '../failure.ts'
import type { AccessRequest, Decision, Settings } from '../policy/model.ts'
import type { Proof } from './proof.ts'

/** What a decision was made of, taken from memory in one turn. */
export interface Made {
  readonly decision: Decision
  readonly revision: number
  readonly settings: Required<Settings>
  readonly warnings: readonly Problem[]
  /** undefined: the request named its subject. */
  readonly proof: Proof | undefined
}

export function answerOf(id: string, made: Made, { subject }: AccessRequest): DecisionAnswer {
  const { decision: found, revision, settings, warnings, proof } = made
  const { decision, reason, rules, obligations } = found
  return {
    decision,
    context: {
      decision_id: id,
      reason,
      ...(settings.rules_in_answers && { rules: [...rules] }),
      obligations: [...obligations],
      revision,
      ...(proof !== undefined && { subject: { type: subject.type, id: subject.id } }),
      ...(warnings.length > 0 && { warnings: [...warnings] }),
    },
  }
}
