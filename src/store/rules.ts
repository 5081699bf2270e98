import { type Kysely, sql, type Transaction } from 'kysely'
import type { Effect, Rule } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { type DocumentTable, documentOf, documentTable, NameCursor, nameOf, type Stored } from './documents.ts'
import { referencesOfRule, replaceReferences } from './references.ts'
import type { Database } from './schema.ts'

const table = documentTable<Rule>('rules', ['policy', 'effect'])

export const rules: DocumentTable<Rule> = {
  ...table,
  async put(trx, stamp, documents) {
    await table.put(trx, stamp, documents)
    const names = documents.map((rule) => rule.name)
    await replaceReferences(trx, stamp.tenant, 'rule', names, documents.flatMap(referencesOfRule))
  },
  async remove(trx: Transaction<Database>, tenant: string, names: readonly string[]) {
    await table.remove(trx, tenant, names)
    await replaceReferences(trx, tenant, 'rule', names, [])
  },
}

/** Which rules: `action` and `resource_type` are compared with what a rule says literally, patterns included. */
export interface RuleFilter {
  readonly policy?: string | undefined
  readonly effect?: Effect | undefined
  readonly role?: string | undefined
  readonly action?: string | undefined
  readonly resource_type?: string | undefined
}

export async function listRules(
  db: Kysely<Database>,
  tenant: string,
  filter: RuleFilter,
  page: Page,
): Promise<Listed<Stored<Rule>>> {
  const conditions = [sql`tenant_id = ${tenant}`, sql`name > ${decodeCursor(page.cursor, NameCursor)?.[0] ?? ''}`]
  if (filter.policy !== undefined) conditions.push(sql`policy = ${filter.policy}`)
  if (filter.effect !== undefined) conditions.push(sql`effect = ${filter.effect}`)
  if (filter.action !== undefined) conditions.push(contains({ actions: [filter.action] }))
  if (filter.resource_type !== undefined) conditions.push(contains({ resources: [{ type: filter.resource_type }] }))
  if (filter.role !== undefined) {
    conditions.push(sql`name in (
      select owner from policy_references
      where tenant_id = ${tenant} and owner_kind = 'rule' and kind = 'role' and type = '' and id = ${filter.role})`)
  }
  const { rows } = await sql<Stored<Rule>>`
    select ${documentOf(sql`body`)}, version, created_at, updated_at from rules
    where ${sql.join(conditions, sql` and `)} order by name limit ${page.limit + 1}`.execute(db)
  return paged(rows, page.limit, nameOf, (row) => row)
}

function contains(part: unknown) {
  return sql`body @> ${JSON.stringify(part)}::jsonb`
}
