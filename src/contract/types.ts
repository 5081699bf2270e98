import Type from 'typebox'
import { EntityType, Identifier } from '../policy/model.ts'
import {
  closed,
  Gone,
  itemProblems,
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

export const TypeBody = unnamed(EntityType)
export const StoredType = Type.Object({ ...EntityType.properties, ...stored })

const may = (action: 'pdp:read' | 'pdp:write'): RouteConfig => ({ permission: { type: 'pdp:type', action } })

/** A type is named by an identifier, as it stands in entities. */
const TypeParams = Type.Object({ name: Identifier })

export const listTypes = {
  method: 'GET',
  url: '/v1/types',
  config: may('pdp:read'),
  schema: {
    operationId: 'listTypes',
    tags: ['Types'],
    summary: 'List entity types',
    headers: ReadHeaders,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(readable(StoredType)), ...readProblems },
  },
} as const

export const getType = {
  method: 'GET',
  url: '/v1/types/:name',
  config: may('pdp:read'),
  schema: {
    operationId: 'getType',
    tags: ['Types'],
    summary: 'Get an entity type',
    headers: ReadHeaders,
    params: TypeParams,
    response: { 200: readable(StoredType), ...itemProblems },
  },
} as const

export const putType = {
  method: 'PUT',
  url: '/v1/types/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'putType',
    tags: ['Types'],
    summary: 'Declare an entity type, or declare it anew',
    description:
      '`schema` is a JSON Schema (2020-12) of the properties, without `$id` and without references out of the document; patterns are RE2. Entities that are stored already are checked when they are next written.',
    headers: WriteHeaders,
    params: TypeParams,
    body: TypeBody,
    response: { 200: StoredType, 201: StoredType, ...writeProblems },
  },
} as const

export const deleteType = {
  method: 'DELETE',
  url: '/v1/types/:name',
  config: may('pdp:write'),
  schema: {
    operationId: 'deleteType',
    tags: ['Types'],
    summary: 'Delete an entity type that nothing uses',
    description:
      'It is used by entities of the type, by assignments to subjects of it, and by rules, roles and policies that name it.',
    headers: WriteHeaders,
    params: TypeParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const
