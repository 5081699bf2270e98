import Type from 'typebox'
import { Identifier } from '../policy/model.ts'
import { closed, Instant, itemProblems, page, pageQuery, type RouteConfig, readProblems, UuidParams } from './common.ts'

const EventTypes = Type.Union([
  Type.Literal('decision'),
  Type.Literal('authentication'),
  Type.Literal('administration'),
  Type.Literal('audit_access'),
  Type.Literal('security'),
])

const AuditItem = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    at: Type.String({ format: 'date-time' }),
    tenant: Type.String(),
    type: EventTypes,
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
    querystring: Type.Object(
      {
        ...pageQuery,
        from: Type.Optional(Instant),
        to: Type.Optional(Instant),
        type: Type.Optional(EventTypes),
        decision: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
        reason: Type.Optional(Identifier),
        actor: Type.Optional(Identifier),
        subject_type: Type.Optional(Identifier),
        subject_id: Type.Optional(Identifier),
        action: Type.Optional(Identifier),
        resource_type: Type.Optional(Identifier),
        resource_id: Type.Optional(Identifier),
        rule: Type.Optional(Identifier),
        ip: Type.Optional(Identifier),
        request_id: Type.Optional(Identifier),
        trace_id: Type.Optional(Identifier),
        order: Type.Optional(Type.Union([Type.Literal('asc'), Type.Literal('desc')])),
      },
      closed,
    ),
    response: { 200: page(AuditItem), ...readProblems },
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
