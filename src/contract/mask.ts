import Type, { type Static } from 'typebox'
import { AccessRequest, type Properties } from '../policy/model.ts'
import { DecisionAnswer, type DecisionRequest, DecisionSubject } from './authorize.ts'
import { BODY_LIMIT, DecisionHeaders, problems, type RouteConfig } from './common.ts'

const { action, resource, context, options } = AccessRequest.properties

const Others = Type.Enum(['remove', 'keep'], {
  description: 'What becomes of fields that no mask of the decision names; `remove` where it is left out.',
})

export type MaskRequest = DecisionRequest & {
  readonly record: Properties
  readonly others?: Static<typeof Others>
}
export const MaskRequest = Type.Unsafe<MaskRequest>(
  Type.Object({
    subject: DecisionSubject,
    action,
    resource,
    context,
    options,
    record: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'What is to be shown. It is no part of the question: nothing is decided by it, and it is not recorded.',
    }),
    others: Type.Optional(Others),
  }),
)

export const MaskAnswer = Type.Object(
  {
    decision: Type.Boolean(),
    record: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'What may be seen of it. Absent where it is a deny.' }),
    ),
    masked: Type.Array(Type.String(), { description: 'Where something was masked or removed by a mask, as paths.' }),
    context: DecisionAnswer.properties.context,
  },
  { description: 'The decision, with its masks carried out. A deny is a 200, never an error.' },
)
export type MaskAnswer = Static<typeof MaskAnswer>

export const maskRecord = {
  method: 'POST',
  url: '/v1/mask',
  bodyLimit: BODY_LIMIT.route,
  config: { permission: { type: 'pdp:decision', action: 'pdp:decide' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'maskRecord',
    tags: ['Decisions'],
    summary: 'May this subject see this record, and what of it?',
    description: `Decides as \`/v1/authorize\` does, and leaves the same record in the audit. An allow comes with the record, masked as its
obligations of type \`mask\` say; obligations of other types are still the caller's. Fields that none of them names are removed,
unless the caller keeps them (\`others\`); what a mask itself removes (\`others: remove\` in the obligation) it cannot keep.`,
    headers: DecisionHeaders,
    body: MaskRequest,
    response: { 200: MaskAnswer, ...problems(400, 401, 403, 413, 429, 503) },
  },
} as const
