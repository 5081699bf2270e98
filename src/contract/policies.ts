import Type, { type TObject, type TProperties, type TString } from 'typebox'
import type { PdpType } from '../policy/built-in.ts'
import { Identifier, Name, Policy, Role, Rule } from '../policy/model.ts'
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
  warnings,
  writeProblems,
} from './common.ts'

/** A document without its name, for `PUT …/{name}`: the path names it; a name in the body must be the same. */
export function unnamed<P extends TProperties & { name: TString }>(document: TObject<P>) {
  const { name, ...rest } = document.properties
  return Type.Object({ ...rest, name: Type.Optional(name) }, closed)
}

export const PolicyBody = unnamed(Policy)
export const RoleBody = unnamed(Role)
export const RuleBody = unnamed(Rule)

export const StoredPolicy = Type.Object({ ...Policy.properties, ...stored, built_in: Type.Boolean() })
export const StoredRole = Type.Object({ ...Role.properties, ...stored })
export const StoredRule = Type.Object({ ...Rule.properties, ...stored })
export const WrittenRole = Type.Object({ ...StoredRole.properties, ...warnings })
export const WrittenRule = Type.Object({ ...StoredRule.properties, ...warnings })

const may = (type: PdpType, action: 'pdp:read' | 'pdp:write'): RouteConfig => ({ permission: { type, action } })

export const listPolicies = {
  method: 'GET',
  url: '/v1/policies',
  config: may('pdp:policy', 'pdp:read'),
  schema: {
    operationId: 'listPolicies',
    tags: ['Policies'],
    summary: 'List policies, built-in ones included',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(readable(StoredPolicy)), ...readProblems },
  },
} as const

export const getPolicy = {
  method: 'GET',
  url: '/v1/policies/:name',
  config: may('pdp:policy', 'pdp:read'),
  schema: {
    operationId: 'getPolicy',
    tags: ['Policies'],
    summary: 'Get a policy',
    headers: ReadHeaders,
    params: NameParams,
    response: { 200: readable(StoredPolicy), ...itemProblems },
  },
} as const

export const putPolicy = {
  method: 'PUT',
  url: '/v1/policies/:name',
  config: may('pdp:policy', 'pdp:write'),
  schema: {
    operationId: 'putPolicy',
    tags: ['Policies'],
    summary: 'Create or replace a policy',
    headers: WriteHeaders,
    params: NameParams,
    body: PolicyBody,
    response: { 200: StoredPolicy, 201: StoredPolicy, ...writeProblems },
  },
} as const

export const deletePolicy = {
  method: 'DELETE',
  url: '/v1/policies/:name',
  config: may('pdp:policy', 'pdp:write'),
  schema: {
    operationId: 'deletePolicy',
    tags: ['Policies'],
    summary: 'Delete a policy that holds no rules',
    headers: WriteHeaders,
    params: NameParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

export const listRoles = {
  method: 'GET',
  url: '/v1/roles',
  config: may('pdp:role', 'pdp:read'),
  schema: {
    operationId: 'listRoles',
    tags: ['Roles'],
    summary: 'List roles',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(readable(StoredRole)), ...readProblems },
  },
} as const

export const createRole = {
  method: 'POST',
  url: '/v1/roles',
  config: may('pdp:role', 'pdp:write'),
  schema: {
    operationId: 'createRole',
    tags: ['Roles'],
    summary: 'Create a role',
    headers: WriteHeaders,
    body: Role,
    response: { 201: WrittenRole, ...writeProblems },
  },
} as const

export const getRole = {
  method: 'GET',
  url: '/v1/roles/:name',
  config: may('pdp:role', 'pdp:read'),
  schema: {
    operationId: 'getRole',
    tags: ['Roles'],
    summary: 'Get a role',
    headers: ReadHeaders,
    params: NameParams,
    response: { 200: readable(StoredRole), ...itemProblems },
  },
} as const

export const putRole = {
  method: 'PUT',
  url: '/v1/roles/:name',
  config: may('pdp:role', 'pdp:write'),
  schema: {
    operationId: 'putRole',
    tags: ['Roles'],
    summary: 'Create or replace a role',
    headers: WriteHeaders,
    params: NameParams,
    body: RoleBody,
    response: { 200: WrittenRole, 201: WrittenRole, ...writeProblems },
  },
} as const

export const deleteRole = {
  method: 'DELETE',
  url: '/v1/roles/:name',
  config: may('pdp:role', 'pdp:write'),
  schema: {
    operationId: 'deleteRole',
    tags: ['Roles'],
    summary: 'Delete a role that nothing uses',
    headers: WriteHeaders,
    params: NameParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

export const listRules = {
  method: 'GET',
  url: '/v1/rules',
  config: may('pdp:rule', 'pdp:read'),
  schema: {
    operationId: 'listRules',
    tags: ['Rules'],
    summary: 'List rules',
    headers: ReadHeaders,
    querystring: Type.Object(
      {
        ...pageQuery,
        policy: Type.Optional(Name),
        effect: Type.Optional(Type.Union([Type.Literal('allow'), Type.Literal('deny')])),
        role: Type.Optional(Name),
        action: Type.Optional(Identifier),
        resource_type: Type.Optional(Identifier),
      },
      closed,
    ),
    response: { 200: page(readable(StoredRule)), ...readProblems },
  },
} as const

export const createRule = {
  method: 'POST',
  url: '/v1/rules',
  config: may('pdp:rule', 'pdp:write'),
  schema: {
    operationId: 'createRule',
    tags: ['Rules'],
    summary: 'Create a rule',
    headers: WriteHeaders,
    body: Rule,
    response: { 201: WrittenRule, ...writeProblems },
  },
} as const

export const getRule = {
  method: 'GET',
  url: '/v1/rules/:name',
  config: may('pdp:rule', 'pdp:read'),
  schema: {
    operationId: 'getRule',
    tags: ['Rules'],
    summary: 'Get a rule',
    headers: ReadHeaders,
    params: NameParams,
    response: { 200: readable(StoredRule), ...itemProblems },
  },
} as const

export const putRule = {
  method: 'PUT',
  url: '/v1/rules/:name',
  config: may('pdp:rule', 'pdp:write'),
  schema: {
    operationId: 'putRule',
    tags: ['Rules'],
    summary: 'Create or replace a rule',
    headers: WriteHeaders,
    params: NameParams,
    body: RuleBody,
    response: { 200: WrittenRule, 201: WrittenRule, ...writeProblems },
  },
} as const

export const deleteRule = {
  method: 'DELETE',
  url: '/v1/rules/:name',
  config: may('pdp:rule', 'pdp:write'),
  schema: {
    operationId: 'deleteRule',
    tags: ['Rules'],
    summary: 'Delete a rule',
    headers: WriteHeaders,
    params: NameParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const
