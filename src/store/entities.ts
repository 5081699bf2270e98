import { type Kysely, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import type { Entity, EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Stamp, Stored } from './documents.ts'
import type { Database } from './schema.ts'

interface EntityRow extends Required<Entity> {
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

/** An entity is in one of its ancestors. */
export interface ParentEdge {
  readonly child: EntityRef
  readonly parent: EntityRef
}

const members = sql`
  e.type, e.id, e.properties, e.disabled, e.version, e.created_at, e.updated_at,
  coalesce((
    select jsonb_agg(jsonb_build_object('type', p.parent_type, 'id', p.parent_id) order by p.ordinal)
    from entity_parents p where p.tenant_id = e.tenant_id and p.type = e.type and p.id = e.id
  ), '[]') as parents`

const EntityCursor = Type.Tuple([Type.String(), Type.String()])

/** Those of the entities that are stored, in no order. */
export async function getEntities(
  db: Kysely<Database>,
  tenant: string,
  refs: readonly EntityRef[],
): Promise<Stored<Required<Entity>>[]> {
  const { rows } = await sql<EntityRow>`
    select ${members}
    from jsonb_to_recordset(${json(refs)}::jsonb) as ref(type text, id text)
    join entities e on e.tenant_id = ${tenant} and e.type = ref.type and e.id = ref.id`.execute(db)
  return rows.map(stored)
}

export async function listEntities(
  db: Kysely<Database>,
  tenant: string,
  filter: { readonly type?: string | undefined },
  page: Page,
): Promise<Listed<Stored<Required<Entity>>>> {
  const [type, id] = decodeCursor(page.cursor, EntityCursor) ?? [filter.type ?? '', '']
  const only = filter.type === undefined ? sql`true` : sql`e.type = ${filter.type}`
  const { rows } = await sql<EntityRow>`
    select ${members} from entities e
    where e.tenant_id = ${tenant} and ${only} and (e.type, e.id) > (${type}, ${id})
    order by e.type, e.id limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, (row) => [row.type, row.id], stored)
}

/** Writes entities, new or not, with their parents. `fromBundle` marks new ones as a bundle's. */
export async function putEntities(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  entities: readonly Required<Entity>[],
  fromBundle = false,
): Promise<void> {
  await sql`
    insert into entities (tenant_id, type, id, properties, disabled, from_bundle, version, created_at, updated_at)
    select ${tenant}, type, id, properties, disabled, ${fromBundle}, ${revision}::bigint, ${at}::timestamptz,
           ${at}::timestamptz
    from jsonb_to_recordset(${json(entities)}::jsonb) as row(type text, id text, properties jsonb, disabled boolean)
    on conflict (tenant_id, type, id) do update
    set properties = excluded.properties, disabled = excluded.disabled, version = excluded.version,
        updated_at = excluded.updated_at`.execute(trx)
  await replaceParents(trx, tenant, entities)
}

export async function deleteEntity(trx: Transaction<Database>, tenant: string, { type, id }: EntityRef): Promise<void> {
  await sql`delete from entities where tenant_id = ${tenant} and type = ${type} and id = ${id}`.execute(trx)
}

export async function deleteEntities(
  trx: Transaction<Database>,
  tenant: string,
  entities: readonly EntityRef[],
): Promise<void> {
  const refs = entities.map(({ type, id }) => ({ type, id }))
  await sql`
    delete from entities e using jsonb_to_recordset(${json(refs)}::jsonb) as ref(type text, id text)
    where e.tenant_id = ${tenant} and e.type = ref.type and e.id = ref.id`.execute(trx)
}

/** The first stored entities that name one as their parent, in the order of their type and id. */
export async function childrenOf(
  db: Kysely<Database>,
  tenant: string,
  parent: EntityRef,
  limit: number,
): Promise<Stored<Required<Entity>>[]> {
  const { rows } = await sql<EntityRow>`
    select ${members} from entity_parents c
    join entities e on e.tenant_id = c.tenant_id and e.type = c.type and e.id = c.id
    where c.tenant_id = ${tenant} and c.parent_type = ${parent.type} and c.parent_id = ${parent.id}
    order by c.type, c.id limit ${limit}`.execute(db)
  return rows.map(stored)
}

/** Those of the entities that stored ones are in. */
export async function withMembers(
  db: Kysely<Database>,
  tenant: string,
  refs: readonly EntityRef[],
): Promise<EntityRef[]> {
  const { rows } = await sql<EntityRef>`
    select ref.type, ref.id from jsonb_to_recordset(${json(refs)}::jsonb) as ref(type text, id text)
    where exists (select from entity_parents p
      where p.tenant_id = ${tenant} and p.parent_type = ref.type and p.parent_id = ref.id)`.execute(db)
  return rows
}

/** The edges among entities and all that they descend from, at any distance. */
export async function edgesToAncestors(
  db: Kysely<Database>,
  tenant: string,
  refs: readonly EntityRef[],
): Promise<ParentEdge[]> {
  const { rows } = await sql<{ type: string; id: string; parent_type: string; parent_id: string }>`
    with recursive above(type, id) as (
      select type collate "C", id collate "C" from jsonb_to_recordset(${json(refs)}::jsonb) as ref(type text, id text)
      union
      select p.parent_type, p.parent_id from entity_parents p
      join above a on p.tenant_id = ${tenant} and p.type = a.type and p.id = a.id
    )
    select p.type, p.id, p.parent_type, p.parent_id from entity_parents p
    join above a on p.tenant_id = ${tenant} and p.type = a.type and p.id = a.id`.execute(db)
  return rows.map((row) => ({
    child: { type: row.type, id: row.id },
    parent: { type: row.parent_type, id: row.parent_id },
  }))
}

async function replaceParents(
  trx: Transaction<Database>,
  tenant: string,
  entities: readonly Required<Entity>[],
): Promise<void> {
  const refs = entities.map(({ type, id }) => ({ type, id }))
  await sql`
    delete from entity_parents p
    using jsonb_to_recordset(${json(refs)}::jsonb) as ref(type text, id text)
    where p.tenant_id = ${tenant} and p.type = ref.type and p.id = ref.id`.execute(trx)
  const edges = entities.flatMap(({ type, id, parents }) =>
    parents.map((parent, ordinal) => ({ type, id, ordinal, parent_type: parent.type, parent_id: parent.id })),
  )
  if (edges.length === 0) return
  await sql`
    insert into entity_parents (tenant_id, type, id, ordinal, parent_type, parent_id)
    select ${tenant}, type, id, ordinal, parent_type, parent_id
    from jsonb_to_recordset(${json(edges)}::jsonb)
      as row(type text, id text, ordinal int, parent_type text, parent_id text)`.execute(trx)
}

function stored({ type, id, properties, parents, disabled, ...rest }: EntityRow): Stored<Required<Entity>> {
  const { version, created_at, updated_at } = rest
  return { document: { type, id, properties, parents, disabled }, version, created_at, updated_at }
}

// All rows travel as one JSON parameter: a statement carries at most 65,535 parameters.
function json(rows: readonly unknown[]): string {
  return JSON.stringify(rows)
}
