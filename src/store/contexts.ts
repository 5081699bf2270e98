import { type Kysely, sql } from 'kysely'
import Type from 'typebox'
import type { ContextClaims } from '../authn/context/tokens.ts'
import type { StoredContext } from '../contract/contexts.ts'
import { ContextId } from '../policy/context/model.ts'
import type { EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { tellRevoked } from './hints.ts'
import type { Database } from './schema.ts'

/** What is kept of a context beside what is asked of it by SQL. */
export interface StoredBody {
  readonly level: string | null
  readonly quotas: ContextClaims['quotas']
  readonly capabilities: ContextClaims['capabilities']
  readonly audience: readonly string[]
}

/** Keeps what was signed. Some of the tenant's contexts that ended over an hour ago are forgotten by the way. */
export async function insertContext(db: Kysely<Database>, claims: ContextClaims, by: EntityRef): Promise<void> {
  const { jti, tenant, subject, parents, level = null, quotas, capabilities, aud, iat, exp } = claims
  const body: StoredBody = { level, quotas, capabilities, audience: aud }
  const created_by: EntityRef = { type: by.type, id: by.id }
  await sql`
    with forgotten as (
      delete from contexts where tenant_id = ${tenant} and id in (
        select id from contexts where tenant_id = ${tenant} and expires_at < now() - interval '1 hour' limit 100)
    )
    insert into contexts (tenant_id, id, parents, subject_type, subject_id, body, created_by, created_at, expires_at)
    values (${tenant}, ${jti}::uuid, ${parents}::uuid[], ${subject.type}, ${subject.id}, ${JSON.stringify(body)}::jsonb,
            ${JSON.stringify(created_by)}::jsonb, to_timestamp(${iat}), to_timestamp(${exp}))`.execute(db)
}

// A context is known as revoked for longer than it, and whatever was narrowed from it, would live.
const KNOWN_FOR_S = 60

/** @returns whose it was, with whether it was revoked just now; undefined: there is none. */
export async function revokeContext(
  db: Kysely<Database>,
  tenant: string,
  id: string,
): Promise<{ readonly subject: EntityRef; readonly isNew: boolean } | undefined> {
  const { rows } = await sql<{ subject_type: string; subject_id: string; is_new: boolean }>`
    with found as (
      select id, subject_type, subject_id from contexts where tenant_id = ${tenant} and id = ${id}::uuid
    ), ended as (
      update contexts set revoked_at = now() where tenant_id = ${tenant} and id = ${id}::uuid and revoked_at is null
      returning id, expires_at
    ), noted as (
      insert into revoked_tokens (id, expires_at)
      select id, expires_at + make_interval(secs => ${KNOWN_FOR_S}) from ended on conflict do nothing
    )
    select subject_type, subject_id, exists (select from ended) as is_new, ${tellRevoked} from found`.execute(db)
  const [row] = rows
  return row && { subject: { type: row.subject_type, id: row.subject_id }, isNew: row.is_new }
}

/** Ends all contexts of subjects. @returns how many there were. */
export async function revokeContextsOf(
  db: Kysely<Database>,
  tenant: string,
  ...subjects: readonly EntityRef[]
): Promise<number> {
  const refs = JSON.stringify(subjects.map(({ type, id }) => ({ type, id })))
  const { rows } = await sql`
    with ended as (
      update contexts c set revoked_at = now()
      from jsonb_to_recordset(${refs}::jsonb) as ref(type text, id text)
      where c.tenant_id = ${tenant} and c.subject_type = ref.type and c.subject_id = ref.id and c.revoked_at is null
        and c.expires_at > now()
      returning c.id, c.expires_at
    ), noted as (
      insert into revoked_tokens (id, expires_at)
      select id, expires_at + make_interval(secs => ${KNOWN_FOR_S}) from ended on conflict do nothing
    )
    select id, ${tellRevoked} from ended`.execute(db)
  return rows.length
}

interface Row {
  readonly id: string
  readonly parents: readonly string[]
  readonly subject_type: string
  readonly subject_id: string
  readonly body: StoredBody
  readonly created_by: EntityRef
  readonly created_at: Date
  readonly expires_at: Date
  readonly revoked_at: Date | null
}

const columns = sql`
  c.id, c.parents::text[] as parents, c.subject_type, c.subject_id, c.body, c.created_by, c.created_at, c.expires_at,
  least(c.revoked_at, (
    select min(p.revoked_at) from contexts p where p.tenant_id = c.tenant_id and p.id = any(c.parents))) as revoked_at`

export async function getContext(db: Kysely<Database>, tenant: string, id: string): Promise<StoredContext | undefined> {
  const { rows } = await sql<Row>`
    select ${columns} from contexts c where c.tenant_id = ${tenant} and c.id = ${id}::uuid`.execute(db)
  return rows.map(shown)[0]
}

export interface ContextFilter {
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
}

/** The newest first: an id begins with the time at which it was made. */
export async function listContexts(
  db: Kysely<Database>,
  tenant: string,
  { subject_type = undefined, subject_id = undefined }: ContextFilter,
  page: Page,
): Promise<Listed<StoredContext>> {
  const [after] = decodeCursor(page.cursor, Type.Tuple([ContextId])) ?? [null]
  const { rows } = await sql<Row>`
    select ${columns} from contexts c
    where c.tenant_id = ${tenant}
      and (${subject_type ?? null}::text is null or c.subject_type = ${subject_type ?? null})
      and (${subject_id ?? null}::text is null or c.subject_id = ${subject_id ?? null})
      and (${after}::text is null or c.id < ${after}::uuid)
    order by c.id desc limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, ({ id }) => [id], shown)
}

function shown({ id, parents, subject_type, subject_id, body, created_by, ...times }: Row): StoredContext {
  const { created_at, expires_at, revoked_at } = times
  const { level, quotas, capabilities, audience } = body
  return {
    id,
    subject: { type: subject_type, id: subject_id },
    level,
    quotas,
    capabilities,
    parents: [...parents],
    audience: [...audience],
    issued_at: created_at.toISOString(),
    expires_at: expires_at.toISOString(),
    created_by,
    revoked_at: revoked_at?.toISOString() ?? null,
  }
}
