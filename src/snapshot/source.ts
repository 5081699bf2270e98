import type { ApiKey } from '../authn/api-key.ts'
import type { ApiKeyFacts, PolicyChange } from '../policy/change.ts'
import type { EntityNode } from '../policy/entity-graph.ts'
import type { Issuer } from '../policy/issuer.ts'
import type { EntityRef } from '../policy/model.ts'

export type { ApiKey } from '../authn/api-key.ts'

/** Where tenants come from: Postgres (`store/snapshot.ts`), or five lines in a test. */
export interface Source {
  /**
   * A tenant as it stands at one revision; undefined where there is none. Its entities come along if they and their
   * assignments are at most `room`.
   */
  loadTenant(tenant: string, room: number): Promise<LoadedTenant | undefined>
  /** The entities, what they descend from and the assignments of all of these, at one revision. Absence is a node too. */
  loadEntities(tenant: string, refs: readonly EntityRef[]): Promise<LoadedEntities | undefined>
  /** Where the tenants stand now. A tenant that is gone is left out. */
  revisions(tenants: readonly string[]): Promise<readonly TenantRevision[]>
  /** What happened after `revision`: about `limit` rows of the log, but always whole revisions, in order. */
  changesAfter(tenant: string, revision: number, limit: number): Promise<ChangesAfter>
  /** The tenant that an API key belongs to. */
  tenantOfApiKey(id: string): Promise<string | undefined>
}

export type TenantStatus = 'active' | 'suspended' | 'deleted'

/** A place in a tenant's history. The number alone does not name it: a restored database uses numbers again. */
export interface RevisionId {
  readonly revision: number
  readonly revision_id: string
}

export interface TenantRevision extends RevisionId {
  readonly id: string
  readonly status: TenantStatus
}

export interface LoadedTenant extends TenantRevision {
  /** Settings, types, policies, roles and rules, each as if it were created now. */
  readonly policy: readonly PolicyChange[]
  readonly api_keys: readonly ApiKey[]
  readonly issuers: readonly LoadedIssuer[]
  /** null: more than there was room for. */
  readonly entities: readonly EntityNode[] | null
}

/** A trusted issuer, and the revision that wrote it. */
export interface LoadedIssuer {
  readonly document: Issuer
  readonly version: number
}

export interface LoadedEntities extends RevisionId {
  readonly nodes: readonly EntityNode[]
}

export interface ChangesAfter {
  /** The id that the log gives the revision asked about; null where it has none (revision 0, or another history). */
  readonly anchor: string | null
  readonly revisions: readonly Revision[]
}

/** One write: all its changes take effect in one turn. */
export interface Revision extends RevisionId {
  readonly changes: readonly LoggedChange[]
}

/** A row of the change log. What a key's hash is now comes along: the log itself never holds it. */
export type LoggedChange = PolicyChange & { readonly secret_sha256?: Buffer | null }

/** A key as it is held in memory, of what the log or a table says of it. */
export function apiKey(tenant: string, facts: ApiKeyFacts, secret_sha256: Buffer): ApiKey {
  const { id, name, subject, roles, expires_at } = facts
  return {
    id,
    tenant,
    name,
    subject,
    roles,
    secret_sha256,
    expires_at: expires_at === null ? null : Date.parse(expires_at),
  }
}
