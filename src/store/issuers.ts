import { type Kysely, sql } from 'kysely'
import type { Issuer } from '../policy/issuer.ts'
import type { Use } from './bundle.ts'
import { documentTable } from './documents.ts'
import type { Database } from './schema.ts'

export const issuers = documentTable<Issuer>('issuers', ['issuer'])

/** The registration that `iss` names, by its name. */
export async function nameOfIssuer(db: Kysely<Database>, tenant: string, issuer: string): Promise<string | undefined> {
  const { rows } = await sql<{ name: string }>`
    select name from issuers where tenant_id = ${tenant} and issuer = ${issuer}`.execute(db)
  return rows[0]?.name
}

/** Issuers whose tokens may give one of these roles, at most `limit`. */
export async function issuersAllowing(
  db: Kysely<Database>,
  tenant: string,
  roles: readonly string[],
  limit: number,
): Promise<readonly Use[]> {
  const { rows } = await sql<Use>`
    select role as target, name as user from issuers,
      jsonb_array_elements_text(
        case jsonb_typeof(body->'allowed_roles') when 'array' then body->'allowed_roles' else '[]' end) role
    where tenant_id = ${tenant} and role = any(${roles}) order by name, role limit ${limit}`.execute(db)
  return rows
}
