import Type from 'typebox'
import type { PdpType } from '../policy/built-in.ts'
import { Assignment, Entity, EntityRef, Identifier, Name } from '../policy/model.ts'
import {
  closed,
  EntityParams,
  Gone,
  itemProblems,
  NameParams,
  Nullable,
  page,
  pageQuery,
  problems,
  ReadHeaders,
  type RouteConfig,
  readProblems,
  stored,
  Uuid,
  UuidParams,
  WriteHeaders,
  warnings,
  writeProblems,
} from './common.ts'

const may = (type: PdpType, action: 'pdp:read' | 'pdp:write', acting = false): RouteConfig => ({
  permission: { type, action },
  acting,
})

const { type, id, ...entityMembers } = Entity.properties
export const EntityBody = Type.Object({ ...entityMembers, type: Type.Optional(type), id: Type.Optional(id) }, closed)
export const StoredEntity = Type.Object({ ...Entity.properties, ...stored })
export const WrittenEntity = Type.Object({ ...StoredEntity.properties, ...warnings })
export const StoredAssignment = Type.Object({
  ...Assignment.properties,
  id: Uuid,
  granted_by: EntityRef,
  created_at: Type.String({ format: 'date-time' }),
})

export const listEntities = {
  method: 'GET',
  url: '/v1/entities',
  config: may('pdp:entity', 'pdp:read'),
  schema: {
    operationId: 'listEntities',
    tags: ['Entities'],
    summary: 'List entities',
    headers: ReadHeaders,
    querystring: Type.Object({ ...pageQuery, type: Type.Optional(Identifier) }, closed),
    response: { 200: page(StoredEntity), ...readProblems },
  },
} as const

const getEntitySchema = {
  tags: ['Entities'],
  headers: ReadHeaders,
  response: { 200: StoredEntity, ...itemProblems },
} as const
const putEntitySchema = {
  tags: ['Entities'],
  headers: WriteHeaders,
  body: EntityBody,
  response: { 200: WrittenEntity, 201: WrittenEntity, ...writeProblems },
} as const
const deleteEntitySchema = {
  tags: ['Entities'],
  headers: WriteHeaders,
  response: { 204: Gone, ...writeProblems },
} as const

export const getEntity = {
  method: 'GET',
  url: '/v1/entities/:type/:id',
  config: may('pdp:entity', 'pdp:read'),
  schema: { ...getEntitySchema, operationId: 'getEntity', summary: 'Get an entity', params: EntityParams },
} as const

export const putEntity = {
  method: 'PUT',
  url: '/v1/entities/:type/:id',
  config: may('pdp:entity', 'pdp:write'),
  schema: {
    ...putEntitySchema,
    operationId: 'putEntity',
    summary: 'Create or replace an entity',
    params: EntityParams,
  },
} as const

export const deleteEntity = {
  method: 'DELETE',
  url: '/v1/entities/:type/:id',
  config: may('pdp:entity', 'pdp:write'),
  schema: {
    ...deleteEntitySchema,
    operationId: 'deleteEntity',
    summary: 'Delete an entity with its assignments, memberships and keys',
    params: EntityParams,
  },
} as const

/** The same three for ids that do not fit a path. */
export const getEntityByQuery = {
  method: 'GET',
  url: '/v1/entity',
  config: may('pdp:entity', 'pdp:read'),
  schema: {
    ...getEntitySchema,
    operationId: 'getEntityByQuery',
    summary: 'Get an entity whose id does not fit a path',
    querystring: Type.Object(EntityParams.properties, closed),
  },
} as const

export const putEntityByQuery = {
  method: 'PUT',
  url: '/v1/entity',
  config: may('pdp:entity', 'pdp:write'),
  schema: {
    ...putEntitySchema,
    operationId: 'putEntityByQuery',
    summary: 'Create or replace an entity whose id does not fit a path',
    querystring: Type.Object(EntityParams.properties, closed),
  },
} as const

export const deleteEntityByQuery = {
  method: 'DELETE',
  url: '/v1/entity',
  config: may('pdp:entity', 'pdp:write'),
  schema: {
    ...deleteEntitySchema,
    operationId: 'deleteEntityByQuery',
    summary: 'Delete an entity whose id does not fit a path',
    querystring: Type.Object(EntityParams.properties, closed),
  },
} as const

export const bulkEntities = {
  method: 'POST',
  url: '/v1/entities/bulk',
  config: may('pdp:entity', 'pdp:write'),
  schema: {
    operationId: 'putEntities',
    tags: ['Entities'],
    summary: 'Create or replace many entities: NDJSON, all or nothing, one revision',
    consumes: ['application/x-ndjson'],
    headers: WriteHeaders,
    response: {
      200: Type.Object({
        created: Type.Integer(),
        updated: Type.Integer(),
        unchanged: Type.Integer(),
        ...warnings,
      }),
      ...writeProblems,
    },
  },
} as const

export const listAssignments = {
  method: 'GET',
  url: '/v1/assignments',
  config: may('pdp:assignment', 'pdp:read', true),
  schema: {
    operationId: 'listAssignments',
    tags: ['Assignments'],
    summary: 'List role assignments',
    headers: ReadHeaders,
    querystring: Type.Object(
      {
        ...pageQuery,
        subject_type: Type.Optional(Identifier),
        subject_id: Type.Optional(Identifier),
        role: Type.Optional(Name),
      },
      closed,
    ),
    response: { 200: page(StoredAssignment), ...readProblems },
  },
} as const

export const createAssignment = {
  method: 'POST',
  url: '/v1/assignments',
  config: may('pdp:assignment', 'pdp:write', true),
  schema: {
    operationId: 'createAssignment',
    tags: ['Assignments'],
    summary: 'Give a role to a subject',
    headers: WriteHeaders,
    body: Assignment,
    response: { 200: StoredAssignment, 201: StoredAssignment, ...writeProblems },
  },
} as const

export const deleteAssignment = {
  method: 'DELETE',
  url: '/v1/assignments/:id',
  config: may('pdp:assignment', 'pdp:write', true),
  schema: {
    operationId: 'deleteAssignment',
    tags: ['Assignments'],
    summary: 'Take a role away',
    headers: WriteHeaders,
    params: UuidParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const

export const listMembers = {
  method: 'GET',
  url: '/v1/roles/:name/members',
  config: may('pdp:role', 'pdp:read'),
  schema: {
    operationId: 'listRoleMembers',
    tags: ['Roles'],
    summary: 'List who is given a role directly',
    headers: ReadHeaders,
    params: NameParams,
    querystring: Type.Object(pageQuery, closed),
    response: { 200: page(StoredAssignment), ...itemProblems },
  },
} as const

export const listChanges = {
  method: 'GET',
  url: '/v1/changes',
  config: may('pdp:change', 'pdp:read'),
  schema: {
    operationId: 'listChanges',
    tags: ['Changes'],
    summary: 'The policy change log: who changed what, when and why, oldest first',
    headers: ReadHeaders,
    querystring: Type.Object(
      { ...pageQuery, after_revision: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$' })) },
      closed,
    ),
    response: {
      200: page(
        Type.Object({
          revision: Type.Integer(),
          ordinal: Type.Integer(),
          kind: Type.String(),
          key: Nullable(Type.Record(Type.String(), Type.String())),
          operation: Type.Union([Type.Literal('create'), Type.Literal('update'), Type.Literal('delete')]),
          actor: EntityRef,
          reason: Nullable(Type.String()),
          before: Type.Unknown(),
          after: Type.Unknown(),
          at: Type.String({ format: 'date-time' }),
        }),
      ),
      ...problems(400, 401, 403, 503),
    },
  },
} as const
