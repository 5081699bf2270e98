import Type, { type Static } from 'typebox'
import { Trace } from '../policy/explanation.ts'
import { DecisionAnswer, DecisionRequest } from './authorize.ts'
import { BODY_LIMIT, DecisionHeaders, problems, type RouteConfig } from './common.ts'

export const ExplainAnswer = Type.Object(
  { ...DecisionAnswer.properties, trace: Trace },
  { description: 'The answer that `POST /v1/authorize` gives to the same request, and how it comes about.' },
)
export type ExplainAnswer = Static<typeof ExplainAnswer>

export const explain = {
  method: 'POST',
  url: '/v1/authorize/explain',
  bodyLimit: BODY_LIMIT.route,
  config: { permission: { type: 'pdp:decision', action: 'pdp:explain' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'explain',
    tags: ['Decisions'],
    summary: 'Why may this subject do this, or why not?',
    description:
      'Decides as `POST /v1/authorize` does, and tells how. Nobody acts on it: it consumes nothing, and it is in the audit as type `administration`, action `pdp:explain`, with what was asked and answered in `context.explained`; `decision_id` is the id of that record.',
    headers: DecisionHeaders,
    body: DecisionRequest,
    response: { 200: ExplainAnswer, ...problems(400, 401, 403, 503) },
  },
} as const
