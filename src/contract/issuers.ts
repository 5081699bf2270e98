import Type from 'typebox'
import { Issuer } from '../policy/issuer.ts'
import {
  closed,
  Gone,
  itemProblems,
  NameParams,
  page,
  pageQuery,
  ReadHeaders,
  type RouteConfig,
  readable,
  readProblems,
  stored,
  WriteHeaders,
  writeProblems,
} from './common.ts'
import { unnamed } from './policies.ts'

export const IssuerBody = unnamed(Issuer)
export const StoredIssuer = Type.Object({ ...Issuer.properties, ...stored })

const may = (action: 'pdp:read' | 'pdp:write'): RouteConfig => ({ permission: { type: 'pdp:issuer', action } })

export const listIssuers = {
  method: 'GET',
  url: '/v1/issuers',
  config: may('pdp:read'),
  schema: {
    operationId: 'listIssuers',
    tags: ['Issuers'],
    summary: 'List trusted issuers',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(readable(StoredIssuer)), ...readProblems },
  },
} as const

export const getIssuer = {
  method: 'GET',
  url: '/v1/issuers/:name',
  config: may('pdp:read'),
  schema: {
    operationId: 'getIssuer',
    tags: ['Issuers'],
    summary: 'Get a trusted issuer',
    headers: ReadHeaders,
    params: NameParams,
    response: { 200: readable(StoredIssuer), ...itemProblems },
  },
} as const

export const putIssuer = {
  method: 'PUT',
  url: '/v1/issuers/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'putIssuer',
    tags: ['Issuers'],
    summary: 'Register a trusted issuer, or register it anew',
    description:
      'Keys come from its discovery document (by default `<issuer>/.well-known/openid-configuration`), from `jwks_uri`, or stand in `jwks`. Whatever changes, the access tokens that were got with its tokens end. Built-in roles in `allowed_roles` are given by those who may give them.',
    headers: WriteHeaders,
    params: NameParams,
    body: IssuerBody,
    response: { 200: StoredIssuer, 201: StoredIssuer, ...writeProblems },
  },
} as const

export const deleteIssuer = {
  method: 'DELETE',
  url: '/v1/issuers/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'deleteIssuer',
    tags: ['Issuers'],
    summary: 'Trust an issuer no longer; what its tokens gave ends at once',
    headers: WriteHeaders,
    params: NameParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const
