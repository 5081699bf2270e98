import Type, { type Static } from 'typebox'
import type { PdpAction } from '../policy/built-in.ts'
import { Identifier } from '../policy/model.ts'
import { LARGEST_LIMIT, LONGEST_WINDOW_S, Quota, SHORTEST_WINDOW_S } from '../policy/quota.ts'
import {
  closed,
  Gone,
  itemProblems,
  NameParams,
  Nullable,
  page,
  pageQuery,
  problems,
  ReadHeaders,
  type RouteConfig,
  readable,
  readProblems,
  stored,
  Uuid,
  WriteHeaders,
  warnings,
  writeProblems,
} from './common.ts'
import { unnamed } from './policies.ts'

const { limit: _limit, window_seconds: _window, ...rest } = unnamed(Quota).properties

/** Numbers are any here: one that is no limit is understood, and refused for what it is (422). */
export const QuotaBody = Type.Object(
  {
    ...rest,
    limit: Type.Number({ description: `A whole number from 1 to ${LARGEST_LIMIT}.` }),
    window_seconds: Type.Optional(
      Type.Number({ description: `A whole number from ${SHORTEST_WINDOW_S} to ${LONGEST_WINDOW_S}.` }),
    ),
  },
  closed,
)
export const StoredQuota = Type.Object({ ...Quota.properties, ...stored })
export const WrittenQuota = Type.Object({ ...StoredQuota.properties, ...warnings })

const may = (action: PdpAction): RouteConfig => ({ permission: { type: 'pdp:quota', action } })

export const listQuotas = {
  method: 'GET',
  url: '/v1/quotas',
  config: may('pdp:read'),
  schema: {
    operationId: 'listQuotas',
    tags: ['Quotas'],
    summary: 'List quotas',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(readable(StoredQuota)), ...readProblems },
  },
} as const

export const getQuota = {
  method: 'GET',
  url: '/v1/quotas/:name',
  config: may('pdp:read'),
  schema: {
    operationId: 'getQuota',
    tags: ['Quotas'],
    summary: 'Get a quota',
    headers: ReadHeaders,
    params: NameParams,
    response: { 200: readable(StoredQuota), ...itemProblems },
  },
} as const

export const putQuota = {
  method: 'PUT',
  url: '/v1/quotas/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'putQuota',
    tags: ['Quotas'],
    summary: 'Create or replace a quota',
    description:
      'With `requested` a static limit, with `window_seconds` a counter: one of the two. Another limit holds for the running window too; another `window_seconds` begins to count anew.',
    headers: WriteHeaders,
    params: NameParams,
    body: QuotaBody,
    response: { 200: WrittenQuota, 201: WrittenQuota, ...writeProblems },
  },
} as const

export const deleteQuota = {
  method: 'DELETE',
  url: '/v1/quotas/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'deleteQuota',
    tags: ['Quotas'],
    summary: 'Delete a quota',
    headers: WriteHeaders,
    params: NameParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

export const QuotaUsage = Type.Object({
  name: Type.String(),
  limit: Type.Integer(),
  reserved: Type.Integer({ description: 'Units that replicas have reserved of the running window.' }),
  used: Type.Integer({
    description: 'Of these, what was taken, as far as this replica knows: what others hold in hand counts as taken.',
  }),
  remaining: Type.Integer({ description: 'Units that nobody has reserved.' }),
  reset_at: Nullable(Type.String({ format: 'date-time' })),
})
export type QuotaUsage = Static<typeof QuotaUsage>

const Named = Type.Optional(Identifier)

export const getQuotaUsage = {
  method: 'GET',
  url: '/v1/quotas/:name/usage',
  config: may('pdp:read'),
  schema: {
    operationId: 'getQuotaUsage',
    tags: ['Quotas'],
    summary: 'What has been taken of a counter in the running window',
    description:
      'As the database has it. A quota `per` subject or resource is asked about one of them, by `subject_type` and `subject_id` or by `resource_type` and `resource_id`.',
    headers: ReadHeaders,
    params: NameParams,
    querystring: Type.Object(
      { subject_type: Named, subject_id: Named, resource_type: Named, resource_id: Named },
      closed,
    ),
    response: { 200: QuotaUsage, ...itemProblems, ...problems(422) },
  },
} as const
export type UsageQuery = Static<typeof getQuotaUsage.schema.querystring>

export const RefundBody = Type.Object(
  {
    decision_id: Uuid,
    units: Type.Optional(
      Type.Integer({ minimum: 1, maximum: LARGEST_LIMIT, description: 'All that it took, where it is left out.' }),
    ),
  },
  closed,
)
export type RefundBody = Static<typeof RefundBody>

export const Refund = Type.Object({
  name: Type.String(),
  decision_id: Uuid,
  units: Type.Integer({ description: 'What was given back.' }),
  reset_at: Type.String({ format: 'date-time' }),
})
export type Refund = Static<typeof Refund>

export const refundQuota = {
  method: 'POST',
  url: '/v1/quotas/:name/refund',
  config: may('pdp:refund'),
  schema: {
    operationId: 'refundQuota',
    tags: ['Quotas'],
    summary: 'Give back what a decision took of a counter',
    description:
      'Once for each decision, and within the window that it was taken of. What it took is read from its record in the audit: until that is in the database (moments after the decision), there is no such decision (404).',
    params: NameParams,
    body: RefundBody,
    response: { 200: Refund, ...problems(400, 401, 403, 404, 409, 422, 429, 503) },
  },
} as const
