import { type Kysely, sql } from 'kysely'
import type { EntityType } from '../policy/model.ts'
import { soundType } from '../policy/soundness.ts'
import { capabilitiesOfTypes } from './capabilities.ts'
import { documentTable } from './documents.ts'
import type { Database } from './schema.ts'

export const types = documentTable<EntityType>('types')

/** The declarations of these types, where they are declared. */
export async function declaredTypes(
  db: Kysely<Database>,
  tenant: string,
  names: Iterable<string>,
): Promise<ReadonlyMap<string, EntityType>> {
  const { rows } = await sql<{ name: string; body: EntityType }>`
    select name, body from types where tenant_id = ${tenant} and name = any(${[...new Set(names)]})`.execute(db)
  return new Map(rows.map(({ name, body }) => [name, soundType(name, body).document]))
}

/** What is kept of a type, as "entity a/1" or "an assignment of a/1", at most `limit` of each. */
export async function keptOfType(
  db: Kysely<Database>,
  tenant: string,
  type: string,
  limit: number,
): Promise<readonly string[]> {
  const { rows } = await sql<{ kept: string }>`
    (select 'entity ' || type || '/' || id as kept from entities
      where tenant_id = ${tenant} and type = ${type} order by id limit ${limit})
    union all
    (select distinct 'an assignment of ' || subject_type || '/' || subject_id from assignments
      where tenant_id = ${tenant} and subject_type = ${type} order by 1 limit ${limit})`.execute(db)
  return rows.map(({ kept }) => kept)
}

/** What names a type literally, as "rule x", "role x", "policy x", "capability x" or "quota x": about `limit` of each at most. */
export async function ownersNamingType(
  db: Kysely<Database>,
  tenant: string,
  type: string,
  limit: number,
): Promise<readonly string[]> {
  const { rows } = await sql<{ owner: string }>`
    select distinct owner_kind || ' ' || owner as owner from policy_references
    where tenant_id = ${tenant} and kind in ('subject', 'within') and type = ${type}
    order by 1 limit ${limit}`.execute(db)
  const found = new Set(rows.map(({ owner }) => owner))
  for (const { user } of await capabilitiesOfTypes(db, tenant, [type], limit)) found.add(`capability ${user}`)
  const about = [{ type }]
  const places = [
    { table: 'rules', noun: 'rule', naming: { resources: about } },
    { table: 'roles', noun: 'role', naming: { permissions: [{ resources: about }] } },
    { table: 'policies', noun: 'policy', naming: { target: { resource_types: [type] } } },
    { table: 'quotas', noun: 'quota', naming: { resources: about } },
  ] as const
  for (const { table, noun, naming } of places) {
    if (found.size >= limit) break
    for (const name of await documentsNaming(db, tenant, table, naming, limit)) found.add(`${noun} ${name}`)
  }
  return [...found]
}

// Nothing indexes what rules are about, for the sake of so rare a question. A page is one statement, which has a
// deadline: so any number of rules can be looked through.
const PAGE = 20_000

/** Rules, roles, policies or quotas whose document holds `naming`. */
export async function documentsNaming(
  db: Kysely<Database>,
  tenant: string,
  table: 'rules' | 'roles' | 'policies' | 'quotas',
  naming: object,
  limit: number,
): Promise<string[]> {
  const found: string[] = []
  for (let last: string | null = ''; last !== null && found.length < limit; ) {
    const { rows }: { rows: { last: string | null; named: string[] | null }[] } = await sql<{
      last: string | null
      named: string[] | null
    }>`
      select max(name) as last,
             (array_agg(name order by name) filter (where body @> ${JSON.stringify(naming)}::jsonb))[:${limit}::int] as named
      from (select name, body from ${sql.table(table)}
            where tenant_id = ${tenant} and name > ${last} order by name limit ${PAGE}) page`.execute(db)
    found.push(...(rows[0]?.named ?? []))
    last = rows[0]?.last ?? null
  }
  return found
}

/** A pattern of ids, and the rule, role or quota that it stands in. */
export interface IdPattern {
  readonly name: string
  readonly id: string
}

const RESOURCES = {
  rules: '$.resources[*]',
  roles: '$.permissions[*].resources[*]',
  quotas: '$.resources[*]',
} as const
export type PatternTable = keyof typeof RESOURCES

/** Pages of the patterns of ids that rules, roles or quotas have for a type, in the order of their names. */
export async function* idPatternsOf(
  db: Kysely<Database>,
  tenant: string,
  table: PatternTable,
  type: string,
): AsyncGenerator<readonly IdPattern[]> {
  const path = `${RESOURCES[table]} ? (@.type == $type).id`
  for (let last: string | null = ''; last !== null; ) {
    const { rows }: { rows: { last: string | null; found: IdPattern[] | null }[] } = await sql<{
      last: string | null
      found: IdPattern[] | null
    }>`
      select max(name) as last,
             jsonb_agg(jsonb_build_object('name', name, 'id', id) order by name) filter (where jsonb_typeof(id) = 'string') as found
      from (select name, body from ${sql.table(table)}
            where tenant_id = ${tenant} and name > ${last} order by name limit ${PAGE}) page
      left join lateral jsonb_path_query(body, ${path}::jsonpath, ${JSON.stringify({ type })}::jsonb) id on true`.execute(
      db,
    )
    yield rows[0]?.found ?? []
    last = rows[0]?.last ?? null
  }
}
