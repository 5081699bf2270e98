import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { GivenAssignment, PolicyChange } from '../policy/change.ts'
import type { EntityNode } from '../policy/entity-graph.ts'
import type { EntityRef, Properties } from '../policy/model.ts'
import type {
  ApiKey,
  ChangesAfter,
  LoadedEntities,
  LoadedIssuer,
  LoadedTenant,
  LoggedChange,
  Revision,
  Source,
  TenantRevision,
} from '../snapshot/source.ts'
import type { Database } from './schema.ts'

/** Tenants, as they stand in Postgres. */
export function snapshotSource(db: Kysely<Database>): Source {
  return {
    loadTenant: (tenant, room) =>
      db
        .transaction()
        .setIsolationLevel('repeatable read')
        .setAccessMode('read only')
        .execute((trx) => loadTenant(trx, tenant, room)),
    loadEntities: (tenant, refs) => loadEntities(db, tenant, refs),
    revisions: (tenants) => revisions(db, tenants),
    changesAfter: (tenant, revision, limit) => changesAfter(db, tenant, revision, limit),
    tenantOfApiKey: (id) => tenantOfApiKey(db, id),
  }
}

async function loadTenant(trx: Transaction<Database>, id: string, room: number): Promise<LoadedTenant | undefined> {
  const tenant = await trx
    .selectFrom('tenants')
    .select(['id', 'status', 'revision', 'revision_id'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (tenant === undefined) return undefined
  if (tenant.status === 'deleted') return { ...tenant, policy: [], api_keys: [], issuers: [], entities: null }
  const policy = await loadPolicy(trx, id)
  const api_keys = await loadApiKeys(trx, id)
  const issuers = await loadIssuers(trx, id)
  const entities = (await fits(trx, id, room)) ? await loadAllEntities(trx, id) : null
  return { ...tenant, policy, api_keys, issuers, entities }
}

async function loadPolicy(trx: Transaction<Database>, id: string): Promise<PolicyChange[]> {
  const create = { operation: 'create', before: null } as const
  const settings = await trx.selectFrom('settings').select('body').where('tenant_id', '=', id).execute()
  const types = await trx.selectFrom('types').select(['name', 'body']).where('tenant_id', '=', id).execute()
  const policies = await trx.selectFrom('policies').select(['name', 'body']).where('tenant_id', '=', id).execute()
  const roles = await trx.selectFrom('roles').select(['name', 'body']).where('tenant_id', '=', id).execute()
  return [
    ...settings.map(({ body }) => ({ kind: 'settings' as const, key: null, ...create, after: body })),
    ...types.map(({ name, body }) => ({ kind: 'type' as const, key: { name }, ...create, after: body })),
    ...policies.map(({ name, body }) => ({ kind: 'policy' as const, key: { name }, ...create, after: body })),
    ...roles.map(({ name, body }) => ({ kind: 'role' as const, key: { name }, ...create, after: body })),
    ...(await loadRules(trx, id)),
  ]
}

// A page is one statement, and a statement has a deadline: so a tenant of any size can be loaded.
const RULES_IN_A_PAGE = 5000
const ENTITIES_IN_A_PAGE = 2500

async function loadRules(trx: Transaction<Database>, id: string): Promise<PolicyChange[]> {
  const rules: PolicyChange[] = []
  for (let last = ''; ; ) {
    const page = await trx
      .selectFrom('rules')
      .select(['name', 'body'])
      .where('tenant_id', '=', id)
      .where('name', '>', last)
      .orderBy('name')
      .limit(RULES_IN_A_PAGE)
      .execute()
    for (const { name, body } of page) {
      rules.push({ kind: 'rule', key: { name }, operation: 'create', before: null, after: body })
    }
    last = page.at(-1)?.name ?? ''
    if (page.length < RULES_IN_A_PAGE) return rules
  }
}

async function loadApiKeys(trx: Transaction<Database>, tenant: string): Promise<ApiKey[]> {
  const rows = await trx
    .selectFrom('api_keys')
    .select(['id', 'name', 'subject_type', 'subject_id', 'roles', 'secret_sha256', 'expires_at'])
    .where('tenant_id', '=', tenant)
    .execute()
  return rows.map(({ id, name, subject_type, subject_id, roles, secret_sha256, expires_at }) => ({
    id,
    tenant,
    name,
    subject: { type: subject_type, id: subject_id },
    roles,
    secret_sha256,
    expires_at: expires_at === null ? null : expires_at.getTime(),
  }))
}

function loadIssuers(trx: Transaction<Database>, tenant: string): Promise<LoadedIssuer[]> {
  return trx.selectFrom('issuers').select(['body as document', 'version']).where('tenant_id', '=', tenant).execute()
}

/** Whether there are at most `room` entities and assignments; counts no further than that. */
async function fits(trx: Transaction<Database>, id: string, room: number): Promise<boolean> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from (
      select 1 from (
        (select 1 from entities where tenant_id = ${id} limit ${room + 1})
        union all
        (select 1 from assignments where tenant_id = ${id} limit ${room + 1})
      ) as each limit ${room + 1}
    ) as counted`.execute(trx)
  return (rows[0]?.count ?? 0) <= room
}

interface NodeRow {
  readonly type: string
  readonly id: string
  readonly known: boolean
  readonly properties: Properties | null
  readonly disabled: boolean | null
  readonly parents: EntityRef[] | null
  readonly assignments: GivenAssignment[] | null
}

async function loadAllEntities(trx: Transaction<Database>, tenant: string): Promise<EntityNode[]> {
  const nodes: EntityNode[] = []
  for (let last: EntityRef = { type: '', id: '' }; ; ) {
    // Whoever has an assignment is an entity to be held, stored or not.
    const { rows } = await sql<NodeRow>`
      with page as (
        select type, id from (
          (select type, id from entities
            where tenant_id = ${tenant} and (type, id) > (${last.type}, ${last.id})
            order by type, id limit ${ENTITIES_IN_A_PAGE})
          union
          (select distinct subject_type, subject_id from assignments
            where tenant_id = ${tenant} and (subject_type, subject_id) > (${last.type}, ${last.id})
            order by subject_type, subject_id limit ${ENTITIES_IN_A_PAGE})
        ) as each order by type, id limit ${ENTITIES_IN_A_PAGE}
      )
      select ${nodeColumns(tenant)} from page r ${joinEntity(tenant)} order by r.type, r.id`.execute(trx)
    for (const row of rows) nodes.push(node(row))
    const end = rows.at(-1)
    if (end === undefined || rows.length < ENTITIES_IN_A_PAGE) return nodes
    last = end
  }
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
  const { rows } = await sql<NodeRow & { revision: number; revision_id: string }>`
    with recursive r (type, id) as (
      select type collate "C", id collate "C" from unnest(${types}::text[], ${ids}::text[]) as ref (type, id)
      union
      select p.parent_type, p.parent_id from r cross join lateral (
        select parent_type, parent_id from entity_parents
        where tenant_id = ${tenant} and type = r.type and id = r.id offset 0) p
    )
    select t.revision, t.revision_id, ${nodeColumns(tenant)}
    from tenants t cross join r ${joinEntity(tenant)}
    where t.id = ${tenant}`.execute(db)
  const [first] = rows
  if (first === undefined) return undefined
  return { revision: first.revision, revision_id: first.revision_id, nodes: rows.map(node) }
}

/** What makes a node of `r` (type, id), joined with its entity `e`. Instants as the change log writes them. */
function nodeColumns(tenant: string): RawBuilder<unknown> {
  return sql`
    r.type, r.id, e.id is not null as known, e.properties, e.disabled,
    (select json_agg(json_build_object('type', p.parent_type, 'id', p.parent_id) order by p.ordinal)
      from entity_parents p where p.tenant_id = ${tenant} and p.type = r.type and p.id = r.id) as parents,
    (select json_agg(jsonb_build_object(
        'id', a.id,
        'subject', jsonb_build_object('type', a.subject_type, 'id', a.subject_id),
        'role', a.role,
        'valid_from', to_char(a.valid_from at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'valid_until', to_char(a.valid_until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'reason', a.reason,
        'granted_by', a.granted_by)
      || case when a.within_id is null then '{}'
         else jsonb_build_object('within', jsonb_build_object('type', a.within_type, 'id', a.within_id)) end
      order by a.id)
      from assignments a
      where a.tenant_id = ${tenant} and a.subject_type = r.type and a.subject_id = r.id) as assignments`
}

// `offset 0` keeps the planner from reading a tenant's whole table for a thousand of its rows (it takes a recursion
// to bring ten times as many as it does): each row is looked up by the key.
function joinEntity(tenant: string): RawBuilder<unknown> {
  return sql`left join lateral (
    select id, properties, disabled from entities
    where tenant_id = ${tenant} and type = r.type and id = r.id offset 0) e on true`
}

function node({ type, id, known, properties, disabled, parents, assignments }: NodeRow): EntityNode {
  return {
    type,
    id,
    known,
    properties: properties ?? {},
    disabled: disabled ?? false,
    parents: parents ?? [],
    assignments: assignments ?? [],
  }
}

async function revisions(db: Kysely<Database>, tenants: readonly string[]): Promise<TenantRevision[]> {
  return await db
    .selectFrom('tenants')
    .select(['id', 'status', 'revision', 'revision_id'])
    .where(sql<boolean>`id = any(${tenants}::text[])`)
    .execute()
}

type ChangeRow = LoggedChange & { readonly revision: number; readonly ordinal: number; readonly revision_id: string }

interface LogPosition {
  readonly revision: number
  readonly ordinal: number
}

/** Rows of the log never change, so that pages of it read one after the other fit together. */
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
  // No ordinal is as great: what follows is the next revision.
  const rows = await loggedAfter(db, tenant, { revision, ordinal: MAX_INT4 }, MAX_INT8, limit)
  for (let full = rows.length === limit; full; ) {
    const last = rows.at(-1)
    if (last === undefined) break
    // The revision that the limit fell into comes whole.
    const rest = await loggedAfter(db, tenant, last, last.revision, limit)
    for (const row of rest) rows.push(row)
    full = rest.length === limit
  }
  return { anchor: here?.revision_id ?? null, revisions: group(rows) }
}

const MAX_INT4 = 2 ** 31 - 1
const MAX_INT8 = Number.MAX_SAFE_INTEGER

async function loggedAfter(
  db: Kysely<Database>,
  tenant: string,
  after: LogPosition,
  until: number,
  limit: number,
): Promise<ChangeRow[]> {
  const { rows } = await sql<ChangeRow>`
    select c.revision, c.ordinal, c.revision_id, c.kind, c.key, c.operation, c.before, c.after, k.secret_sha256
    from policy_changes c
    left join api_keys k on c.kind = 'api_key' and k.tenant_id = c.tenant_id and k.id = c.key ->> 'id'
    where c.tenant_id = ${tenant} and (c.revision, c.ordinal) > (${after.revision}::bigint, ${after.ordinal}::int)
      and c.revision <= ${until}::bigint
    order by c.revision, c.ordinal limit ${limit}`.execute(db)
  return rows
}

function group(rows: readonly ChangeRow[]): Revision[] {
  const revisions: (Revision & { changes: LoggedChange[] })[] = []
  for (const { revision, ordinal: _ordinal, revision_id, ...change } of rows) {
    const last = revisions.at(-1)
    if (last?.revision === revision) last.changes.push(change)
    else revisions.push({ revision, revision_id, changes: [change] })
  }
  return revisions
}

async function tenantOfApiKey(db: Kysely<Database>, id: string): Promise<string | undefined> {
  const row = await db.selectFrom('api_key_index').select('tenant_id').where('id', '=', id).executeTakeFirst()
  return row?.tenant_id
}
