import Type, { type TObject, type TProperties, type TSchema } from 'typebox'
import type { PdpPermission } from '../policy/built-in.ts'
import { Identifier, Name } from '../policy/model.ts'

/**
 * What every route says of itself. `permission` is what the caller must hold: a permission of the policy `pdp`,
 * `caller` (any valid credential) or `anyone`. A route without one does not start.
 */
export interface RouteConfig {
  readonly permission: PdpPermission | 'caller' | 'anyone'
  /** An operator may call it in another tenant, with `Verdict-Tenant`. */
  readonly acting?: boolean
  /** A call of it leaves no record: it tells what anybody may know, and nothing of a tenant. */
  readonly unaudited?: true
  /** Whoever is logged in may call it for itself: the path names its `type` and `id`. */
  readonly own?: true
  /** The body may be left out: it is then `{}`. */
  readonly body?: 'optional'
  /** A suspended tenant's callers get an answer (a deny) instead of a 403. */
  readonly suspended?: 'answers'
  /** It takes rights away: where calls are limited, it has room of its own. */
  readonly revokes?: true
}

/** Whether a route is asked by enforcement points: the hot ones. */
export function isDecision({ permission }: Partial<RouteConfig>): boolean {
  return typeof permission === 'object' && permission.action === 'pdp:decide'
}

export const closed = { additionalProperties: false } as const

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'A URI that names the kind of problem.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'A JSON pointer (RFC 6901) to what is wrong; "" is the whole.' }),
          detail: Type.String(),
        }),
      ),
    ),
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457).' },
)

const PROBLEM_TITLES = {
  400: 'The request is malformed',
  401: 'No valid credential',
  403: 'The caller may not do this',
  404: 'There is no such thing, or it belongs to another tenant',
  409: 'It stands against what is there',
  412: 'If-Match does not match the present version',
  413: 'The body is larger than this route takes; the limit is in the message',
  415: 'The body is in a format that this route does not take',
  422: 'The request is well-formed and cannot be carried out',
  429: 'Too many calls or attempts; Retry-After says when to try again',
  503: 'Verdict cannot do this now; nothing was decided or written',
} as const
type ProblemStatus = keyof typeof PROBLEM_TITLES

const count = (description: string) => Type.Integer({ description })
const RetryAfter = { 'Retry-After': count('Seconds, where it is known when to try again.') }
const HEADERS = {
  429: {
    ...RetryAfter,
    'RateLimit-Limit': count('How many there may be.'),
    'RateLimit-Remaining': count('How many are left.'),
    'RateLimit-Reset': count('Seconds until there are as many again.'),
  },
  503: RetryAfter,
} as const

/** The error answers of a route, for its schema. */
export function problems(...statuses: ProblemStatus[]): Record<number, TSchema> {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: PROBLEM_TITLES[status],
        ...(status in HEADERS && { headers: HEADERS[status as keyof typeof HEADERS] }),
        content: { 'application/problem+json': { schema: Type.Ref('Problem') } },
      } as unknown as TSchema,
    ]),
  )
}

/** The error answers that come before a handler: to what is no request, to who may not call, or not so often. */
export function alwaysPossible(
  { permission }: Partial<RouteConfig>,
  { body, consumes }: { readonly body?: unknown; readonly consumes?: unknown },
): Record<number, TSchema> {
  const takesBody = body !== undefined || consumes !== undefined
  const toCallers = permission === 'anyone' ? problems(400) : problems(400, 401, 403, 429, 503)
  return { ...toCallers, ...(takesBody && problems(413, 415)) }
}

const GUARDED = [400, 401, 403, 429, 503] as const

export const readProblems = problems(...GUARDED)
export const itemProblems = problems(...GUARDED, 404)

/** What a write may answer beside its success. */
export const writeProblems = {
  ...problems(...GUARDED, 404, 409, 412, 422),
  202: {
    description:
      'It is committed, as the revision in `Verdict-Revision`, and this process does not decide by it yet, since bringing it into force takes longer than an answer may. It will by itself: there is nothing to repeat. The body is what it would have been. A decision with this `min_revision` waits for it, or fails with 503.',
    content: { 'application/json': { schema: Type.Unknown() } },
  } as unknown as TSchema,
}

/** Every body that a caller may send has a limit, in bytes. */
export const BODY_LIMIT = {
  authenticate: 64 * 1024,
  route: 256 * 1024,
  batch: 2 * 1024 * 1024,
  bundle: 50 * 1024 * 1024,
} as const

/** A header value: visible ASCII and spaces. */
const HeaderText = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '^[ -~]+$' })

/** A revision as text: the numbers that every JSON parser reads as they are written. */
export const REVISION_TEXT = '^(0|[1-9][0-9]{0,14})$'

const actingHeaders = {
  'verdict-tenant': Type.Optional(
    Type.String({ pattern: '^[a-z0-9-]{1,63}$', description: 'For operators: the tenant to act in.' }),
  ),
}

export const ReadHeaders = Type.Object({ ...actingHeaders })

/** Of questions: also for who cannot write into the body, a proxy for example. */
export const DecisionHeaders = Type.Object({
  'verdict-min-revision': Type.Optional(
    Type.String({
      pattern: REVISION_TEXT,
      description:
        'From the header `Verdict-Revision` of a write: decide by it, or by a later one. As `options.min_revision`; where both are given, the larger counts.',
    }),
  ),
})

export const WriteHeaders = Type.Object({
  ...actingHeaders,
  'verdict-reason': Type.Optional(
    Type.String({
      pattern: '^[ -~]{1,2000}$',
      description: 'Why, in visible ASCII, as headers carry nothing else unharmed; kept in the change log.',
    }),
  ),
  'idempotency-key': Type.Optional(HeaderText(255)),
  'if-match': Type.Optional(HeaderText(255)),
})

/** Query members arrive as text: nothing is coerced at the door. */
export const pageQuery = {
  limit: Type.Optional(
    Type.String({ pattern: '^([1-9][0-9]{0,2}|1000)$', description: 'How many items at most: 1 to 1000.' }),
  ),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 8192, description: 'The `next_cursor` of the page before.' }),
  ),
}

export const page = <T extends TSchema>(item: T) =>
  Type.Object({
    items: Type.Array(item),
    next_cursor: Type.Union([Type.String(), Type.Null()], { description: 'null: this was the last page.' }),
  })

export const NameParams = Type.Object({ name: Name })
export const EntityParams = Type.Object({ type: Identifier, id: Identifier })
export const IdParams = Type.Object({ id: Identifier })
/** Not the format `uuid`, which takes the form `urn:uuid:…` too. */
export const Uuid = Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' })
export const UuidParams = Type.Object({ id: Uuid })
export const TenantId = Type.String({ pattern: '^[a-z0-9-]{1,63}$' })

/** What every stored thing carries beside its document. */
export const stored = {
  version: Type.Integer({
    minimum: 0,
    description: 'The revision that wrote it (0: its defaults); the ETag is this number in quotes.',
  }),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
}

/** What a document may be read with. */
export const quarantine = {
  quarantined: Type.Optional(
    Type.String({
      description:
        'Why this process has it in quarantine: what cannot be read of it is taken at its strictest, so that it never allows. Absent where nothing is wrong. Like `version`, it is no part of the document.',
    }),
  ),
}

/** A document as it is read; one that a hand has spoiled shows what is stored. */
export const readable = <P extends TProperties>(document: TObject<P>) =>
  Type.Union([
    Type.Object({ ...document.properties, ...quarantine }),
    Type.Object({ name: Type.String(), quarantined: Type.String(), stored: Type.Unknown(), ...stored }),
  ])

/** What a write tells beside the thing that it stored; there only where there is something to tell. */
export const warnings = {
  warnings: Type.Optional(
    Type.Array(
      Type.Object({
        pointer: Type.String({ description: 'A JSON pointer (RFC 6901) into what was sent.' }),
        detail: Type.String(),
      }),
      { description: 'What was found, and kept nothing from being done.' },
    ),
  ),
}

export const Gone = Type.Null({ description: 'It is no longer there.' })

export const Instant = Type.String({ format: 'date-time', maxLength: 40 })
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** Which page a query asks for: `limit` as a number, 50 where it is left out. */
export function pageOf(query: { limit?: string; cursor?: string }): { limit: number; cursor: string | undefined } {
  return { limit: query.limit === undefined ? 50 : Number(query.limit), cursor: query.cursor }
}
