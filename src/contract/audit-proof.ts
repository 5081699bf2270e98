import Type from 'typebox'
import {
  closed,
  Instant,
  itemProblems,
  page,
  pageQuery,
  problems,
  type RouteConfig,
  readProblems,
  Uuid,
  UuidParams,
} from './common.ts'

const permission = { type: 'pdp:audit', action: 'pdp:read' } as const
const Base64 = Type.String({ contentEncoding: 'base64' })
const Note = Type.String({ description: 'A signed note: C2SP tlog-checkpoint, its last line an Ed25519 signature.' })
const Size = Type.Integer({ minimum: 0 })
const SizeText = Type.String({ pattern: '^(0|[1-9][0-9]{0,14})$', description: 'How many records.' })

export const getAuditProof = {
  method: 'GET',
  url: '/v1/audit/:id/proof',
  config: { permission } satisfies RouteConfig,
  schema: {
    operationId: 'getAuditProof',
    tags: ['Audit'],
    summary: 'Prove that a record is under a signed checkpoint',
    params: UuidParams,
    response: {
      200: Type.Object(
        {
          id: Uuid,
          writer: Uuid,
          record: Type.String({ contentEncoding: 'base64', description: 'The exact recorded bytes.' }),
          hash: Type.String({ description: 'The leaf hash: SHA-256 of a zero byte and the record, in hex.' }),
          leaf_index: Size,
          tree_size: Size,
          hashes: Type.Array(Base64, { description: 'The inclusion proof of RFC 6962, 2.1.1.' }),
          checkpoint: Note,
        },
        { description: 'All that is needed to verify it, but for the public key.' },
      ),
      ...itemProblems,
      ...problems(409),
    },
  },
} as const

const Checkpoint = Type.Object({
  writer: Uuid,
  size: Size,
  root: Base64,
  final: Type.Boolean({ description: 'Nothing will be appended to this log any more.' }),
  at: Type.String({ format: 'date-time' }),
  checkpoint: Note,
})

export const listCheckpoints = {
  method: 'GET',
  url: '/v1/audit/checkpoints',
  config: { permission } satisfies RouteConfig,
  schema: {
    operationId: 'listAuditCheckpoints',
    tags: ['Audit'],
    summary: 'Signed checkpoints, newest first, and the keys that sign them',
    querystring: Type.Object({ ...pageQuery, writer: Type.Optional(Uuid) }, closed),
    response: {
      200: Type.Object({
        ...page(Checkpoint).properties,
        keys: Type.Array(Type.String(), {
          description: 'Public keys as C2SP signed-note writes them, newest first: `<name>+<id>+<base64>`.',
        }),
      }),
      ...readProblems,
    },
  },
} as const

export const getConsistency = {
  method: 'GET',
  url: '/v1/audit/checkpoints/consistency',
  config: { permission } satisfies RouteConfig,
  schema: {
    operationId: 'getAuditConsistency',
    tags: ['Audit'],
    summary: 'Prove that a log has only been appended to between two sizes',
    querystring: Type.Object({ writer: Uuid, from_size: SizeText, to_size: SizeText }, closed),
    response: {
      200: Type.Object({
        writer: Uuid,
        from_size: Size,
        to_size: Size,
        hashes: Type.Array(Base64, { description: 'The consistency proof of RFC 6962, 2.1.2.' }),
      }),
      ...itemProblems,
    },
  },
} as const

const Bad = Type.Object({
  kind: Type.String(),
  detail: Type.String(),
  writer: Type.Optional(Uuid),
  seq: Type.Optional(Size),
  id: Type.Optional(Uuid),
})

export const verifyAudit = {
  method: 'GET',
  url: '/v1/audit/verify',
  config: { permission } satisfies RouteConfig,
  schema: {
    operationId: 'verifyAudit',
    tags: ['Audit'],
    summary: 'Verify the tenant’s records of a time',
    querystring: Type.Object({ from: Type.Optional(Instant), to: Type.Optional(Instant) }, closed),
    response: {
      200: Type.Object({
        integrity: Type.Object(
          { ok: Type.Boolean(), checked: Size, first_bad: Type.Optional(Bad) },
          { description: 'Whether what is there is what was recorded.' },
        ),
        completeness: Type.Object(
          {
            ok: Type.Boolean(),
            missing: Type.Optional(
              Type.Array(Type.Object({ ...Bad.properties, count: Type.Optional(Size) }), {
                description: 'Where something is missing: the first places.',
              }),
            ),
          },
          { description: 'Whether all that was recorded is there.' },
        ),
        checkpoints: Type.Array(
          Type.Object({
            writer: Uuid,
            records: Type.Integer({ description: 'Of the tenant and the time, in this log.' }),
            sealed: Type.Integer({
              description: 'How many records of the log, of all tenants, its checkpoint covers.',
            }),
            checkpoint: Type.Union([Note, Type.Null()]),
          }),
          { description: 'What it was held against: the last checkpoint of each log with records of the tenant.' },
        ),
      }),
      ...readProblems,
      ...problems(422),
    },
  },
} as const
