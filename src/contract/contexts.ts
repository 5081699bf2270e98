import Type, { type Static } from 'typebox'
import { Capabilities, ContextBody, ContextId, Quotas } from '../policy/context/model.ts'
import { EntityRef, Identifier } from '../policy/model.ts'
import { TOKEN_MAX } from './authorize.ts'
import { closed, Gone, Instant, itemProblems, Nullable, page, pageQuery, problems, type RouteConfig } from './common.ts'

const may = (action: 'pdp:read' | 'pdp:write') =>
  ({ permission: { type: 'pdp:context', action } }) satisfies RouteConfig
/** Holding the token is the right: whoever may call may narrow it. */
const anyCaller = { permission: 'caller' } satisfies RouteConfig

const Base64Url = (maxLength: number) => Type.Optional(Type.String({ maxLength, pattern: '^[A-Za-z0-9_-]+$' }))

/** A public key to encrypt for. Nothing else of a JWK is read; what only a private or a secret key has is no member of it. */
export const RecipientJwk = Type.Object(
  {
    kty: Type.Enum(['RSA', 'EC', 'OKP']),
    crv: Type.Optional(Type.Enum(['P-256', 'P-384', 'P-521', 'X25519'])),
    // RSA of up to 8,192 bits.
    n: Base64Url(1_366),
    e: Base64Url(8),
    x: Base64Url(88),
    y: Base64Url(88),
    kid: Type.Optional(Type.String({ maxLength: 512 })),
    use: Type.Optional(Type.Literal('enc')),
    alg: Type.Optional(Type.Enum(['RSA-OAEP-256', 'ECDH-ES+A256KW'])),
    key_ops: Type.Optional(Type.Array(Type.String(), { maxItems: 10 })),
    ext: Type.Optional(Type.Boolean()),
  },
  {
    ...closed,
    description:
      'A public JWK: the token is then a JWE (`RSA-OAEP-256` or `ECDH-ES+A256KW`, `A256GCM`) around the signed one.',
  },
)
export type RecipientJwk = Readonly<Static<typeof RecipientJwk>>

const narrowable = {
  level: Type.Optional(Identifier),
  capabilities: Type.Optional(Capabilities),
  quotas: Type.Optional(Quotas),
  expires_in: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400, description: 'Seconds.' })),
  encrypt_for: Type.Optional(RecipientJwk),
}

const Token = Type.String({ minLength: 1, maxLength: TOKEN_MAX, description: 'As it was signed: no JWE.' })

export const NewContext = Type.Object(
  {
    subject: EntityRef,
    ...narrowable,
    audience: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, description: 'For whom it is, beside Verdict itself.' }),
    ),
  },
  closed,
)
export type NewContext = Readonly<Static<typeof NewContext>>

export const Attenuation = Type.Object({ token: Token, ...narrowable }, closed)
export type Attenuation = Readonly<Static<typeof Attenuation>>

const { subject, quotas, capabilities, parents } = ContextBody.properties

const shown = {
  id: ContextId,
  subject,
  level: Nullable(Type.String({ description: 'The subject has no higher one in decisions.' })),
  quotas,
  capabilities: Type.Array(capabilities.items, {
    description: 'Layers, each with a capability for whatever is allowed; without any, all that the subject may do.',
  }),
  parents: Type.Array(parents.items, { description: 'What it was narrowed from, the first one first.' }),
  audience: Type.Array(Type.String()),
  issued_at: Instant,
  expires_at: Instant,
}

export const Context = Type.Object(shown)
export type Context = Readonly<Static<typeof Context>>

export const IssuedContext = Type.Object({
  ...shown,
  token: Type.String({ description: 'Shown this once, and kept nowhere.' }),
})
export type IssuedContext = Readonly<Static<typeof IssuedContext>>

export const StoredContext = Type.Object({
  ...shown,
  created_by: EntityRef,
  revoked_at: Nullable(Instant),
})
export type StoredContext = Readonly<Static<typeof StoredContext>>

const tags = ['Security contexts']

export const createContext = {
  method: 'POST',
  url: '/v1/contexts',
  config: may('pdp:write'),
  schema: {
    operationId: 'createContext',
    tags,
    summary: 'A signed token that stands for a subject, and for no more than it says',
    description:
      'A decision about it (`"subject": {"context_token": "…"}`) is what the subject may do then, and what the token carries: it never gives anything. It lives for `expires_in` seconds (900 where that is left out), at most the setting `context_lifetime_seconds`.',
    body: NewContext,
    response: { 201: IssuedContext, ...problems(400, 401, 403, 422, 429, 503) },
  },
} as const

export const attenuateContext = {
  method: 'POST',
  url: '/v1/contexts/attenuate',
  config: anyCaller,
  schema: {
    operationId: 'attenuateContext',
    tags,
    summary: 'A narrower context from one that the caller holds',
    description:
      'What is left out stays as it is. What would be wider is a 422 with its pointer: a level that is not lower, a capability that no single one of the last layer covers, a higher quota, a later end. It ends with what it was made from.',
    body: Attenuation,
    response: { 201: IssuedContext, ...problems(400, 401, 403, 422, 429, 503) },
  },
} as const

export const receiveContext = {
  method: 'POST',
  url: '/v1/contexts/receive',
  config: anyCaller,
  schema: {
    operationId: 'receiveContext',
    tags,
    summary: 'What a context says, if it is good now',
    description: 'One that is not is a 422, whose `detail` says why: it is invalid, expired or revoked.',
    body: Type.Object({ token: Token }, closed),
    response: { 200: Context, ...problems(400, 401, 403, 422, 429, 503) },
  },
} as const

export const listContexts = {
  method: 'GET',
  url: '/v1/contexts',
  config: may('pdp:read'),
  schema: {
    operationId: 'listContexts',
    tags,
    summary: 'Contexts, the newest first; those that ended an hour ago may be gone',
    querystring: Type.Object(
      { ...pageQuery, subject_type: Type.Optional(Identifier), subject_id: Type.Optional(Identifier) },
      closed,
    ),
    response: { 200: page(StoredContext), ...problems(400, 401, 403, 429, 503) },
  },
} as const

const IdParams = Type.Object({ id: ContextId })

export const getContext = {
  method: 'GET',
  url: '/v1/contexts/:id',
  config: may('pdp:read'),
  schema: {
    operationId: 'getContext',
    tags,
    summary: 'One context, without its token',
    params: IdParams,
    response: { 200: StoredContext, ...itemProblems },
  },
} as const

export const deleteContext = {
  method: 'DELETE',
  url: '/v1/contexts/:id',
  config: { ...may('pdp:write'), revokes: true } satisfies RouteConfig,
  schema: {
    operationId: 'deleteContext',
    tags,
    summary: 'Revoke a context, and all that was narrowed from it, on every replica',
    params: IdParams,
    response: { 204: Gone, ...itemProblems },
  },
} as const
