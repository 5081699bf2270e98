import Type from 'typebox'
import type { PdpAction } from '../policy/built-in.ts'
import { EntityRef, Identifier } from '../policy/model.ts'
import { Approval, PermissionRequest, Refusal, RequestDecision, STATES } from '../policy/permission-request.ts'
import {
  closed,
  Instant,
  itemProblems,
  Nullable,
  page,
  pageQuery,
  ReadHeaders,
  type RouteConfig,
  readProblems,
  stored,
  Uuid,
  UuidParams,
  WriteHeaders,
  writeProblems,
} from './common.ts'

const may = (action: PdpAction): RouteConfig => ({ permission: { type: 'pdp:permission_request', action } })

const { actions, resources, duration_seconds, justification } = PermissionRequest.properties

export const StoredPermissionRequest = Type.Object({
  id: Uuid,
  subject: EntityRef,
  actions,
  resources,
  condition: Nullable(Type.String()),
  constraints: Type.Record(Type.String(), Type.Number()),
  duration_seconds,
  justification,
  asked_by: EntityRef,
  state: Type.Enum([...STATES], { description: 'A pending one that nobody has decided in 7 days has expired.' }),
  lapses_at: Instant,
  decision: Nullable(RequestDecision),
  ...stored,
})

export const listPermissionRequests = {
  method: 'GET',
  url: '/v1/permission-requests',
  config: may('pdp:read'),
  schema: {
    operationId: 'listPermissionRequests',
    tags: ['Permission requests'],
    summary: 'List permission requests, oldest first',
    description:
      'Who may decide is shown all of them; others what they asked, and what was asked for them. `waiting_for=me`: those that the caller may decide now.',
    headers: ReadHeaders,
    querystring: Type.Object(
      {
        ...pageQuery,
        state: Type.Optional(Type.Enum([...STATES])),
        waiting_for: Type.Optional(Type.Literal('me')),
        subject_type: Type.Optional(Identifier),
        subject_id: Type.Optional(Identifier),
      },
      closed,
    ),
    response: { 200: page(StoredPermissionRequest), ...readProblems },
  },
} as const

export const createPermissionRequest = {
  method: 'POST',
  url: '/v1/permission-requests',
  config: may('pdp:write'),
  schema: {
    operationId: 'createPermissionRequest',
    tags: ['Permission requests'],
    summary: 'Ask for a permission, for oneself or for a subject that is named',
    headers: WriteHeaders,
    body: PermissionRequest,
    response: { 201: StoredPermissionRequest, ...writeProblems },
  },
} as const

export const getPermissionRequest = {
  method: 'GET',
  url: '/v1/permission-requests/:id',
  config: may('pdp:read'),
  schema: {
    operationId: 'getPermissionRequest',
    tags: ['Permission requests'],
    summary: 'Get a permission request',
    headers: ReadHeaders,
    params: UuidParams,
    response: { 200: StoredPermissionRequest, ...itemProblems },
  },
} as const

export const approvePermissionRequest = {
  method: 'POST',
  url: '/v1/permission-requests/:id/approve',
  config: may('pdp:approve'),
  schema: {
    operationId: 'approvePermissionRequest',
    tags: ['Permission requests'],
    summary: 'Approve a permission request in full or in part: it becomes a capability',
    description:
      'Never by who asked, nor for oneself, nor by a credential that the asker made, nor of what was asked by one that the caller made (403). What is decided already is a 409.',
    headers: WriteHeaders,
    params: UuidParams,
    body: Approval,
    response: { 200: StoredPermissionRequest, ...writeProblems },
  },
} as const

export const refusePermissionRequest = {
  method: 'POST',
  url: '/v1/permission-requests/:id/refuse',
  config: may('pdp:approve'),
  schema: {
    operationId: 'refusePermissionRequest',
    tags: ['Permission requests'],
    summary: 'Refuse a permission request',
    headers: WriteHeaders,
    params: UuidParams,
    body: Refusal,
    response: { 200: StoredPermissionRequest, ...writeProblems },
  },
} as const

export const withdrawPermissionRequest = {
  method: 'POST',
  url: '/v1/permission-requests/:id/withdraw',
  config: may('pdp:write'),
  schema: {
    operationId: 'withdrawPermissionRequest',
    tags: ['Permission requests'],
    summary: 'Withdraw a permission request of one’s own',
    headers: WriteHeaders,
    params: UuidParams,
    response: { 200: StoredPermissionRequest, ...writeProblems },
  },
} as const
