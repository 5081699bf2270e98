import Type, { type Static, type TSchema } from 'typebox'
import { Identifier } from '../policy/model.ts'
import { closed, Instant, problems, type RouteConfig } from './common.ts'

/** Reading the audit: what can be asked for, and the export and the counts of it. */

export const EventTypes = Type.Union([
  Type.Literal('decision'),
  Type.Literal('authentication'),
  Type.Literal('administration'),
  Type.Literal('audit_access'),
  Type.Literal('security'),
])

const WITHIN_RANGE = 'No index finds it: give a range of time with it.'
const HASHED = 'In the clear, also where the tenant hashes it (`redaction`); or as the hash itself.'

export const auditQuery = {
  from: Type.Optional({ ...Instant, description: 'The instant itself is in.' }),
  to: Type.Optional({ ...Instant, description: 'The instant itself is out.' }),
  type: Type.Optional({ ...EventTypes, description: WITHIN_RANGE }),
  decision: Type.Optional(
    Type.Union([Type.Literal('true'), Type.Literal('false')], {
      description: '`false` is found by an index of its own; for `true` give a range of time with it.',
    }),
  ),
  reason: Type.Optional({ ...Identifier, description: WITHIN_RANGE }),
  actor: Type.Optional({
    ...Identifier,
    description: `The actor's id, or its type and id with a colon between. ${HASHED} ${WITHIN_RANGE}`,
  }),
  subject_type: Type.Optional({ ...Identifier, description: `${WITHIN_RANGE} Or the \`subject_id\`.` }),
  subject_id: Type.Optional({ ...Identifier, description: `${HASHED} Found by an index.` }),
  action: Type.Optional({ ...Identifier, description: WITHIN_RANGE }),
  resource_type: Type.Optional({ ...Identifier, description: `${WITHIN_RANGE} Or the \`resource_id\`.` }),
  resource_id: Type.Optional({ ...Identifier, description: `${HASHED} Found by an index.` }),
  rule: Type.Optional({ ...Identifier, description: `\`policy/name\`. ${WITHIN_RANGE}` }),
  ip: Type.Optional({ ...Identifier, description: `${HASHED} ${WITHIN_RANGE}` }),
  request_id: Type.Optional({ ...Identifier, description: WITHIN_RANGE }),
  trace_id: Type.Optional({ ...Identifier, description: WITHIN_RANGE }),
}
const AuditQuery = Type.Object(auditQuery)
export type AuditQuery = Readonly<Static<typeof AuditQuery>>

const read = { permission: { type: 'pdp:audit', action: 'pdp:read' } } satisfies RouteConfig

const Lines = {
  description: 'The records, in the order of the logs',
  content: {
    'application/x-ndjson': {
      schema: Type.String({
        description: `One object a line. A record as it was recorded, with \`writer\`, \`seq\` and \`hash\`; or
\`{"cursor"}\`, where a reader may go on from; and at the end \`{"cursor", "complete": [{"writer", "position",
"closed"}]}\`: of each writer, every record before \`position\` that the filter asks for has come.`,
      }),
    },
    'text/csv': {
      schema: Type.String({ description: 'RFC 4180 with a header line; no cell is a formula to a spreadsheet.' }),
    },
  },
} as unknown as TSchema

export const exportAudit = {
  method: 'GET',
  url: '/v1/audit/export',
  config: read,
  schema: {
    operationId: 'exportAudit',
    tags: ['Audit'],
    summary: 'All audit events that a filter asks for, as a stream',
    description: `NDJSON, or CSV with \`Accept: text/csv\` or \`?format=csv\`. By writer, and by \`seq\` within one: a
record that arrives late, from a replica that was cut off, comes behind what its writer has shipped before, so that no
cursor can have passed it. An answer that breaks off is gone on with by the last cursor that came. Any filter does; a
range of time makes it faster.`,
    querystring: Type.Object(
      {
        ...auditQuery,
        format: Type.Optional(Type.Union([Type.Literal('ndjson'), Type.Literal('csv')])),
        cursor: Type.Optional(
          Type.String({ minLength: 1, maxLength: 10_000, description: 'Go on where this one stands.' }),
        ),
        start: Type.Optional(
          Type.Union([Type.Literal('beginning'), Type.Literal('end')], {
            description: 'Without a cursor: with all that there is, or only with what comes.',
          }),
        ),
        follow: Type.Optional(
          Type.String({
            pattern: '^([1-9][0-9]?|[12][0-9]{2}|300)$',
            description: 'For so many seconds (1 to 300), go on with what comes. Then ask again with the last cursor.',
          }),
        ),
      },
      closed,
    ),
    response: { 200: Lines, ...problems(400, 401, 403, 422, 503) },
  },
} as const

const Bucket = Type.Union([Type.Literal('minute'), Type.Literal('hour'), Type.Literal('day')])
const By = Type.Union([
  Type.Literal('decision'),
  Type.Literal('reason'),
  Type.Literal('action'),
  Type.Literal('subject'),
  Type.Literal('resource'),
  Type.Literal('type'),
])
export type StatsBucket = Static<typeof Bucket>
export type StatsBy = Static<typeof By>

const Counted = Type.Array(Type.Object({ at: Type.String({ format: 'date-time' }), count: Type.Integer() }), {
  description: 'By the beginning of each bucket (UTC); those with nothing in them are left out.',
})

export const AuditStats = Type.Object({
  from: Type.String({ format: 'date-time' }),
  to: Type.String({ format: 'date-time' }),
  bucket: Bucket,
  by: Type.Union([By, Type.Null()]),
  total: Type.Integer(),
  buckets: Counted,
  groups: Type.Array(
    Type.Object({
      value: Type.Union(
        [
          Type.String(),
          Type.Boolean(),
          Type.Null(),
          Type.Object({ type: Type.String(), id: Type.String() }, { description: 'Of subjects and resources.' }),
        ],
        { description: 'null: the events have none.' },
      ),
      count: Type.Integer(),
      buckets: Counted,
    }),
    { description: 'The values with the most events, most first.' },
  ),
  rest: Type.Integer({ description: 'Events with values beyond those.' }),
})
export type AuditStats = Static<typeof AuditStats>

export const auditStats = {
  method: 'GET',
  url: '/v1/audit/stats',
  config: read,
  schema: {
    operationId: 'getAuditStats',
    tags: ['Audit'],
    summary: 'How many audit events there were, by time and by what they say',
    description: `Of the last 24 hours, unless \`from\` or \`to\` says otherwise. Every record of the range is looked at: a
range that takes longer than ten seconds, or that has more than 1,500 buckets, is refused (422).`,
    querystring: Type.Object(
      {
        ...auditQuery,
        bucket: Type.Optional({ ...Bucket, description: '`hour` where it is left out.' }),
        by: Type.Optional(By),
        top: Type.Optional(
          Type.String({ pattern: '^([1-9][0-9]?|100)$', description: 'How many values: 1 to 100; 10 by default.' }),
        ),
      },
      closed,
    ),
    response: { 200: AuditStats, ...problems(400, 401, 403, 422, 503) },
  },
} as const
