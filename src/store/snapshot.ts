import { type Kysely, sql } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import { entityNode } from '../snapshot/entity-node.ts'
import type {
  ApiKey,
  ChangesAfter,
  ChangesOf,
  LoadedEntities,
  LoadedIssuer,
  LoggedChange,
  Revision,
  RevisionId,
  Source,
  StoredEntity,
  StoredIds,
  TenantRevision,
} from '../snapshot/source.ts'
import type { TenantDatabase } from './database.ts'
import { entityColumns, joinEntity } from './entity-nodes.ts'
import { limited } from './limited.ts'
import type { Database } from './schema.ts'
import { fits, readEntities, readPolicy } from './tenant-pages.ts'

// Tenants that are being loaded have a page each under way: what decisions wait for does not queue behind them.
const PAGES_AT_A_TIME = 2

/** Tenants, as they stand in Postgres. */
export function snapshotSource(db: TenantDatabase): Source {
  const paged = limited(PAGES_AT_A_TIME)
  return {
    standing: async (tenant) => (await revisions(db, [tenant]))[0],
    policy: (tenant) => readPolicy(db.of(tenant), tenant, paged),
    apiKeys: (tenant) => apiKeys(db.of(tenant), tenant),
    issuers: (tenant) => issuers(db.of(tenant), tenant),
    fits: (tenant, room) => fits(db.of(tenant), tenant, room, paged),
    entities: (tenant) => readEntities(db.of(tenant), tenant, paged),
    loadEntities: (tenant, refs) => loadEntities(db.of(tenant), tenant, refs),
    idsOf: (tenant, type, after, limit) => idsOf(db.of(tenant), tenant, type, after, limit),
    revisions: (tenants) => revisions(db, tenants),
    changesAfter: (tenant, revision, limit) => changesAfter(db.of(tenant), tenant, revision, limit),
    changesOf: (tenant, revision, place, policy) =>
      paged(() => changesOf(db.of(tenant), tenant, revision, place, policy)),
    tenantsOfApiKeys: (ids) => tenantsOfApiKeys(db, ids),
  }
}

async function apiKeys(db: Kysely<Database>, tenant: string): Promise<ApiKey[]> {
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'name', 'subject_type', 'subject_id', 'roles', 'secret_sha256', 'expires_at', 'created_at'])
    .where('tenant_id', '=', tenant)
    .execute()
  return rows.map(({ id, name, subject_type, subject_id, roles, secret_sha256, expires_at, created_at }) => ({
    id,
    tenant,
    name,
    subject: { type: subject_type, id: subject_id },
    roles,
    secret_sha256,
    made: created_at.getTime(),
    expires_at: expires_at === null ? null : expires_at.getTime(),
  }))
}

async function issuers(db: Kysely<Database>, tenant: string): Promise<LoadedIssuer[]> {
  return await db
    .selectFrom('issuers')
    .select(['name', 'body as document', 'version'])
    .where('tenant_id', '=', tenant)
    .execute()
}

/** One statement, so that the facts and the revision are of one moment. */
async function loadEntities(
  db: Kysely<Database>,
  tenant: string,
  refs: readonly EntityRef[],
): Promise<LoadedEntities | undefined> {
  const types = refs.map(({ type }) => type)
  const ids = refs.map(({ id }) => id)
  // `union` (without all) ends where a cycle closes.
  const { rows } = await sql<StoredEntity & { revision: number; revision_id: string }>`
    with recursive r (type, id) as (
      select type collate "C", id collate "C" from unnest(${types}::text[], ${ids}::text[]) as ref (type, id)
      union
      select p.parent_type, p.parent_id from r cross join lateral (
        select parent_type, parent_id from entity_parents
        where tenant_id = ${tenant} and type = r.type and id = r.id offset 0) p
    )
    select t.revision, t.revision_id, ${entityColumns(tenant)}
    from tenants t cross join r ${joinEntity(tenant)}
    where t.id = ${tenant}`.execute(db)
  const [first] = rows
  if (first === undefined) return undefined
  return { revision: first.revision, revision_id: first.revision_id, nodes: rows.map(entityNode) }
}

/** One statement, so that the ids and the revision are of one moment. */
async function idsOf(
  db: Kysely<Database>,
  tenant: string,
  type: string,
  after: string,
  limit: number,
): Promise<StoredIds | undefined> {
  const { rows } = await sql<StoredIds>`
    select t.revision, t.revision_id, array(
      select id from entities where tenant_id = ${tenant} and type = ${type} and id > ${after} order by id limit ${limit}
    ) as ids
    from tenants t where t.id = ${tenant}`.execute(db)
  return rows[0]
}

async function revisions(db: Kysely<Database>, tenants: readonly string[]): Promise<TenantRevision[]> {
  return await db
    .selectFrom('tenants')
    .select(['id', 'status', 'revision', 'revision_id'])
    .where(sql<boolean>`id = any(${tenants}::text[])`)
    .execute()
}

async function changesAfter(
  db: Kysely<Database>,
  tenant: string,
  revision: number,
  limit: number,
): Promise<ChangesAfter> {
  const here = await db
    .selectFrom('policy_changes')
    .select('revision_id')
    .where('tenant_id', '=', tenant)
    .where('revision', '=', revision)
    .limit(1)
    .executeTakeFirst()
  // One more than is wanted tells whether the last revision is there whole.
  const { rows } = await sql<LoggedRow>`
    select c.revision, c.revision_id, ${changeColumns} from ${changes}
    where c.tenant_id = ${tenant} and c.revision > ${revision}::bigint
    order by c.revision, c.ordinal limit ${limit + 1}`.execute(db)
  const revisions = group(rows)
  const last = rows.length > limit ? revisions.pop() : undefined
  return {
    anchor: here?.revision_id ?? null,
    revisions,
    big: last === undefined || revisions.length > 0 ? null : { revision: last.revision, revision_id: last.revision_id },
  }
}

// Rows of the log never change, so that pages of it read one after the other fit together.
const CHANGES_IN_A_PAGE = 500
// Of those that are passed over, the database looks through this many in one statement.
const CHANGES_PASSED_OVER = 5000

async function changesOf(
  db: Kysely<Database>,
  tenant: string,
  { revision, revision_id }: RevisionId,
  place: number,
  policy: boolean,
): Promise<ChangesOf | undefined> {
  const end = place + (policy ? CHANGES_IN_A_PAGE : CHANGES_PASSED_OVER)
  const kinds = policy ? sql`true` : sql`c.kind in ('entity', 'assignment', 'api_key', 'issuer', 'tenant')`
  const { rows } = await sql<LoggedChange>`
    select ${changeColumns} from ${changes}
    where c.tenant_id = ${tenant} and c.revision = ${revision}::bigint and c.revision_id = ${revision_id}::uuid
      and c.ordinal >= ${place}::int and c.ordinal < ${end}::int and ${kinds}
    order by c.ordinal`.execute(db)
  // Asked afterwards: of a database that was restored in between, the whole is not there any more.
  const { rows: last } = await sql<{ ordinal: number; revision_id: string }>`
    select ordinal, revision_id from policy_changes
    where tenant_id = ${tenant} and revision = ${revision}::bigint order by ordinal desc limit 1`.execute(db)
  if (last[0]?.revision_id !== revision_id) return undefined
  return { changes: rows, next: last[0].ordinal >= end ? end : null }
}

type LoggedRow = LoggedChange & RevisionId

const changes = sql`policy_changes c
  left join api_keys k on c.kind = 'api_key' and k.tenant_id = c.tenant_id and k.id = c.key ->> 'id'`

// What a thing was before is half of the log's bytes, and nobody asks for it but of assignments. A document that was
// written and is not there (by hand) is no document, and nothing that was deleted.
const changeColumns = sql`
  c.kind, c.key, c.operation, case when c.kind = 'assignment' then c.before end as before, k.secret_sha256,
  k.created_at as made,
  case when c.operation <> 'delete' and c.kind in ('settings', 'type', 'policy', 'role', 'rule', 'capability', 'quota')
    then coalesce(nullif(c.after, 'null'), '"no document"') else c.after end as after`

function group(rows: readonly LoggedRow[]): Revision[] {
  const revisions: (Revision & { changes: LoggedChange[] })[] = []
  for (const { revision, revision_id, ...change } of rows) {
    const last = revisions.at(-1)
    if (last?.revision === revision) last.changes.push(change)
    else revisions.push({ revision, revision_id, changes: [change] })
  }
  return revisions
}

async function tenantsOfApiKeys(db: Kysely<Database>, ids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; tenant_id: string }>`
    select id, tenant_id from api_key_index where id = any(${ids})`.execute(db)
  return new Map(rows.map(({ id, tenant_id }) => [id, tenant_id]))
}
