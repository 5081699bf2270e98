import Type from 'typebox'
import type { PdpType } from '../policy/built-in.ts'
import { EntityRef, Identifier, Settings } from '../policy/model.ts'
import {
  closed,
  Gone,
  IdParams,
  Instant,
  itemProblems,
  Nullable,
  page,
  pageQuery,
  quarantine,
  ReadHeaders,
  type RouteConfig,
  readProblems,
  stored,
  TenantId,
  WriteHeaders,
  writeProblems,
} from './common.ts'

const may = (type: PdpType, action: 'pdp:read' | 'pdp:write', acting = false): RouteConfig => ({
  permission: { type, action },
  acting,
})

const TenantName = Type.String({ minLength: 1, maxLength: 200 })
const Status = Type.Union([Type.Literal('active'), Type.Literal('suspended')])

export const StoredTenant = Type.Object({
  id: TenantId,
  name: TenantName,
  status: Status,
  revision: Type.Integer({ description: "The tenant's own revision." }),
  ...stored,
})

const TenantParams = Type.Object({ tenant: TenantId })

export const listTenants = {
  method: 'GET',
  url: '/v1/tenants',
  config: may('pdp:tenant', 'pdp:read'),
  schema: {
    operationId: 'listTenants',
    tags: ['Tenants'],
    summary: 'List tenants',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(StoredTenant), ...readProblems },
  },
} as const

export const createTenant = {
  method: 'POST',
  url: '/v1/tenants',
  config: may('pdp:tenant', 'pdp:write'),
  schema: {
    operationId: 'createTenant',
    tags: ['Tenants'],
    summary: 'Create a tenant',
    headers: WriteHeaders,
    body: Type.Object({ id: TenantId, name: TenantName }, closed),
    response: { 201: StoredTenant, ...writeProblems },
  },
} as const

export const getTenant = {
  method: 'GET',
  url: '/v1/tenants/:tenant',
  config: may('pdp:tenant', 'pdp:read'),
  schema: {
    operationId: 'getTenant',
    tags: ['Tenants'],
    summary: 'Get a tenant',
    headers: ReadHeaders,
    params: TenantParams,
    response: { 200: StoredTenant, ...itemProblems },
  },
} as const

export const patchTenant = {
  method: 'PATCH',
  url: '/v1/tenants/:tenant',
  config: may('pdp:tenant', 'pdp:write'),
  schema: {
    operationId: 'patchTenant',
    tags: ['Tenants'],
    summary: 'Rename, suspend or resume a tenant',
    headers: WriteHeaders,
    params: TenantParams,
    body: Type.Object(
      { name: Type.Optional(TenantName), status: Type.Optional(Status) },
      { ...closed, minProperties: 1 },
    ),
    response: { 200: StoredTenant, ...writeProblems },
  },
} as const

export const deleteTenant = {
  method: 'DELETE',
  url: '/v1/tenants/:tenant',
  config: may('pdp:tenant', 'pdp:write'),
  schema: {
    operationId: 'deleteTenant',
    tags: ['Tenants'],
    summary: 'Delete a tenant; its id is never used again',
    headers: WriteHeaders,
    params: TenantParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

export const StoredSettings = Type.Object({
  ...Type.Required(Settings).properties,
  version: stored.version,
  updated_at: stored.updated_at,
})

/** In quarantine: the strictest settings there are, which know no levels. */
export const ReadSettings = Type.Object({
  ...StoredSettings.properties,
  levels: Type.Array(Identifier),
  ...quarantine,
})

export const getSettings = {
  method: 'GET',
  url: '/v1/settings',
  config: may('pdp:settings', 'pdp:read', true),
  schema: {
    operationId: 'getSettings',
    tags: ['Settings'],
    summary: "The tenant's own settings",
    headers: ReadHeaders,
    response: { 200: ReadSettings, ...readProblems },
  },
} as const

export const putSettings = {
  method: 'PUT',
  url: '/v1/settings',
  config: may('pdp:settings', 'pdp:write', true),
  schema: {
    operationId: 'putSettings',
    tags: ['Settings'],
    summary: "Replace the tenant's settings; what is left out returns to its default",
    headers: WriteHeaders,
    body: Settings,
    response: { 200: StoredSettings, ...writeProblems },
  },
} as const

const ApiKeyBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    subject: EntityRef,
    roles: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), { minItems: 1, maxItems: 20, uniqueItems: true })),
    expires_at: Type.Optional(Nullable(Instant)),
  },
  closed,
)

export const StoredApiKey = Type.Object({
  id: Type.String(),
  name: Type.String(),
  subject: EntityRef,
  roles: Nullable(Type.Array(Type.String())),
  expires_at: Nullable(Instant),
  last_used_at: Nullable(Instant),
  ...stored,
})

export const listApiKeys = {
  method: 'GET',
  url: '/v1/api-keys',
  config: may('pdp:api_key', 'pdp:read', true),
  schema: {
    operationId: 'listApiKeys',
    tags: ['API keys'],
    summary: 'List API keys (never their secrets)',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(StoredApiKey), ...readProblems },
  },
} as const

export const createApiKey = {
  method: 'POST',
  url: '/v1/api-keys',
  config: may('pdp:api_key', 'pdp:write', true),
  schema: {
    operationId: 'createApiKey',
    tags: ['API keys'],
    summary: 'Create an API key; its secret is shown this once',
    headers: WriteHeaders,
    body: ApiKeyBody,
    response: {
      201: Type.Object({
        ...StoredApiKey.properties,
        key: Type.Optional(
          Type.String({ description: 'The whole key. Absent when an idempotent answer is given again.' }),
        ),
      }),
      ...writeProblems,
    },
  },
} as const

export const deleteApiKey = {
  method: 'DELETE',
  url: '/v1/api-keys/:id',
  config: may('pdp:api_key', 'pdp:write', true),
  schema: {
    operationId: 'deleteApiKey',
    tags: ['API keys'],
    summary: 'Revoke an API key',
    headers: WriteHeaders,
    params: IdParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const
