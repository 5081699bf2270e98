import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { StoredDocument, StoredEntity } from '../snapshot/source.ts'
import { entityColumns, joinEntity } from './entity-nodes.ts'
import type { Limited } from './limited.ts'
import { ahead, PageSize } from './pages.ts'
import type { Database } from './schema.ts'

/**
 * A tenant in pages, by keyset: each a statement of its own, with a connection that goes back to the pool after it. What
 * is written meanwhile is in some pages and not in others.
 */

const FIRST_PAGE = 500
const ROWS_IN_A_PAGE = 2000
// As stored, which may be compressed. A document of more comes alone.
const BYTES_IN_A_PAGE = 1024 * 1024

const TABLES = [
  { table: 'types', kind: 'type' },
  { table: 'policies', kind: 'policy' },
  { table: 'roles', kind: 'role' },
  { table: 'rules', kind: 'rule' },
  { table: 'quotas', kind: 'quota' },
] as const

/** Settings, types, policies, roles, rules, the capabilities that have not ended, and quotas. */
export async function* readPolicy(
  db: Kysely<Database>,
  tenant: string,
  paged: Limited,
): AsyncGenerator<readonly StoredDocument[]> {
  const settings = sql<StoredDocument>`
    select 'settings' as kind, '' as name, body::text as text from settings where tenant_id = ${tenant}`
  yield (await paged(() => settings.execute(db))).rows
  for (const { table, kind } of TABLES) yield* ahead(documents(db, named(tenant, table), kind, paged))
  yield* ahead(documents(db, capabilities(tenant), 'capability', paged))
}

/** Rows of `name` and `body`, in the order of their names, after one. */
type Rows = (after: string, limit: number) => RawBuilder<unknown>

function named(tenant: string, table: string): Rows {
  return (after, limit) => sql`
    select name, body from ${sql.table(table)}
    where tenant_id = ${tenant} and name > ${after} order by name limit ${limit}`
}

// By a clock that need not be this process's: what has just expired comes along, and is of no effect.
function capabilities(tenant: string): Rows {
  return (after, limit) => sql`
    select id::text collate "C" as name, body from capabilities
    where tenant_id = ${tenant} and id > ${after === '' ? NIL : after}::uuid
      and revoked_at is null and expires_at > now() - interval '1 hour'
    order by id limit ${limit}`
}

async function* documents(
  db: Kysely<Database>,
  rowsAfter: Rows,
  kind: StoredDocument['kind'],
  paged: Limited,
): AsyncGenerator<readonly StoredDocument[]> {
  const size = new PageSize(FIRST_PAGE, ROWS_IN_A_PAGE)
  for (let last: string | null = ''; last !== null; ) {
    const after: string = last
    const page = await size.read((limit) =>
      paged(async () => {
        const { rows } = await sql<StoredDocument & { found: number }>`
          select ${kind}::text as kind, name, body::text as text, found from (
            select name, body, count(*) over () as found,
                   sum(pg_column_size(body)) over (order by name) - pg_column_size(body) as bytes_before
            from (${rowsAfter(after, limit)}) as rows
          ) as counted where bytes_before < ${BYTES_IN_A_PAGE} order by name`.execute(db)
        return { rows, isLast: isLast(rows, limit) }
      }),
    )
    yield page.rows
    last = page.isLast ? null : (page.rows.at(-1)?.name ?? null)
  }
}

/** `found`: how many rows there were for the page, before it was cut at so many bytes. */
function isLast(rows: readonly { readonly found: number }[], limit: number): boolean {
  const found = rows[0]?.found ?? 0
  return found < limit && rows.length === found
}

/** All entities, and whoever has an assignment, stored or not. */
export function readEntities(
  db: Kysely<Database>,
  tenant: string,
  paged: Limited,
): AsyncGenerator<readonly StoredEntity[]> {
  return ahead(entities(db, tenant, paged))
}

async function* entities(
  db: Kysely<Database>,
  tenant: string,
  paged: Limited,
): AsyncGenerator<readonly StoredEntity[]> {
  const size = new PageSize(FIRST_PAGE, ROWS_IN_A_PAGE)
  for (let last: EntityRef | null = { type: '', id: '' }; last !== null; ) {
    const after: EntityRef = last
    const page = await size.read((limit) =>
      paged(async () => {
        const { rows } = await entitiesAfter(db, tenant, after, limit)
        return { rows, isLast: isLast(rows, limit) }
      }),
    )
    yield page.rows
    last = page.isLast ? null : (page.rows.at(-1) ?? null)
  }
}

function entitiesAfter(db: Kysely<Database>, tenant: string, after: EntityRef, limit: number) {
  return sql<StoredEntity & { found: number }>`
    with page as (
      select type, id from (
        (select type, id from entities
          where tenant_id = ${tenant} and (type, id) > (${after.type}, ${after.id})
          order by type, id limit ${limit})
        union
        (select distinct subject_type, subject_id from assignments
          where tenant_id = ${tenant} and (subject_type, subject_id) > (${after.type}, ${after.id})
          order by subject_type, subject_id limit ${limit})
      ) as each order by type, id limit ${limit}
    )
    select ${entityColumns(tenant)}, r.found from (
      select r.type, r.id, e.id as entity, e.properties, e.disabled, count(*) over () as found,
             sum(coalesce(pg_column_size(e.properties), 0)) over (order by r.type, r.id)
               - coalesce(pg_column_size(e.properties), 0) as bytes_before
      from page r ${joinEntity(tenant)}
    ) r cross join lateral (select r.entity as id, r.properties, r.disabled) e
    where r.bytes_before < ${BYTES_IN_A_PAGE} order by r.type, r.id`.execute(db)
}

// As many rows are counted in one statement, which has a deadline.
const STRIDE = 100_000

interface Counted {
  readonly count: number
  readonly type: string | null
  readonly id: string | null
}

/** Whether there are at most `room` entities and assignments; counts hardly further than that. */
export async function fits(db: Kysely<Database>, tenant: string, room: number, paged: Limited): Promise<boolean> {
  let count = 0
  let last: EntityRef | null = { type: '', id: '' }
  while (last !== null && count <= room) {
    const after: EntityRef = last
    const page = await paged(() => countEntities(db, tenant, after))
    count += page.count
    last = page.type === null || page.id === null || page.count < STRIDE ? null : { type: page.type, id: page.id }
  }
  for (let id: string | null = NIL; id !== null && count <= room; ) {
    const after: string = id
    const page = await paged(() => countAssignments(db, tenant, after))
    count += page.count
    id = page.count < STRIDE ? null : page.id
  }
  return count <= room
}

const NIL = '00000000-0000-0000-0000-000000000000'

async function countEntities(db: Kysely<Database>, tenant: string, { type, id }: EntityRef): Promise<Counted> {
  const { rows } = await sql<Counted>`
    with page as materialized (
      select type, id from entities
      where tenant_id = ${tenant} and (type, id) > (${type}, ${id}) order by type, id limit ${STRIDE})
    select counted.count, last.type, last.id from (select count(*) as count from page) counted
    left join (select type, id from page order by type desc, id desc limit 1) last on true`.execute(db)
  return rows[0] ?? NONE
}

async function countAssignments(db: Kysely<Database>, tenant: string, after: string): Promise<Counted> {
  const { rows } = await sql<Counted>`
    with page as materialized (
      select id from assignments
      where tenant_id = ${tenant} and id > ${after}::uuid order by id limit ${STRIDE})
    select counted.count, null as type, last.id from (select count(*) as count from page) counted
    left join (select id from page order by id desc limit 1) last on true`.execute(db)
  return rows[0] ?? NONE
}

const NONE: Counted = { count: 0, type: null, id: null }
