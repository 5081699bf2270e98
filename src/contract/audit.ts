import Type from 'typebox'
import { auditQuery, EventTypes } from './audit-reading.ts'
import { closed, itemProblems, page, pageQuery, problems, type RouteConfig, UuidParams } from './common.ts'

const AuditItem = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    at: Type.String({ format: 'date-time' }),
    tenant: Type.String(),
    type: Type.Optional(EventTypes),
    unreadable: Type.Optional(
      Type.Literal(true, {
        description:
          'What is stored is no event any more, since somebody changed it by hand. Beside it stand `id`, `at` (by the id), `tenant`, `writer`, `seq` and the `hash` of what is stored; `GET /v1/audit/verify` says what was found.',
      }),
    ),
    writer: Type.String({ description: 'The log that the record stands in.' }),
    seq: Type.Integer({ description: 'Its place in that log, from 0.' }),
    hash: Type.String({ description: 'The leaf hash of the exact recorded bytes (RFC 6962), in hex.' }),
  },
  { additionalProperties: true, description: 'The event as it was recorded, and where it stands.' },
)

export const listAudit = {
  method: 'GET',
  url: '/v1/audit',
  config: { permission: { type: 'pdp:audit', action: 'pdp:read' } } satisfies RouteConfig,
  schema: {
    operationId: 'listAudit',
    tags: ['Audit'],
    summary: 'Audit events, newest first',
    description: `Filters that are present must all match. By time, by subject, by resource and of the denied every page
is found by an index; another filter alone looks through the records until a page is full, and one that would look for
longer than a second is refused (422): give \`from\` and \`to\` with it.`,
    querystring: Type.Object(
      {
        ...pageQuery,
        ...auditQuery,
        order: Type.Optional(Type.Union([Type.Literal('asc'), Type.Literal('desc')])),
      },
      closed,
    ),
    response: { 200: page(AuditItem), ...problems(400, 401, 403, 422, 503) },
  },
} as const

export const getAudit = {
  method: 'GET',
  url: '/v1/audit/:id',
  config: { permission: { type: 'pdp:audit', action: 'pdp:read' } } satisfies RouteConfig,
  schema: {
    operationId: 'getAudit',
    tags: ['Audit'],
    summary: 'One audit event',
    params: UuidParams,
    response: { 200: AuditItem, ...itemProblems },
  },
} as const
