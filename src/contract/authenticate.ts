import Type, { type Static } from 'typebox'
import { EntityRef } from '../policy/model.ts'
import { TOKEN_MAX } from './authorize.ts'
import { closed, problems, type RouteConfig, TenantId } from './common.ts'

const Holder = {
  tenant: TenantId,
  subject: EntityRef,
  roles: Type.Array(Type.String(), { description: 'The built-in roles held at this moment.' }),
}

const ByApiKey = Type.Object(
  { method: Type.Literal('api_key'), api_key: Type.String({ minLength: 1, maxLength: 512 }) },
  closed,
)

const ByToken = Type.Object(
  {
    method: Type.Literal('token'),
    tenant: TenantId,
    token: Type.String({ minLength: 1, maxLength: TOKEN_MAX, description: 'Of an issuer that the tenant trusts.' }),
  },
  closed,
)

/** Told apart by `method`, so that what is wrong is said of the one that is meant. */
const Credential = Type.Unsafe<Static<typeof ByApiKey> | Static<typeof ByToken>>({
  type: 'object',
  required: ['method'],
  discriminator: { propertyName: 'method' },
  oneOf: [ByApiKey, ByToken],
})

export const authenticate = {
  method: 'POST',
  url: '/v1/authenticate',
  config: { permission: 'anyone' } satisfies RouteConfig,
  schema: {
    operationId: 'authenticate',
    tags: ['Authentication'],
    summary: 'Exchange a credential for an access token',
    security: [],
    body: Credential,
    response: {
      200: Type.Object({
        access_token: Type.String(),
        token_type: Type.Literal('Bearer'),
        expires_in: Type.Integer({ description: 'Seconds.' }),
        ...Holder,
      }),
      ...problems(400, 401, 503),
    },
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
        key_id: Type.Union([Type.String(), Type.Null()]),
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
