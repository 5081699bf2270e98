import { type Kysely, sql } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { Database } from './schema.ts'

/** A subject and a built-in role that it has: by assignment, or by an API key with roles that acts as it. */
export interface Holding {
  readonly type: string
  readonly id: string
  readonly role: string
}

// A list of subjects travels as JSON in parts, each well within a statement's time.
const SUBJECTS_PER_STATEMENT = 5_000

/** What the subjects hold. Expired or not yet valid counts too: it still marks whom it was given to. */
export async function holdingsOf(
  db: Kysely<Database>,
  tenant: string,
  subjects: readonly EntityRef[],
): Promise<readonly Holding[]> {
  const found: Holding[] = []
  for (let from = 0; from < subjects.length; from += SUBJECTS_PER_STATEMENT) {
    const part = JSON.stringify(subjects.slice(from, from + SUBJECTS_PER_STATEMENT))
    const { rows } = await sql<Holding>`
      with ref as (select distinct type, id from jsonb_to_recordset(${part}::jsonb) as row(type text, id text))
      select r.type, r.id, a.role from ref r
      join assignments a on a.tenant_id = ${tenant} and a.subject_type = r.type and a.subject_id = r.id
      where a.role like 'pdp:%'
      union
      select r.type, r.id, unnest(k.roles) from ref r
      join api_keys k on k.tenant_id = ${tenant} and k.subject_type = r.type and k.subject_id = r.id
      where k.roles is not null`.execute(db)
    found.push(...rows)
  }
  return found
}

/** By how many assignments and keys a built-in role is held at an instant. What a disabled subject holds is not. */
export async function countHolders(db: Kysely<Database>, tenant: string, role: string, at: Date): Promise<number> {
  const enabled = sql`not exists (
    select from entities e where e.tenant_id = ${tenant} and e.type = subject_type and e.id = subject_id and e.disabled)`
  const { rows } = await sql<{ count: number }>`
    select
      (select count(*) from assignments
       where tenant_id = ${tenant} and role = ${role} and ${enabled}
         and (valid_from is null or valid_from <= ${at}::timestamptz)
         and (valid_until is null or valid_until > ${at}::timestamptz))
      + (select count(*) from api_keys
         where tenant_id = ${tenant} and ${role} = any(roles) and ${enabled}
           and (expires_at is null or expires_at > ${at}::timestamptz)) as count`.execute(db)
  return rows[0]?.count ?? 0
}
