import { type Kysely, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import type { GivenAssignment } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Stamp } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredAssignment {
  readonly document: GivenAssignment
  readonly created_at: Date
}

export interface AssignmentFilter {
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
  readonly role?: string | undefined
  /** Only those of built-in roles. */
  readonly built_in?: boolean
}

export interface AssignmentRow {
  readonly id: string
  readonly subject_type: string
  readonly subject_id: string
  readonly role: string
  readonly within_type: string | null
  readonly within_id: string | null
  readonly valid_from: Date | null
  readonly valid_until: Date | null
  readonly granted_by: EntityRef
  readonly reason: string | null
  readonly created_at: Date
}

export const assignmentMembers = sql`
  a.id, a.subject_type, a.subject_id, a.role, a.within_type, a.within_id, a.valid_from, a.valid_until, a.granted_by,
  a.reason, a.created_at`

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
const AssignmentCursor = Type.Tuple([Type.String({ pattern: UUID })])
const NIL = '00000000-0000-0000-0000-000000000000'

export async function getAssignment(
  db: Kysely<Database>,
  tenant: string,
  id: string,
): Promise<StoredAssignment | undefined> {
  const query = sql<AssignmentRow>`select ${assignmentMembers} from assignments a where tenant_id = ${tenant} and id = ${id}::uuid`
  return (await query.execute(db)).rows.map(storedAssignment)[0]
}

/** Oldest first: an id is a UUIDv7. */
export async function listAssignments(
  db: Kysely<Database>,
  tenant: string,
  filter: AssignmentFilter,
  page: Page,
): Promise<Listed<StoredAssignment>> {
  const after = decodeCursor(page.cursor, AssignmentCursor)?.[0] ?? NIL
  const conditions = [sql`tenant_id = ${tenant}`, sql`id > ${after}::uuid`]
  if (filter.subject_type !== undefined) conditions.push(sql`subject_type = ${filter.subject_type}`)
  if (filter.subject_id !== undefined) conditions.push(sql`subject_id = ${filter.subject_id}`)
  if (filter.role !== undefined) conditions.push(sql`role = ${filter.role}`)
  if (filter.built_in === true) conditions.push(sql`starts_with(role, 'pdp:')`)
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a where ${sql.join(conditions, sql` and `)}
    order by id limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, (row) => [row.id], storedAssignment)
}

/** The first assignments of the entity, or scoped within it. */
export async function assignmentsAround(
  db: Kysely<Database>,
  tenant: string,
  { type, id }: EntityRef,
  limit: number,
): Promise<StoredAssignment[]> {
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a
    where tenant_id = ${tenant} and ((subject_type = ${type} and subject_id = ${id})
      or (within_type = ${type} and within_id = ${id}))
    order by id limit ${limit}`.execute(db)
  return rows.map(storedAssignment)
}

/** The assignment that gives the same: to the same subject, the same role, within the same, for the same time. */
export async function sameAssignment(
  db: Kysely<Database>,
  tenant: string,
  { subject, role, within, valid_from, valid_until }: Omit<GivenAssignment, 'id' | 'granted_by'>,
): Promise<StoredAssignment | undefined> {
  const { rows } = await sql<AssignmentRow>`
    select ${assignmentMembers} from assignments a
    where tenant_id = ${tenant} and subject_type = ${subject.type} and subject_id = ${subject.id} and role = ${role}
      and within_type is not distinct from ${within?.type ?? null}
      and within_id is not distinct from ${within?.id ?? null}
      and valid_from is not distinct from ${valid_from ?? null}::timestamptz
      and valid_until is not distinct from ${valid_until ?? null}::timestamptz
    order by id limit 1`.execute(db)
  return rows.map(storedAssignment)[0]
}

/** Subjects that the role is given to, at most `limit`. */
export async function subjectsOfRole(
  db: Kysely<Database>,
  tenant: string,
  role: string,
  limit: number,
): Promise<readonly EntityRef[]> {
  const { rows } = await sql<EntityRef>`
    select distinct subject_type as type, subject_id as id from assignments
    where tenant_id = ${tenant} and role = ${role} order by 1, 2 limit ${limit}`.execute(db)
  return rows
}

export async function insertAssignments(
  trx: Transaction<Database>,
  { tenant, at }: Stamp,
  assignments: readonly GivenAssignment[],
  fromBundle = false,
): Promise<void> {
  const rows = assignments.map(({ subject, within, ...rest }) => ({
    ...rest,
    subject_type: subject.type,
    subject_id: subject.id,
    within_type: within?.type,
    within_id: within?.id,
  }))
  await sql`
    insert into assignments (tenant_id, id, subject_type, subject_id, role, within_type, within_id, valid_from,
                             valid_until, granted_by, reason, from_bundle, created_at)
    select ${tenant}, id, subject_type, subject_id, role, within_type, within_id, valid_from,
           valid_until, granted_by, reason, ${fromBundle}, ${at}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as row(id uuid, subject_type text, subject_id text, role text, within_type text, within_id text,
             valid_from timestamptz, valid_until timestamptz, granted_by jsonb, reason text)`.execute(trx)
}

/** Sets why assignments were given; nothing else about one ever changes. */
export async function putReasons(
  trx: Transaction<Database>,
  tenant: string,
  assignments: readonly Pick<GivenAssignment, 'id' | 'reason'>[],
): Promise<void> {
  const rows = assignments.map(({ id, reason }) => ({ id, reason }))
  await sql`
    update assignments a set reason = row.reason
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as row(id uuid, reason text)
    where a.tenant_id = ${tenant} and a.id = row.id`.execute(trx)
}

export async function deleteAssignments(
  trx: Transaction<Database>,
  tenant: string,
  ids: readonly string[],
): Promise<void> {
  await sql`delete from assignments a where tenant_id = ${tenant} and id = any(${ids}::uuid[])`.execute(trx)
}

export function storedAssignment(row: AssignmentRow): StoredAssignment {
  const { within_type, within_id } = row
  const document = {
    id: row.id,
    subject: { type: row.subject_type, id: row.subject_id },
    role: row.role,
    ...(within_type === null || within_id === null ? {} : { within: { type: within_type, id: within_id } }),
    valid_from: row.valid_from?.toISOString() ?? null,
    valid_until: row.valid_until?.toISOString() ?? null,
    reason: row.reason,
    granted_by: row.granted_by,
  }
  return { document, created_at: row.created_at }
}
