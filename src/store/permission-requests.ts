import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { GivenPermissionRequest, RequestState } from '../policy/permission-request.ts'
import { IdCursor, NIL } from './capabilities.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Stamp, Stored } from './documents.ts'
import type { Database } from './schema.ts'

export interface StoredRequest extends Stored<GivenPermissionRequest> {
  /** Who else could have asked by the credential that was used. */
  readonly controllers: readonly EntityRef[]
}

/** Who would decide, and who must not have asked, nor be asked for. */
export interface Decider {
  readonly self: EntityRef
  readonly groups: readonly EntityRef[]
  readonly controllers: readonly EntityRef[]
}

export interface RequestFilter {
  readonly state?: RequestState | undefined
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
  /** Only those that this one asked, or that are for it. */
  readonly of?: EntityRef | undefined
  /** Only those that this one may decide. */
  readonly waitingFor?: Decider | undefined
}

const members = sql`r.body as document, r.version, r.created_at, r.updated_at, r.controllers`

export async function getRequest(db: Kysely<Database>, tenant: string, id: string): Promise<StoredRequest | undefined> {
  const { rows } = await sql<StoredRequest>`
    select ${members} from permission_requests r where r.tenant_id = ${tenant} and r.id = ${id}::uuid`.execute(db)
  return rows[0]
}

/** Oldest first: an id is a UUIDv7. */
export async function listRequests(
  db: Kysely<Database>,
  tenant: string,
  filter: RequestFilter,
  page: Page,
  at: Date,
): Promise<Listed<StoredRequest>> {
  const after = decodeCursor(page.cursor, IdCursor)?.[0] ?? NIL
  const conditions = [sql`r.tenant_id = ${tenant}`, sql`r.id > ${after}::uuid`, ...asked(filter, at)]
  const { rows } = await sql<StoredRequest>`
    select ${members} from permission_requests r where ${sql.join(conditions, sql` and `)}
    order by r.id limit ${page.limit + 1}`.execute(db)
  return paged(
    rows,
    page.limit,
    (row) => [row.document.id],
    (row) => row,
  )
}

function asked({ state, subject_type, subject_id, of, waitingFor }: RequestFilter, at: Date): RawBuilder<unknown>[] {
  const conditions: RawBuilder<unknown>[] = []
  if (state !== undefined) conditions.push(isIn(state, at))
  if (subject_type !== undefined) conditions.push(sql`r.subject_type = ${subject_type}`)
  if (subject_id !== undefined) conditions.push(sql`r.subject_id = ${subject_id}`)
  if (of !== undefined) {
    conditions.push(sql`((r.asker_type = ${of.type} and r.asker_id = ${of.id})
      or (r.subject_type = ${of.type} and r.subject_id = ${of.id}))`)
  }
  if (waitingFor !== undefined) {
    const { self, groups, controllers } = waitingFor
    conditions.push(
      isIn('pending', at),
      sql`not ${isAmong('asker', [self, ...controllers])}`,
      sql`not ${isAmong('subject', [self, ...groups])}`,
      sql`not r.controllers @> ${JSON.stringify([self])}::jsonb`,
    )
  }
  return conditions
}

function isIn(state: RequestState, at: Date): RawBuilder<unknown> {
  if (state === 'pending') return sql`(r.state = 'pending' and r.lapses_at > ${at}::timestamptz)`
  if (state === 'expired') return sql`(r.state = 'pending' and r.lapses_at <= ${at}::timestamptz)`
  return sql`r.state = ${state}`
}

function isAmong(who: 'asker' | 'subject', refs: readonly EntityRef[]): RawBuilder<unknown> {
  return sql`exists (
    select from jsonb_to_recordset(${listOf(refs)}::jsonb) as ref(type text, id text)
    where ref.type = ${sql.ref(`r.${who}_type`)} and ref.id = ${sql.ref(`r.${who}_id`)})`
}

function listOf(refs: readonly EntityRef[]): string {
  return JSON.stringify(refs.map(({ type, id }) => ({ type, id })))
}

/** How many that somebody asked are still waiting. */
export async function countPending(db: Kysely<Database>, tenant: string, asker: EntityRef, at: Date): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from permission_requests r
    where r.tenant_id = ${tenant} and r.asker_type = ${asker.type} and r.asker_id = ${asker.id}
      and ${isIn('pending', at)}`.execute(db)
  return rows[0]?.count ?? 0
}

export async function insertRequest(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  document: GivenPermissionRequest,
  controllers: readonly EntityRef[],
): Promise<void> {
  const { id, asked_by, subject, state, lapses_at } = document
  await sql`
    insert into permission_requests (tenant_id, id, asker_type, asker_id, subject_type, subject_id, state, lapses_at,
                                     controllers, body, version, created_at, updated_at)
    values (${tenant}, ${id}::uuid, ${asked_by.type}, ${asked_by.id}, ${subject.type}, ${subject.id}, ${state},
            ${lapses_at}::timestamptz, ${listOf(controllers)}::jsonb, ${JSON.stringify(document)}::jsonb, ${revision},
            ${at}::timestamptz, ${at}::timestamptz)`.execute(trx)
}

export async function updateRequest(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  document: GivenPermissionRequest,
): Promise<void> {
  await sql`
    update permission_requests
    set state = ${document.state}, body = ${JSON.stringify(document)}::jsonb, version = ${revision},
        updated_at = ${at}::timestamptz
    where tenant_id = ${tenant} and id = ${document.id}::uuid`.execute(trx)
}

/** Those that are waiting and that one of these entities asked, or that are for it. */
export async function pendingAround(
  db: Kysely<Database>,
  tenant: string,
  refs: readonly EntityRef[],
  limit: number,
  at: Date,
): Promise<GivenPermissionRequest[]> {
  const { rows } = await sql<{ document: GivenPermissionRequest }>`
    select r.body as document from permission_requests r
    where r.tenant_id = ${tenant} and ${isIn('pending', at)}
      and (${isAmong('asker', refs)} or ${isAmong('subject', refs)})
    order by r.id limit ${limit}`.execute(db)
  return rows.map(({ document }) => document)
}

/** By what somebody calls, as far as others may have had a hand in it. */
export interface UsedCredential {
  readonly subject: EntityRef
  readonly key_id: string | null
  readonly session_id: string | null
  readonly issuer: string | null
}

/**
 * Who else could call by this credential: who made the key; of a session, who last set the password or the second factor,
 * and who last wrote the registration of its issuer. By what the log says of it.
 */
export async function controllersOf(
  db: Kysely<Database>,
  tenant: string,
  { subject, key_id, session_id, issuer }: UsedCredential,
): Promise<EntityRef[]> {
  const found: EntityRef[] = []
  if (key_id !== null) found.push(...(await lastWriters(db, tenant, 'api_key', { id: key_id }, 'create')))
  if (issuer !== null) found.push(...(await lastWriters(db, tenant, 'issuer', { name: issuer })))
  if (session_id !== null) {
    for (const credential of ['password', 'totp']) {
      const key = { type: subject.type, id: subject.id, credential }
      found.push(...(await lastWriters(db, tenant, 'credential', key)))
    }
  }
  return found.filter(({ type, id }) => type !== subject.type || id !== subject.id)
}

async function lastWriters(
  db: Kysely<Database>,
  tenant: string,
  kind: 'api_key' | 'credential' | 'issuer',
  key: object,
  operation?: 'create',
): Promise<EntityRef[]> {
  const { rows } = await sql<{ actor: EntityRef }>`
    select actor from policy_changes
    where tenant_id = ${tenant} and kind = ${sql.lit(kind)} and key = ${JSON.stringify(key)}::jsonb
      and ${operation === undefined ? sql`operation <> 'delete'` : sql`operation = ${operation}`}
    order by revision desc limit 1`.execute(db)
  return rows.map(({ actor }) => ({ type: actor.type, id: actor.id }))
}

/** All that the entity is in. */
export async function groupsOf(db: Kysely<Database>, tenant: string, { type, id }: EntityRef): Promise<EntityRef[]> {
  const { rows } = await sql<EntityRef>`
    with recursive above (type, id) as (
      select parent_type, parent_id from entity_parents
      where tenant_id = ${tenant} and type = ${type} and id = ${id}
      union
      select p.parent_type, p.parent_id from above
      join entity_parents p on p.tenant_id = ${tenant} and p.type = above.type and p.id = above.id
    )
    select type, id from above`.execute(db)
  return rows
}
