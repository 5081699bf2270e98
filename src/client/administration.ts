import type * as authenticate from '../contract/authenticate.ts'
import type * as bundle from '../contract/bundle.ts'
import type * as capabilities from '../contract/capabilities.ts'
import type * as credentials from '../contract/credentials.ts'
import type * as entities from '../contract/entities.ts'
import type * as issuers from '../contract/issuers.ts'
import type * as permissionRequests from '../contract/permission-requests.ts'
import type * as policies from '../contract/policies.ts'
import type * as quotas from '../contract/quotas.ts'
import type * as tenants from '../contract/tenants.ts'
import type * as types from '../contract/types.ts'
import type { Bundle, EntityRef } from '../policy/model.ts'
import { contextsOf } from './contexts.ts'
import type { Body, Filter, Input } from './contract.ts'
import { type ListOptions, queryText, type ReadOptions, type Rest, segment, type WriteOptions } from './resources.ts'

/** All that is administered, each with the types of its routes. */
export function administration(rest: Rest) {
  return {
    types: rest.documents<typeof types.listTypes, typeof types.getType, typeof types.putType>('/v1/types'),
    policies: rest.documents<typeof policies.listPolicies, typeof policies.getPolicy, typeof policies.putPolicy>(
      '/v1/policies',
    ),
    roles: roles(rest),
    rules: rules(rest),
    quotas: quotasOf(rest),
    entities: entitiesOf(rest),
    assignments: assignments(rest),
    capabilities: capabilitiesOf(rest),
    permissionRequests: permissionRequestsOf(rest),
    bundle: bundleOf(rest),
    issuers: rest.documents<typeof issuers.listIssuers, typeof issuers.getIssuer, typeof issuers.putIssuer>(
      '/v1/issuers',
    ),
    apiKeys: apiKeys(rest),
    credentials: credentialsOf(rest),
    contexts: contextsOf(rest),
    settings: settings(rest),
    tenants: tenantsOf(rest),
    /** Who changed what, when and why, oldest first. */
    changes: (filter?: Filter<typeof entities.listChanges>, options?: ListOptions) =>
      rest.list<typeof entities.listChanges>('/v1/changes', filter, options),
    /** Who is asking. */
    me: (options?: ReadOptions) => rest.get<typeof authenticate.me>('/v1/authenticate/me', {}, options),
  }
}

export type Administration = ReturnType<typeof administration>

function roles(rest: Rest) {
  return {
    ...rest.documents<typeof policies.listRoles, typeof policies.getRole, typeof policies.putRole>('/v1/roles'),
    /** A `conflict` where there is one of that name. */
    create: (role: Body<typeof policies.createRole>, options?: WriteOptions) =>
      rest.write<typeof policies.createRole>('POST', '/v1/roles', role, options),
    /** Who is given it directly. */
    members: (name: string, options?: ListOptions) =>
      rest.list<typeof entities.listMembers>(`/v1/roles/${segment(name)}/members`, {}, options),
  }
}

function rules(rest: Rest) {
  return {
    ...rest.documents<typeof policies.listRules, typeof policies.getRule, typeof policies.putRule>('/v1/rules'),
    /** A `conflict` where there is one of that name. */
    create: (rule: Body<typeof policies.createRule>, options?: WriteOptions) =>
      rest.write<typeof policies.createRule>('POST', '/v1/rules', rule, options),
  }
}

function quotasOf(rest: Rest) {
  const at = (name: string) => `/v1/quotas/${segment(name)}`
  return {
    ...rest.documents<typeof quotas.listQuotas, typeof quotas.getQuota, typeof quotas.putQuota>('/v1/quotas'),
    /** What was taken of a counter in the running window: of one `per` subject, by this subject. */
    usage: async (name: string, of: Filter<typeof quotas.getQuotaUsage> = {}, options?: ReadOptions) =>
      rest.get<typeof quotas.getQuotaUsage>(`${at(name)}/usage`, of, options),
    /** Gives back what a decision took, once. */
    refund: async (name: string, what: Body<typeof quotas.refundQuota>, options?: WriteOptions) =>
      rest.write<typeof quotas.refundQuota>('POST', `${at(name)}/refund`, what, options, 'unkeyed'),
  }
}

function entitiesOf(rest: Rest) {
  // Any id fits a query; not every one fits a path.
  const at = ({ type, id }: EntityRef) => `/v1/entity${queryText({ type, id })}`
  return {
    list: (filter?: Filter<typeof entities.listEntities>, options?: ListOptions) =>
      rest.list<typeof entities.listEntities>('/v1/entities', filter, options),
    get: async (entity: EntityRef, options?: ReadOptions) =>
      rest.get<typeof entities.getEntity>(at(entity), {}, options),
    /** Creates it or replaces it. */
    put: async (entity: EntityRef & Body<typeof entities.putEntity>, options?: WriteOptions) =>
      rest.write<typeof entities.putEntity>('PUT', at(entity), entity, options),
    /** All or nothing, one revision. */
    putAll: (all: Iterable<EntityRef & Body<typeof entities.putEntity>>, options?: WriteOptions) =>
      rest.lines<typeof entities.bulkEntities>('/v1/entities/bulk', all, options),
    /** With its assignments, memberships and keys. */
    delete: async (entity: EntityRef, options?: WriteOptions) => rest.remove(at(entity), options),
  }
}

function assignments(rest: Rest) {
  return {
    list: (filter?: Filter<typeof entities.listAssignments>, options?: ListOptions) =>
      rest.list<typeof entities.listAssignments>('/v1/assignments', filter, options),
    create: (assignment: Body<typeof entities.createAssignment>, options?: WriteOptions) =>
      rest.write<typeof entities.createAssignment>('POST', '/v1/assignments', assignment, options),
    delete: async (id: string, options?: WriteOptions) => rest.remove(`/v1/assignments/${segment(id)}`, options),
  }
}

function capabilitiesOf(rest: Rest) {
  const at = (id: string) => `/v1/capabilities/${segment(id)}`
  return {
    list: (filter?: Filter<typeof capabilities.listCapabilities>, options?: ListOptions) =>
      rest.list<typeof capabilities.listCapabilities>('/v1/capabilities', filter, options),
    get: async (id: string, options?: ReadOptions) => rest.get<typeof capabilities.getCapability>(at(id), {}, options),
    /** `from`: the capability that it is granted out of, for whoever may not grant everything. */
    grant: (capability: Body<typeof capabilities.createCapability>, options?: WriteOptions) =>
      rest.write<typeof capabilities.createCapability>('POST', '/v1/capabilities', capability, options),
    /** With all that was granted out of it. */
    revoke: async (id: string, options?: WriteOptions) => rest.remove(at(id), options),
  }
}

function permissionRequestsOf(rest: Rest) {
  const at = (id: string) => `/v1/permission-requests/${segment(id)}`
  return {
    list: (filter?: Filter<typeof permissionRequests.listPermissionRequests>, options?: ListOptions) =>
      rest.list<typeof permissionRequests.listPermissionRequests>('/v1/permission-requests', filter, options),
    get: async (id: string, options?: ReadOptions) =>
      rest.get<typeof permissionRequests.getPermissionRequest>(at(id), {}, options),
    ask: (request: Body<typeof permissionRequests.createPermissionRequest>, options?: WriteOptions) =>
      rest.write<typeof permissionRequests.createPermissionRequest>(
        'POST',
        '/v1/permission-requests',
        request,
        options,
      ),
    /** What is left out is granted as it was asked. */
    approve: async (
      id: string,
      part: Body<typeof permissionRequests.approvePermissionRequest> = {},
      options?: WriteOptions,
    ) => rest.write<typeof permissionRequests.approvePermissionRequest>('POST', `${at(id)}/approve`, part, options),
    refuse: async (
      id: string,
      refusal: Body<typeof permissionRequests.refusePermissionRequest>,
      options?: WriteOptions,
    ) => rest.write<typeof permissionRequests.refusePermissionRequest>('POST', `${at(id)}/refuse`, refusal, options),
    withdraw: async (id: string, options?: WriteOptions) =>
      rest.write<typeof permissionRequests.withdrawPermissionRequest>('POST', `${at(id)}/withdraw`, undefined, options),
  }
}

export interface ApplyOptions extends WriteOptions {
  /** What it would come to; nothing is written. */
  readonly dryRun?: boolean
}

function bundleOf(rest: Rest) {
  return {
    get: async (options?: ReadOptions): Promise<Bundle> => rest.get<BundleRoute>('/v1/bundle', {}, options),
    /** A document, or the text of one in YAML. All of it, or nothing. */
    apply: (given: Input<Bundle> | string, { dryRun = false, ...options }: ApplyOptions = {}) =>
      rest.write<typeof bundle.putBundle>('PUT', `/v1/bundle${dryRun ? '?dry_run=true' : ''}`, given, options),
  }
}

/** Its contract has two formats, and so no one schema. */
type BundleRoute = {
  readonly schema: { readonly response: { readonly 200: typeof Bundle } }
}

function apiKeys(rest: Rest) {
  return {
    list: (filter?: Filter<typeof tenants.listApiKeys>, options?: ListOptions) =>
      rest.list<typeof tenants.listApiKeys>('/v1/api-keys', filter, options),
    /** `key` is shown this once. */
    create: (key: Body<typeof tenants.createApiKey>, options?: WriteOptions) =>
      rest.write<typeof tenants.createApiKey>('POST', '/v1/api-keys', key, options, 'secret'),
    /** Another key in its place; both are good for a while. */
    rotate: async (id: string, how: Body<typeof tenants.rotateApiKey> = {}, options?: WriteOptions) =>
      rest.write<typeof tenants.createApiKey>('POST', `/v1/api-keys/${segment(id)}/rotate`, how, options, 'secret'),
    delete: async (id: string, options?: WriteOptions) => rest.remove(`/v1/api-keys/${segment(id)}`, options),
  }
}

function credentialsOf(rest: Rest) {
  const at = ({ type, id }: EntityRef, what: string) => `/v1/credentials/${segment(type)}/${segment(id)}/${what}`
  return {
    putPassword: async (of: EntityRef, password: Body<typeof credentials.putPassword>, options?: WriteOptions) =>
      rest.write<typeof credentials.putPassword>('PUT', at(of, 'password'), password, options, 'unkeyed'),
    deletePassword: async (of: EntityRef, options?: WriteOptions) =>
      rest.remove(at(of, 'password'), options, 'unkeyed'),
    /** Without a code it makes a secret, shown this once; with one it confirms it. */
    putTotp: async (of: EntityRef, code: Body<typeof credentials.putTotp> = {}, options?: WriteOptions) =>
      rest.write<typeof credentials.putTotp>('PUT', at(of, 'totp'), code, options, 'unkeyed'),
    deleteTotp: async (of: EntityRef, options?: WriteOptions) => rest.remove(at(of, 'totp'), options, 'unkeyed'),
    endSessions: async (of: EntityRef, options?: WriteOptions) => rest.remove(at(of, 'sessions'), options, 'unkeyed'),
  }
}

function settings(rest: Rest) {
  return {
    get: async (options?: ReadOptions) => rest.get<typeof tenants.getSettings>('/v1/settings', {}, options),
    put: async (given: Body<typeof tenants.putSettings>, options?: WriteOptions) =>
      rest.write<typeof tenants.putSettings>('PUT', '/v1/settings', given, options),
  }
}

function tenantsOf(rest: Rest) {
  const at = (tenant: string) => `/v1/tenants/${segment(tenant)}`
  return {
    list: (options?: ListOptions) => rest.list<typeof tenants.listTenants>('/v1/tenants', {}, options),
    get: async (tenant: string, options?: ReadOptions) => rest.get<typeof tenants.getTenant>(at(tenant), {}, options),
    create: (tenant: Body<typeof tenants.createTenant>, options?: WriteOptions) =>
      rest.write<typeof tenants.createTenant>('POST', '/v1/tenants', tenant, options),
    /** Names or suspends it. */
    patch: async (tenant: string, change: Body<typeof tenants.patchTenant>, options?: WriteOptions) =>
      rest.write<typeof tenants.patchTenant>('PATCH', at(tenant), change, options),
    delete: async (tenant: string, options?: WriteOptions) => rest.remove(at(tenant), options),
  }
}
