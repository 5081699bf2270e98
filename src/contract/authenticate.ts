import Type from 'typebox'
import { EntityRef } from '../policy/model.ts'
import { problems, type RouteConfig, TenantId } from './common.ts'

const Holder = {
  tenant: TenantId,
  subject: EntityRef,
  roles: Type.Array(Type.String(), { description: 'The built-in roles held at this moment.' }),
}

export const authenticate = {
  method: 'POST',
  url: '/v1/authenticate',
  config: { permission: 'anyone' } satisfies RouteConfig,
  schema: {
    operationId: 'authenticate',
    tags: ['Authentication'],
    summary: 'Exchange a credential for an access token',
    security: [],
    body: Type.Object(
      { method: Type.Literal('api_key'), api_key: Type.String({ minLength: 1, maxLength: 512 }) },
      { additionalProperties: false },
    ),
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
