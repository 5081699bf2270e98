import Type, { type Static } from 'typebox'
import { Obligation, Properties } from '../policy/model.ts'
import { DecisionAnswer } from './authorize.ts'
import { BODY_LIMIT, DecisionHeaders, Problem, problems, type RouteConfig } from './common.ts'

export const MAX_ITEMS = 1000

export const Semantic = Type.Enum(['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'], {
  description:
    'When a batch ends: after all its items (the default), after the first deny, or after the first allow. An item in error counts as a deny.',
})
export type Semantic = Static<typeof Semantic>

// A default may be incomplete, where each item brings its own: whether it is whole is asked of each item.
const Text = Type.Optional(Type.String())
const Default = (description: string) =>
  Type.Optional(
    Type.Object(
      { type: Text, id: Text, token: Text, context_token: Text, properties: Type.Optional(Properties) },
      { description },
    ),
  )

/** What a batch holds beside its options. */
export const batchMembers = {
  subject: Default('For items that have none of their own.'),
  action: Type.Optional(
    Type.Object(
      { name: Text, properties: Type.Optional(Properties) },
      { description: 'For items that have none of their own.' },
    ),
  ),
  resource: Default('For items that have none of their own.'),
  context: Type.Optional(Properties),
  evaluations: Type.Optional(
    Type.Array(
      // Items are checked one by one, with the defaults that they take: one that is wrong does not spoil the others.
      Type.Unknown({
        description:
          'An object with any of `subject`, `action`, `resource` and `context`: each, whole, in the place of the default.',
      }),
      {
        maxItems: MAX_ITEMS,
        description: 'Absent or empty: the whole is a single question, and so is its answer.',
      },
    ),
  ),
}

export const min_revision = Type.Optional(
  Type.Integer({
    minimum: 0,
    description: 'From the header `Verdict-Revision` of a write: decide by it, or by a later one.',
  }),
)

export const BatchRequest = Type.Object({
  ...batchMembers,
  options: Type.Optional(
    Type.Object({
      evaluations_semantic: Type.Optional(Semantic),
      min_revision,
      fallback: Type.Optional(
        Type.Unknown({
          description:
            'Anything, up to 16,384 characters of JSON. The items are then alternatives in their order: the batch ends at the first that is allowed (`permit_on_first_permit`), and the answer says which in `selected`, or that it is none, with this.',
        }),
      ),
    }),
  ),
})
export type BatchRequest = Static<typeof BatchRequest>

/** What is wrong with an item of a batch, in the place of what its decision was made of. */
export const ItemError = Type.Object({
  status: Type.Integer({ description: 'What the item would have been answered as a question of its own.' }),
  message: Type.String(),
  errors: Type.Optional(Problem.properties.errors),
})
export type ItemError = Static<typeof ItemError>

export const ItemInError = Type.Object(
  {
    decision: Type.Literal(false),
    context: Type.Object({
      decision_id: Type.String({ description: 'The id of the audit record.' }),
      reason: Type.Literal('invalid_request'),
      rules: Type.Optional(Type.Array(Type.String(), { maxItems: 0 })),
      obligations: Type.Array(Obligation, { maxItems: 0 }),
      error: ItemError,
    }),
  },
  { description: 'An item that is no question: a deny.' },
)
export type ItemInError = Static<typeof ItemInError>

export const BatchAnswer = Type.Object({
  decision: Type.Boolean({ description: 'True only if every item that was asked for was evaluated and allowed.' }),
  evaluations: Type.Array(Type.Union([DecisionAnswer, ItemInError]), {
    description: 'One for each item, in their order; of a batch that ended early, up to the one that ended it.',
  }),
  selected: Type.Optional(
    Type.Union(
      [
        Type.Object({
          index: Type.Integer({ minimum: 0, description: 'The place of the first item that is allowed.' }),
        }),
        Type.Object({ fallback: Type.Unknown({ description: 'None of them is: what the question gave for that.' }) }),
      ],
      { description: 'There where the question has a fallback.' },
    ),
  ),
})

export const authorizeBatch = {
  method: 'POST',
  url: '/v1/authorize/batch',
  bodyLimit: BODY_LIMIT.batch,
  config: { permission: { type: 'pdp:decision', action: 'pdp:decide' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'authorizeBatch',
    tags: ['Decisions'],
    summary: 'Many questions at once, each answered as if it were asked alone',
    description: `At most ${MAX_ITEMS} items. Each is decided by itself, and is in the audit by itself. An item that is wrong is a deny, with what
is wrong in its context; a failure of Verdict's own (503) fails the whole. All items draw on one budget for conditions. \`options\` are
the batch's: an item has none of its own.`,
    headers: DecisionHeaders,
    body: BatchRequest,
    response: { 200: Type.Union([BatchAnswer, DecisionAnswer]), ...problems(400, 401, 403, 413, 429, 503) },
  },
} as const
