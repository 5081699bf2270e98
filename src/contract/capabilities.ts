import Type from 'typebox'
import type { PdpType } from '../policy/built-in.ts'
import { Capability, GivenCapability } from '../policy/capability.ts'
import { EntityRef, Identifier } from '../policy/model.ts'
import {
  closed,
  Gone,
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
  Uuid,
  UuidParams,
  WriteHeaders,
  warnings,
  writeProblems,
} from './common.ts'

const may = (type: PdpType, action: 'pdp:read' | 'pdp:write'): RouteConfig => ({ permission: { type, action } })

const stamps = {
  active: Type.Boolean({ description: 'Neither revoked nor expired, at the time of the answer.' }),
  granted_at: Instant,
  revoked_at: Nullable(Instant),
  revoked_by: Nullable(EntityRef),
  version: stored.version,
}

const StoredCapability = Type.Object({ ...GivenCapability.properties, ...stamps, ...quarantine })

const WrittenCapability = Type.Object({ ...StoredCapability.properties, ...warnings })

/** One that a hand has spoiled shows what is stored. */
const ReadableCapability = Type.Union([
  StoredCapability,
  Type.Object({ id: Uuid, stored: Type.Unknown(), quarantined: Type.String(), ...stamps }),
])

export const listCapabilities = {
  method: 'GET',
  url: '/v1/capabilities',
  config: may('pdp:capability', 'pdp:read'),
  schema: {
    operationId: 'listCapabilities',
    tags: ['Capabilities'],
    summary: 'List capabilities, oldest first',
    description:
      'What has ended stays for 30 days. Who holds `pdp:grantor` alone is shown those that it holds directly and those that it granted.',
    headers: ReadHeaders,
    querystring: Type.Object(
      {
        ...pageQuery,
        subject_type: Type.Optional(Identifier),
        subject_id: Type.Optional(Identifier),
        granted_by_type: Type.Optional(Identifier),
        granted_by_id: Type.Optional(Identifier),
        active: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
      },
      closed,
    ),
    response: { 200: page(ReadableCapability), ...readProblems },
  },
} as const

export const createCapability = {
  method: 'POST',
  url: '/v1/capabilities',
  config: may('pdp:capability', 'pdp:write'),
  schema: {
    operationId: 'createCapability',
    tags: ['Capabilities'],
    summary: 'Grant a capability',
    description:
      'With `pdp:policy_admin`, anything. With `pdp:grantor`, out of a capability that the caller itself holds and that is `delegable`, named by `from`, and no more than that one: else 403, with pointers to what is beyond it.',
    headers: WriteHeaders,
    body: Capability,
    response: { 201: WrittenCapability, ...writeProblems },
  },
} as const

export const getCapability = {
  method: 'GET',
  url: '/v1/capabilities/:id',
  config: may('pdp:capability', 'pdp:read'),
  schema: {
    operationId: 'getCapability',
    tags: ['Capabilities'],
    summary: 'Get a capability',
    headers: ReadHeaders,
    params: UuidParams,
    response: { 200: ReadableCapability, ...itemProblems },
  },
} as const

export const deleteCapability = {
  method: 'DELETE',
  url: '/v1/capabilities/:id',
  config: { ...may('pdp:capability', 'pdp:write'), revokes: true },
  schema: {
    operationId: 'deleteCapability',
    tags: ['Capabilities'],
    summary: 'Revoke a capability, with all that was granted out of it',
    headers: WriteHeaders,
    params: UuidParams,
    response: { 204: Gone, ...writeProblems },
  },
} as const
