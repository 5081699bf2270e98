import Type, { type Static } from 'typebox'
import { EntityRef, Identifier } from '../policy/model.ts'
import { TOKEN_MAX } from './authorize.ts'
import { closed, Gone, Nullable, problems, type RouteConfig, TenantId } from './common.ts'

const Holder = {
  tenant: TenantId,
  subject: EntityRef,
  roles: Type.Array(Type.String(), { description: 'The built-in roles held at this moment.' }),
}

// A password is up to 1,000 characters of up to two UTF-16 units once it is normalised, and what is typed may be longer.
const SecretText = Type.String({ minLength: 1, maxLength: 4_000 })
const Code = Type.String({
  minLength: 6,
  maxLength: 64,
  description: 'A code of the authenticator, or a recovery code. Each is good for once.',
})

export const ApiKeyCredential = Type.Object(
  { method: Type.Literal('api_key'), api_key: Type.String({ minLength: 1, maxLength: 1024 }) },
  closed,
)
export const PasswordCredential = Type.Object(
  {
    method: Type.Literal('password'),
    tenant: TenantId,
    username: Identifier,
    password: SecretText,
    otp: Type.Optional(Code),
  },
  closed,
)
export const RefreshTokenCredential = Type.Object(
  { method: Type.Literal('refresh_token'), refresh_token: Type.String({ minLength: 1, maxLength: 512 }) },
  closed,
)
export const IssuedTokenCredential = Type.Object(
  {
    method: Type.Literal('token'),
    tenant: TenantId,
    token: Type.String({ minLength: 1, maxLength: TOKEN_MAX, description: 'Of an issuer that the tenant trusts.' }),
  },
  closed,
)

/** The ways to say who one is, by `method`. */
const METHODS = [ApiKeyCredential, PasswordCredential, RefreshTokenCredential, IssuedTokenCredential] as const

export type Credential = Static<(typeof METHODS)[number]>

/** What is sent for one method. */
export type CredentialOf<M extends Credential['method']> = Extract<Credential, { method: M }>

// With a discriminator, what is wrong is said of the method that was chosen, not of all of them.
const Credential = Type.Unsafe<Credential>({
  type: 'object',
  discriminator: { propertyName: 'method' },
  required: ['method'],
  oneOf: METHODS,
})

export const authenticate = {
  method: 'POST',
  url: '/v1/authenticate',
  config: { permission: 'anyone' } satisfies RouteConfig,
  schema: {
    operationId: 'authenticate',
    tags: ['Authentication'],
    summary: 'Exchange a credential for an access token',
    description:
      'Whatever is wrong with a credential, and whether there is such an account or not, the answer is the same 401. ' +
      'A missing `otp` is no exception: a client asks for it together with the password. An address with too many ' +
      'failures gets a 429.',
    security: [],
    body: Credential,
    response: {
      200: Type.Object({
        access_token: Type.String(),
        token_type: Type.Literal('Bearer'),
        expires_in: Type.Integer({ description: 'Seconds.' }),
        refresh_token: Type.Optional(
          Type.String({ description: 'For the next access token, once; the answer to that brings the next one.' }),
        ),
        ...Holder,
      }),
      ...problems(400, 401, 429, 503),
    },
  },
} as const

export const revoke = {
  method: 'POST',
  url: '/v1/authenticate/revoke',
  config: { permission: 'caller', body: 'optional' } satisfies RouteConfig,
  schema: {
    operationId: 'revoke',
    tags: ['Authentication'],
    summary: 'End the session that the access token belongs to',
    description: 'A token that was got with an API key ends alone; the key itself ends when it is deleted.',
    body: Type.Object(
      { all: Type.Optional(Type.Boolean({ description: 'All sessions of the caller, not this one alone.' })) },
      closed,
    ),
    response: { 204: Gone, ...problems(400, 401, 403, 422, 503) },
  },
} as const

export const me = {
  method: 'GET',
  url: '/v1/authenticate/me',
  config: { permission: 'caller' } satisfies RouteConfig,
  schema: {
    operationId: 'getCaller',
    tags: ['Authentication'],
    summary: 'Who am I',
    response: {
      200: Type.Object({
        ...Holder,
        method: Type.Union([Type.Literal('api_key'), Type.Literal('access_token')]),
        key_id: Nullable(Type.String()),
        session_id: Nullable(Type.String()),
      }),
      ...problems(401, 403, 503),
    },
  },
} as const

export const jwks = {
  method: 'GET',
  url: '/.well-known/jwks.json',
  config: { permission: 'anyone', unaudited: true } satisfies RouteConfig,
  schema: {
    operationId: 'getJwks',
    tags: ['Authentication'],
    summary: 'The public keys of the access tokens that Verdict issues (RFC 7517)',
    security: [],
    response: {
      200: Type.Object({ keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) }),
      ...problems(503),
    },
  },
} as const
