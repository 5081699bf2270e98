import { type Kysely, sql, type Transaction } from 'kysely'
import type { Role } from '../policy/model.ts'
import { type DocumentTable, documentTable } from './documents.ts'
import { referencesOfRole, replaceReferences } from './references.ts'
import type { Database } from './schema.ts'

const table = documentTable<Role>('roles')

export const roles: DocumentTable<Role> = {
  ...table,
  async put(trx, stamp, documents) {
    await table.put(trx, stamp, documents)
    const names = documents.map((role) => role.name)
    await replaceEdges(trx, stamp.tenant, names, documents.flatMap(edgesOfRole))
    await replaceReferences(trx, stamp.tenant, 'role', names, documents.flatMap(referencesOfRole))
  },
  async remove(trx: Transaction<Database>, tenant: string, names: readonly string[]) {
    await table.remove(trx, tenant, names)
    await replaceReferences(trx, tenant, 'role', names, [])
  },
}

/** `role` builds on `base`: it inherits from it, or is derived from it. */
export interface RoleEdge {
  readonly role: string
  readonly base: string
}

export function basesOfRole(role: Role): string[] {
  return [...new Set([...(role.inherits ?? []), ...(role.derived?.from ?? [])])]
}

/** The edges among a role and all that it builds on, at any distance. */
export async function edgesAbove(db: Kysely<Database>, tenant: string, names: readonly string[]): Promise<RoleEdge[]> {
  const { rows } = await sql<RoleEdge>`
    with recursive above(name) as (
      select unnest(${names}::text[]) collate "C"
      union
      select e.base from role_edges e join above a on e.tenant_id = ${tenant} and e.role = a.name
    )
    select e.role, e.base from role_edges e join above a on e.tenant_id = ${tenant} and e.role = a.name`.execute(db)
  return rows
}

/** Roles that build on a role directly, at most `limit`. */
export async function rolesOnBase(
  db: Kysely<Database>,
  tenant: string,
  base: string,
  limit: number,
): Promise<readonly string[]> {
  const { rows } = await sql<{ role: string }>`
    select role from role_edges where tenant_id = ${tenant} and base = ${base} order by role limit ${limit}`.execute(db)
  return rows.map((row) => row.role)
}

function edgesOfRole(role: Role): RoleEdge[] {
  return basesOfRole(role).map((base) => ({ role: role.name, base }))
}

async function replaceEdges(
  trx: Transaction<Database>,
  tenant: string,
  names: readonly string[],
  edges: readonly RoleEdge[],
): Promise<void> {
  await sql`delete from role_edges where tenant_id = ${tenant} and role = any(${names})`.execute(trx)
  if (edges.length === 0) return
  await sql`
    insert into role_edges (tenant_id, role, base)
    select ${tenant}, role, base
    from jsonb_to_recordset(${JSON.stringify(edges)}::jsonb) as row(role text, base text)`.execute(trx)
}
