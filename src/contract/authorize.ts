import Type, { type Static } from 'typebox'
import { AccessRequest, Obligation, Reason } from '../policy/model.ts'
import { BODY_LIMIT, problems, type RouteConfig, warnings } from './common.ts'

export const DecisionAnswer = Type.Object(
  {
    decision: Type.Boolean(),
    context: Type.Object({
      decision_id: Type.String({ description: 'The id of the audit record.' }),
      reason: Reason,
      rules: Type.Optional(
        Type.Array(Type.String(), { description: 'The rules that made the decision, as `policy/name`.' }),
      ),
      obligations: Type.Array(Obligation),
      revision: Type.Integer({ description: "The tenant's revision that the decision was made at." }),
      ...warnings,
    }),
  },
  { description: 'The decision. A deny is a 200, never an error.' },
)
export type DecisionAnswer = Static<typeof DecisionAnswer>

export const authorize = {
  method: 'POST',
  url: '/v1/authorize',
  bodyLimit: BODY_LIMIT.route,
  config: { permission: { type: 'pdp:decision', action: 'pdp:decide' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'authorize',
    tags: ['Decisions'],
    summary: 'May this subject do this action on this resource?',
    description:
      'Default deny. `options.min_revision`, from the header `Verdict-Revision` of a write, makes the answer at least that fresh on every replica. Properties that do not fit the schema of their type are a 400, or `warnings` where the type says so.',
    body: AccessRequest,
    response: { 200: DecisionAnswer, ...problems(400, 401, 403, 503) },
  },
} as const
