import { type Kysely, sql } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { Database } from './schema.ts'

/** By what somebody calls. */
export interface Credential {
  readonly tenant: string
  readonly subject: EntityRef
  readonly key_id: string | null
  readonly session_id: string | null
  /** The name of the trusted issuer by whose word it is who it is. */
  readonly issuer: string | null
}

/** What is left of a credential. */
export interface Standing {
  /** Its key, its session and its issuer are there, and its subject is not disabled. */
  readonly stands: boolean
  /** The key's own; null: it has none, or there is no key. */
  readonly key_roles: readonly string[] | null
  /** Built-in roles that are assigned to its subject, and valid. */
  readonly assigned: readonly string[]
  /** What the issuer's tokens may give. */
  readonly allowed: readonly string[]
}

/** As the database has it now, whatever memory knows. */
export async function standingOf(db: Kysely<Database>, credential: Credential, at: Date): Promise<Standing> {
  const { tenant, subject, key_id, session_id, issuer } = credential
  const key = sql`from api_keys where tenant_id = ${tenant} and id = ${key_id} and (expires_at is null or expires_at > ${at}::timestamptz)`
  const { rows } = await sql<Standing>`
    select
      (${key_id}::text is null or exists (select 1 ${key}))
        and (${session_id}::uuid is null or exists (
          select 1 from sessions where tenant_id = ${tenant} and id = ${session_id}::uuid and revoked_at is null))
        and (${issuer}::text is null or exists (select 1 from issuers where tenant_id = ${tenant} and name = ${issuer}))
        and not exists (
          select 1 from entities
          where tenant_id = ${tenant} and type = ${subject.type} and id = ${subject.id} and disabled) as stands,
      (select roles ${key}) as key_roles,
      array(
        select role from assignments
        where tenant_id = ${tenant} and subject_type = ${subject.type} and subject_id = ${subject.id}
          and role like 'pdp:%' and (valid_from is null or valid_from <= ${at}::timestamptz)
          and (valid_until is null or valid_until > ${at}::timestamptz)) as assigned,
      coalesce((
        select array(select jsonb_array_elements_text(body -> 'allowed_roles'))
        from issuers
        where tenant_id = ${tenant} and name = ${issuer} and jsonb_typeof(body -> 'allowed_roles') = 'array'), '{}') as allowed`.execute(
    db,
  )
  const [found] = rows
  if (found === undefined) throw new Error('the database says nothing about a credential')
  return found
}
