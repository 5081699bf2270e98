import type { GivenCapability } from './capability.ts'
import type { Issuer } from './issuer.ts'
import type { Assignment, Entity, EntityType, Policy, Role, Rule, Settings } from './model.ts'
import type { GivenPermissionRequest } from './permission-request.ts'
import type { Quota } from './quota.ts'

/**
 * One row of a tenant's change log: what a write did to one thing. `before` and `after` hold the whole thing (null:
 * it was not there). From an empty tenant, all changes in order make its policy.
 */
export type PolicyChange =
  | Changed<'settings', null, Settings>
  | Changed<'type', { name: string }, EntityType>
  | Changed<'policy', { name: string }, Policy>
  | Changed<'role', { name: string }, Role>
  | Changed<'rule', { name: string }, Rule>
  | Changed<'quota', { name: string }, Quota>
  | Changed<'entity', { type: string; id: string }, Entity>
  | Changed<'assignment', { id: string }, GivenAssignment>
  | Changed<'capability', { id: string }, GivenCapability>
  | Changed<'permission_request', { id: string }, GivenPermissionRequest>
  | Changed<'api_key', { id: string }, ApiKeyFacts>
  | Changed<'issuer', { name: string }, Issuer>
  | Changed<'credential', { type: string; id: string; credential: 'password' | 'totp' | 'sessions' }, CredentialFacts>
  | Changed<'tenant', { id: string }, TenantFacts>

interface Changed<Kind extends string, Key, Value> {
  readonly kind: Kind
  readonly key: Key
  readonly operation: 'create' | 'update' | 'delete'
  readonly before: Value | null
  readonly after: Value | null
}

/** An assignment as it stands: with its id and who gave it. Instants are RFC 3339 in UTC. */
export type GivenAssignment = Assignment & {
  readonly id: string
  readonly granted_by: { readonly type: string; readonly id: string }
}

/** What the log may know of an API key: never its secret nor the hash of it. */
export interface ApiKeyFacts {
  readonly id: string
  readonly name: string
  readonly subject: { readonly type: string; readonly id: string }
  /** null: what the subject holds. */
  readonly roles: readonly string[] | null
  readonly expires_at: string | null
}

/** What the log may know of a person's credential: that it is there, never a secret nor the hash of one. */
export interface CredentialFacts {
  /** Of a password. */
  readonly username?: string
  /** Of a second factor: whether its holder has shown a code of it. */
  readonly confirmed?: boolean
  /** Of sessions: how many were ended. */
  readonly ended?: number
  /** Which one, where it was one by its id. */
  readonly session?: string
}

export interface TenantFacts {
  readonly id: string
  readonly name: string
  readonly status: 'active' | 'suspended' | 'deleted'
}
