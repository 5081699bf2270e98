import Type, { type Static } from 'typebox'
import { AccessRequest, Obligation, Reason } from '../policy/model.ts'
import { batchMembers, ItemError, min_revision, Semantic } from './batch.ts'
import { BODY_LIMIT, DecisionHeaders, problems, type RouteConfig, TenantId, warnings } from './common.ts'

/** What every question of the AuthZEN API asks of its caller. */
export const accessConfig = {
  permission: { type: 'pdp:decision', action: 'pdp:decide' },
  suspended: 'answers',
} as const satisfies RouteConfig

/** What they may answer beside their success. A body in another format is malformed here, as AuthZEN wants it. */
export const accessProblems = problems(400, 401, 403, 413, 429, 503)

/** Where each of its endpoints is, by its member in the metadata: what stands here is offered. */
export const ACCESS_ENDPOINTS = {
  access_evaluation_endpoint: '/access/v1/evaluation',
  access_evaluations_endpoint: '/access/v1/evaluations',
  search_subject_endpoint: '/access/v1/search/subject',
  search_resource_endpoint: '/access/v1/search/resource',
  search_action_endpoint: '/access/v1/search/action',
} as const

const reasons = Type.Optional(
  Type.Boolean({
    description: 'Whether answers say why, in their context: `reason`, `rules` and `warnings`.',
  }),
)

const explain_errors = Type.Optional(
  Type.Boolean({ description: 'Whether an item in error says what is wrong with it, in its context.' }),
)

const { subject, action, resource, context } = AccessRequest.properties

const EvaluationRequest = Type.Object({
  subject,
  action,
  resource,
  context,
  options: Type.Optional(Type.Object({ reasons, min_revision })),
})

export const EvaluationsRequest = Type.Object({
  ...batchMembers,
  options: Type.Optional(
    Type.Object({ evaluations_semantic: Type.Optional(Semantic), explain_errors, reasons, min_revision }),
  ),
})
export type EvaluationsRequest = Static<typeof EvaluationsRequest>

export const Evaluation = Type.Object(
  {
    decision: Type.Boolean(),
    context: Type.Optional(
      Type.Object(
        {
          obligations: Type.Optional(Type.Array(Obligation)),
          reason: Type.Optional(Type.Union([Reason, Type.Literal('invalid_request')])),
          rules: Type.Optional(Type.Array(Type.String())),
          ...warnings,
          error: Type.Optional(ItemError),
        },
        { description: 'Obligations wherever there are any; the rest where it was asked for.' },
      ),
    ),
  },
  { description: 'The decision. A deny is a 200, never an error.' },
)
export type Evaluation = Static<typeof Evaluation>

export const evaluation = {
  method: 'POST',
  url: ACCESS_ENDPOINTS.access_evaluation_endpoint,
  bodyLimit: BODY_LIMIT.route,
  config: accessConfig,
  schema: {
    operationId: 'accessEvaluation',
    tags: ['AuthZEN'],
    summary: 'Access Evaluation (AuthZEN 1.0)',
    description:
      'As `/v1/authorize`. Answers to equal requests are equal: the id of the decision is in the header `X-Decision-Id`, the revision that it was made at in `Verdict-Revision`.',
    headers: DecisionHeaders,
    body: EvaluationRequest,
    response: { 200: Evaluation, ...accessProblems },
  },
} as const

export const evaluations = {
  method: 'POST',
  url: ACCESS_ENDPOINTS.access_evaluations_endpoint,
  bodyLimit: BODY_LIMIT.batch,
  config: accessConfig,
  schema: {
    operationId: 'accessEvaluations',
    tags: ['AuthZEN'],
    summary: 'Access Evaluations (AuthZEN 1.0): many questions at once',
    description:
      'As `/v1/authorize/batch`. The header `X-Decision-Id` is the id of the first record; the others name it in `batch`. `Verdict-Revision` is the lowest that any was decided at.',
    headers: DecisionHeaders,
    body: EvaluationsRequest,
    response: {
      200: Type.Union([Type.Object({ evaluations: Type.Array(Evaluation) }), Evaluation]),
      ...accessProblems,
    },
  },
} as const

const Url = Type.String({ format: 'uri' })

export const AuthzenConfiguration = Type.Object(
  {
    policy_decision_point: Url,
    access_evaluation_endpoint: Url,
    access_evaluations_endpoint: Type.Optional(Url),
    search_subject_endpoint: Type.Optional(Url),
    search_resource_endpoint: Type.Optional(Url),
    search_action_endpoint: Type.Optional(Url),
  },
  { description: 'Members without a value are left out.' },
)

const metadataSchema = {
  tags: ['AuthZEN'],
  security: [],
  response: { 200: AuthzenConfiguration, ...problems(400) },
} as const

const open = { permission: 'anyone', unaudited: true } as const satisfies RouteConfig

export const metadata = {
  method: 'GET',
  url: '/.well-known/authzen-configuration',
  config: open,
  schema: {
    ...metadataSchema,
    operationId: 'getAuthzenConfiguration',
    summary: 'Where the endpoints of the AuthZEN API are',
  },
} as const

export const tenantMetadata = {
  method: 'GET',
  url: '/.well-known/authzen-configuration/:tenant',
  config: open,
  schema: {
    ...metadataSchema,
    operationId: 'getTenantAuthzenConfiguration',
    summary: 'The same for clients whose identifier of the decision point ends in a tenant',
    description:
      'The same endpoints: whose tenant a question is about is said by its credential. Whether there is such a tenant is not told.',
    params: Type.Object({ tenant: TenantId }),
  },
} as const
