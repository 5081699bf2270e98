import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Database } from './schema.ts'

/** A document with what the store knows of it. `version` is the revision that wrote it, so it never comes again. */
export interface Stored<T> {
  readonly document: T
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

/** A write's place in a tenant: its revision and its instant. */
export interface Stamp {
  readonly tenant: string
  readonly revision: number
  readonly at: Date
}

/**
 * A document as it is read back to whoever asks for it: an object with the name that it is kept by, whatever a hand may
 * have left there.
 */
export function documentOf(body: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`case when jsonb_typeof(${body}) = 'object' then ${body} else '{}' end
    || jsonb_build_object('name', name) as document`
}

export const NameCursor = Type.Tuple([Type.String()])

export interface DocumentTable<T> {
  get(db: Kysely<Database>, tenant: string, name: string): Promise<Stored<T> | undefined>
  list(db: Kysely<Database>, tenant: string, page: Page): Promise<Listed<Stored<T>>>
  /** Which of these names are there. */
  known(db: Kysely<Database>, tenant: string, names: readonly string[]): Promise<ReadonlySet<string>>
  put(trx: Transaction<Database>, stamp: Stamp, documents: readonly T[]): Promise<void>
  remove(trx: Transaction<Database>, tenant: string, names: readonly string[]): Promise<void>
}

/**
 * A table of documents kept whole by name. `columns` are members that stand beside the body too, for SQL to ask.
 * All documents of a write travel as one JSON parameter: a statement carries at most 65,535 of them.
 */
export function documentTable<T extends { readonly name: string }>(
  name: 'types' | 'policies' | 'roles' | 'rules' | 'issuers' | 'quotas',
  columns: readonly string[] = [],
): DocumentTable<T> {
  const table = sql.table(name)
  const names = columns.map((column) => sql`, ${sql.ref(column)}`)
  const values = columns.map((column) => sql`, row->>${sql.lit(column)}`)
  const updates = columns.map((column) => sql`, ${sql.ref(column)} = excluded.${sql.ref(column)}`)
  const members = sql`${documentOf(sql`body`)}, version, created_at, updated_at`
  return {
    async get(db, tenant, key) {
      const query = sql<Stored<T>>`select ${members} from ${table} where tenant_id = ${tenant} and name = ${key}`
      return (await query.execute(db)).rows[0]
    },
    async list(db, tenant, page) {
      const after = decodeCursor(page.cursor, NameCursor)?.[0] ?? ''
      const query = sql<Stored<T>>`
        select ${members} from ${table}
        where tenant_id = ${tenant} and name > ${after} order by name limit ${page.limit + 1}`
      return paged((await query.execute(db)).rows, page.limit, nameOf, (row) => row)
    },
    async known(db, tenant, keys) {
      const query = sql<{ name: string }>`select name from ${table} where tenant_id = ${tenant} and name = any(${keys})`
      return new Set((await query.execute(db)).rows.map((row) => row.name))
    },
    async put(trx, { tenant, revision, at }, documents) {
      await sql`
        insert into ${table} (tenant_id, name, body, version, created_at, updated_at${sql.join(names, sql``)})
        select ${tenant}, row->>'name', row, ${revision}::bigint, ${at}::timestamptz, ${at}::timestamptz
               ${sql.join(values, sql``)}
        from jsonb_array_elements(${JSON.stringify(documents)}::jsonb) row
        on conflict (tenant_id, name) do update
        set body = excluded.body, version = excluded.version, updated_at = excluded.updated_at
            ${sql.join(updates, sql``)}`.execute(trx)
    },
    async remove(trx, tenant, keys) {
      await sql`delete from ${table} where tenant_id = ${tenant} and name = any(${keys})`.execute(trx)
    },
  }
}

export function nameOf(row: { readonly document: { readonly name: string } }): [string] {
  return [row.document.name]
}
