import Type, { type Static } from 'typebox'
import { AccessRequest, EntityRef, Identifier, Obligation, Properties, Reason } from '../policy/model.ts'
import { DecisionAnswer, type DecisionRequest, DecisionSubject } from './authorize.ts'
import { ItemInError } from './batch.ts'
import { BODY_LIMIT, DecisionHeaders, problems, type RouteConfig } from './common.ts'

export const MAX_PERMISSIONS = 100
/** In characters: the longest path that Linux takes. */
const MAX_TARGET = 4096

const { context, options } = AccessRequest.properties

const DeclaredPermission = Type.Object({
  kind: Identifier,
  target: Type.String({
    minLength: 1,
    maxLength: MAX_TARGET,
    description: 'As the operation has it: a path, host:port.',
  }),
  properties: Type.Optional(Properties),
})

export type OperationRequest = Pick<DecisionRequest, 'subject' | 'context' | 'options'> & {
  readonly permissions: readonly Static<typeof DeclaredPermission>[]
}
export const OperationRequest = Type.Unsafe<OperationRequest>(
  Type.Object({
    subject: DecisionSubject,
    permissions: Type.Array(DeclaredPermission, {
      minItems: 1,
      maxItems: MAX_PERMISSIONS,
      description: 'All that the operation needs; `properties` are those of the resource.',
    }),
    context,
    options,
  }),
)

const PermissionAnswer = Type.Object({
  kind: Type.String(),
  target: Type.String(),
  resource: Type.Optional(
    Type.Object(EntityRef.properties, {
      description:
        'What was asked about, its target normalised: what may be opened is this. Absent where nothing was asked.',
    }),
  ),
  decision: Type.Boolean(),
  context: Type.Union([DecisionAnswer.properties.context, ItemInError.properties.context]),
})
export type PermissionAnswer = Static<typeof PermissionAnswer>

export const OperationAnswer = Type.Object({
  decision: Type.Boolean({ description: 'True only if every permission was evaluated and allowed.' }),
  context: Type.Object({
    decision_id: Type.String({
      description: 'The record of the first permission that failed; of an allow, the first.',
    }),
    reason: Type.Union([Reason, Type.Literal('invalid_request')]),
    obligations: Type.Array(Obligation, {
      description: 'Of all permissions; of a deny, of those that were denied. Equal ones once.',
    }),
  }),
  permissions: Type.Array(PermissionAnswer, { description: 'One for each that was declared, in their order.' }),
})
export type OperationAnswer = Static<typeof OperationAnswer>

export const authorizeOperation = {
  method: 'POST',
  url: '/v1/authorize/operation',
  bodyLimit: BODY_LIMIT.route,
  config: { permission: { type: 'pdp:decision', action: 'pdp:decide' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'authorizeOperation',
    tags: ['Decisions'],
    summary: 'May this subject do what needs all these permissions?',
    description: `At most ${MAX_PERMISSIONS} permissions. Each is mapped to an action and a resource by the tenant's setting \`operations\`, its target
normalised, and decided and recorded like an item of a batch. One of a kind that is not mapped is denied (\`unmapped_operation\`),
and so is one whose target has no normal form.`,
    headers: DecisionHeaders,
    body: OperationRequest,
    response: { 200: OperationAnswer, ...problems(400, 401, 403, 413, 429, 503) },
  },
} as const
