import type { ApiKey } from '../authn/api-key.ts'
import type { ApiKeyFacts, PolicyChange } from '../policy/change.ts'
import type { EntityNode } from '../policy/entity-graph.ts'
import type { Issuer } from '../policy/issuer.ts'
import type { EntityRef } from '../policy/model.ts'

export type { ApiKey } from '../authn/api-key.ts'

/**
 * Where tenants come from: Postgres (`store/snapshot.ts`), or a few lines in a test. No call holds anything open in the
 * database: what is read in parts may be of different revisions, all of them after the call began, and the log of
 * changes says what happened meanwhile.
 */
export interface Source {
  /** Where a tenant stands; undefined where there is none. */
  standing(tenant: string): Promise<TenantRevision | undefined>
  /** Its settings, types, policies, roles, rules, capabilities and quotas, in parts, in an order in which what is named mostly comes first. */
  policy(tenant: string): AsyncIterable<readonly StoredDocument[]>
  apiKeys(tenant: string): Promise<readonly ApiKey[]>
  issuers(tenant: string): Promise<readonly LoadedIssuer[]>
  /** Whether its entities and their assignments are at most `room`. */
  fits(tenant: string, room: number): Promise<boolean>
  /** All its entities, and whoever has an assignment, stored or not, in parts. */
  entities(tenant: string): AsyncIterable<readonly StoredEntity[]>
  /** The entities, what they descend from and the assignments of all of these, at one revision. Absence is a node too. */
  loadEntities(tenant: string, refs: readonly EntityRef[]): Promise<LoadedEntities | undefined>
  /** The ids of stored entities of a type, in byte order, after one: `limit` of them at most. */
  idsOf(tenant: string, type: string, after: string, limit: number): Promise<StoredIds | undefined>
  /** Where the tenants stand now. A tenant that is gone is left out. */
  revisions(tenants: readonly string[]): Promise<readonly TenantRevision[]>
  /** What happened after `revision`: whole revisions, in order, of `limit` changes together at most. */
  changesAfter(tenant: string, revision: number, limit: number): Promise<ChangesAfter>
  /**
   * A part of one revision's changes, in order, from `place` on; undefined where the log does not have it (any more).
   * Without `policy`, only those that no index takes.
   */
  changesOf(tenant: string, revision: RevisionId, place: number, policy: boolean): Promise<ChangesOf | undefined>
  /** The tenants that API keys belong to, by the keys' ids; what is no key is left out. */
  tenantsOfApiKeys(ids: readonly string[]): Promise<ReadonlyMap<string, string>>
}

/** What an index is made of, as JSON: its reader parses it when its time comes. */
export interface StoredDocument {
  readonly kind: 'settings' | 'type' | 'policy' | 'role' | 'rule' | 'capability' | 'quota'
  /** Settings have none; of a capability it is the id. */
  readonly name: string
  readonly text: string
}

/** An entity as JSON. null: none. */
export interface StoredEntity extends EntityRef {
  readonly known: boolean
  readonly disabled: boolean | null
  readonly properties: string | null
  readonly parents: string | null
  readonly assignments: string | null
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

/** A trusted issuer as it is stored, and the revision that wrote it. */
export interface LoadedIssuer {
  readonly name: string
  readonly document: Issuer
  readonly version: number
}

export interface LoadedEntities extends RevisionId {
  readonly nodes: readonly EntityNode[]
}

export interface StoredIds extends RevisionId {
  readonly ids: readonly string[]
}

export interface ChangesAfter {
  /** The id that the log gives the revision asked about; null where it has none (revision 0, or another history). */
  readonly anchor: string | null
  readonly revisions: readonly Revision[]
  /** What comes next, if it has more changes than were asked for: `changesOf` has them. */
  readonly big: RevisionId | null
}

export interface ChangesOf {
  readonly changes: readonly LoggedChange[]
  /** From where to go on; null: that was all. */
  readonly next: number | null
}

/** One write: all its changes take effect in one turn. */
export interface Revision extends RevisionId {
  readonly changes: readonly LoggedChange[]
}

/**
 * A row of the change log. What a key's hash is now, and when it was made, comes along: the log never holds the hash. `before` is there for
 * assignments only.
 */
export type LoggedChange = PolicyChange & { readonly secret_sha256?: Buffer | null; readonly made?: Date | null }

/** A change, and the revision that made it. */
export interface DatedChange {
  readonly change: LoggedChange
  readonly revision: number
}

/** A key as it is held in memory, of what the log or a table says of it. */
export function apiKey(tenant: string, facts: ApiKeyFacts, secret_sha256: Buffer, made: Date): ApiKey {
  const { id, name, subject, roles, expires_at } = facts
  return {
    id,
    tenant,
    name,
    subject,
    roles,
    secret_sha256,
    made: made.getTime(),
    expires_at: expires_at === null ? null : Date.parse(expires_at),
  }
}
