import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import type { GivenCapability } from '../policy/capability.ts'
import type { EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Stamp } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredCapability {
  readonly id: string
  /** What is stored: by a hand, it may be anything. */
  readonly document: GivenCapability
  readonly version: number
  readonly granted_at: Date
  readonly updated_at: Date
  readonly revoked_at: Date | null
  readonly revoked_by: EntityRef | null
  readonly subject: EntityRef
  readonly granted_by: EntityRef
  /** The first of those that were granted out of one another, up to this one, and how many came before it. */
  readonly root: string
  readonly depth: number
}

export interface CapabilityFilter {
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
  readonly granted_by_type?: string | undefined
  readonly granted_by_id?: string | undefined
  /** Whether they have not ended; undefined: both. */
  readonly active?: boolean | undefined
  /** Only those that this one holds directly, or has granted. */
  readonly of?: EntityRef | undefined
}

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
export const IdCursor = Type.Tuple([Type.String({ pattern: UUID })])
export const NIL = '00000000-0000-0000-0000-000000000000'

/** How long what has ended can still be read, and is kept: the log and the audit have it for good. */
const KEPT_DAYS = 30
const isKept = (at: Date) => sql`c.ended_at > ${at}::timestamptz - make_interval(days => ${KEPT_DAYS}::int)`

const members = sql`
  c.id, c.body as document, c.version, c.granted_at, c.updated_at, c.revoked_at, c.revoked_by, c.root_id as root, c.depth,
  jsonb_build_object('type', c.subject_type, 'id', c.subject_id) as subject,
  jsonb_build_object('type', c.granter_type, 'id', c.granter_id) as granted_by`

export async function getCapability(
  db: Kysely<Database>,
  tenant: string,
  id: string,
  at: Date,
): Promise<StoredCapability | undefined> {
  const { rows } = await sql<StoredCapability>`
    select ${members} from capabilities c
    where c.tenant_id = ${tenant} and c.id = ${id}::uuid and ${isKept(at)}`.execute(db)
  return rows[0]
}

/** Oldest first: an id is a UUIDv7. */
export async function listCapabilities(
  db: Kysely<Database>,
  tenant: string,
  filter: CapabilityFilter,
  page: Page,
  at: Date,
): Promise<Listed<StoredCapability>> {
  const after = decodeCursor(page.cursor, IdCursor)?.[0] ?? NIL
  const conditions = [sql`c.tenant_id = ${tenant}`, sql`c.id > ${after}::uuid`, isKept(at), ...asked(filter, at)]
  const { rows } = await sql<StoredCapability>`
    select ${members} from capabilities c where ${sql.join(conditions, sql` and `)}
    order by c.id limit ${page.limit + 1}`.execute(db)
  return paged(
    rows,
    page.limit,
    (row) => [row.id],
    (row) => row,
  )
}

function asked(filter: CapabilityFilter, at: Date): RawBuilder<unknown>[] {
  const { subject_type, subject_id, granted_by_type, granted_by_id, active, of } = filter
  const conditions: RawBuilder<unknown>[] = []
  if (subject_type !== undefined) conditions.push(sql`c.subject_type = ${subject_type}`)
  if (subject_id !== undefined) conditions.push(sql`c.subject_id = ${subject_id}`)
  if (granted_by_type !== undefined) conditions.push(sql`c.granter_type = ${granted_by_type}`)
  if (granted_by_id !== undefined) conditions.push(sql`c.granter_id = ${granted_by_id}`)
  if (active === true) conditions.push(sql`c.ended_at > ${at}::timestamptz`)
  if (active === false) conditions.push(sql`c.ended_at <= ${at}::timestamptz`)
  if (of !== undefined) {
    conditions.push(sql`((c.subject_type = ${of.type} and c.subject_id = ${of.id})
      or (c.granter_type = ${of.type} and c.granter_id = ${of.id}))`)
  }
  return conditions
}

export async function insertCapability(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  document: GivenCapability,
  { root, depth }: { readonly root: string; readonly depth: number },
): Promise<void> {
  const { id, subject, granted_by, from, expires_at } = document
  await sql`
    insert into capabilities (tenant_id, id, subject_type, subject_id, granter_type, granter_id, from_id, root_id, depth,
                              expires_at, body, version, granted_at, updated_at)
    values (${tenant}, ${id}::uuid, ${subject.type}, ${subject.id}, ${granted_by.type}, ${granted_by.id},
            ${from}::uuid, ${root}::uuid, ${depth}, ${expires_at}::timestamptz, ${JSON.stringify(document)}::jsonb,
            ${revision}, ${at}::timestamptz, ${at}::timestamptz)`.execute(trx)
  await sql`
    insert into capability_references (tenant_id, capability, kind, type, id)
    select ${tenant}, ${id}::uuid, kind, type, id
    from jsonb_to_recordset(${JSON.stringify(namedBy(document))}::jsonb) as row(kind text, type text, id text)
    on conflict do nothing`.execute(trx)
}

function namedBy({ subject, resources }: GivenCapability) {
  const { type, id } = subject
  const places = resources.flatMap(({ type, within }) => [
    { kind: 'resource', type, id: '' },
    ...(within === undefined ? [] : [{ kind: 'within', type: within.type, id: within.id }]),
  ])
  return [{ kind: 'subject', type, id }, ...places]
}

/** How many that have not ended began with this one, itself included. */
export async function countOfRoot(db: Kysely<Database>, tenant: string, root: string, at: Date): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from capabilities c
    where c.tenant_id = ${tenant} and c.root_id = ${root}::uuid and c.ended_at > ${at}::timestamptz`.execute(db)
  return rows[0]?.count ?? 0
}

/** Revokes them with all that was granted out of them; answers what was not revoked before. */
export async function revokeCapabilities(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  ids: readonly string[],
  by: EntityRef,
): Promise<GivenCapability[]> {
  // `union` (without all) ends where a cycle closes, which only a hand can have made.
  const { rows } = await sql<{ document: GivenCapability }>`
    with recursive lost (id) as (
      select id from capabilities where tenant_id = ${tenant} and id = any(${ids}::uuid[])
      union
      select c.id from lost join capabilities c on c.tenant_id = ${tenant} and c.from_id = lost.id
    ), revoked as (
      update capabilities c
      set revoked_at = ${at}::timestamptz, revoked_by = ${JSON.stringify(by)}::jsonb, version = ${revision},
          updated_at = ${at}::timestamptz
      from lost where c.tenant_id = ${tenant} and c.id = lost.id and c.revoked_at is null
      returning c.id, c.body as document
    ), unnamed as (
      delete from capability_references r using revoked where r.tenant_id = ${tenant} and r.capability = revoked.id
    )
    select document from revoked order by id`.execute(trx)
  return rows.map(({ document }) => document)
}

/** Those that have not ended and are about the entity: given to it, or for what is within it. */
export async function capabilitiesAround(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  limit: number,
  at: Date,
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select distinct c.id from capability_references r
    join capabilities c on c.tenant_id = ${tenant} and c.id = r.capability
    where r.tenant_id = ${tenant} and r.type = ${type} and r.id = ${id} and r.kind in ('subject', 'within')
      and c.revoked_at is null and c.ended_at > ${at}::timestamptz
    order by c.id limit ${limit}`.execute(db)
  return rows.map((row) => row.id)
}

/** Capabilities that have not ended and name one of these types: of their subject, of what they are about. */
export async function capabilitiesOfTypes(
  db: Kysely<Database>,
  tenant: string,
  types: readonly string[],
  limit: number,
): Promise<{ target: string; user: string }[]> {
  const { rows } = await sql<{ target: string; user: string }>`
    select distinct r.type as target, c.id::text as user from capability_references r
    join capabilities c on c.tenant_id = ${tenant} and c.id = r.capability
    where r.tenant_id = ${tenant} and r.type = any(${types}) and c.ended_at > now()
    order by 1, 2 limit ${limit}`.execute(db)
  return rows
}

/** Capabilities that have not ended of one of these entities, or for what is within one. */
export async function capabilitiesOfAny(
  db: Kysely<Database>,
  tenant: string,
  entities: readonly EntityRef[],
  limit: number,
): Promise<{ target: EntityRef; user: string }[]> {
  const refs = JSON.stringify(entities.map(({ type, id }) => ({ type, id })))
  const { rows } = await sql<EntityRef & { user: string }>`
    select distinct r.type, r.id, c.id::text as user
    from jsonb_to_recordset(${refs}::jsonb) as ref(type text, id text)
    join capability_references r on r.tenant_id = ${tenant} and r.type = ref.type and r.id = ref.id
      and r.kind in ('subject', 'within')
    join capabilities c on c.tenant_id = ${tenant} and c.id = r.capability
    where c.ended_at > now() order by 1, 2, 3 limit ${limit}`.execute(db)
  return rows.map(({ type, id, user }) => ({ target: { type, id }, user }))
}

/** Takes away what ended so long ago that nobody can read it any more; answers what of it had only expired. */
export async function sweepCapabilities(
  trx: Transaction<Database>,
  { tenant, at }: Stamp,
  limit: number,
): Promise<GivenCapability[]> {
  const { rows } = await sql<{ document: GivenCapability; revoked_at: Date | null }>`
    delete from capabilities c
    where c.tenant_id = ${tenant} and c.id in (
      select c.id from capabilities c
      where c.tenant_id = ${tenant} and not (${isKept(at)}) order by c.ended_at limit ${limit})
    returning c.body as document, c.revoked_at`.execute(trx)
  return rows.filter(({ revoked_at }) => revoked_at === null).map(({ document }) => document)
}
