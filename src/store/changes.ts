import { type Kysely, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import type { PolicyChange } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Database } from './schema.ts'

export interface Change {
  readonly tenant: string
  readonly actor: EntityRef
  readonly reason: string | null
  readonly at: Date
  readonly changes: readonly PolicyChange[]
}

// A row may hold an entity of 256 KiB twice: a statement's parameter stays well below what Postgres takes.
const ROWS_PER_STATEMENT = 1_000

/**
 * Makes the tenant's next revision: `changes` take effect in it, in their order. The caller's transaction holds the
 * tenant's row since before it read what it changes, so that revisions are gapless and in commit order.
 */
export async function appendChange(trx: Transaction<Database>, change: Change): Promise<number> {
  const { rows } = await sql<{ revision: number; revision_id: string }>`
    update tenants set revision = revision + 1, revision_id = gen_random_uuid()
    where id = ${change.tenant} returning revision, revision_id`.execute(trx)
  const made = rows[0]
  if (made === undefined) throw new Error(`there is no tenant ${change.tenant} to change`)
  for (let from = 0; from < change.changes.length; from += ROWS_PER_STATEMENT) {
    await appendRows(trx, change, made, from)
  }
  return made.revision
}

async function appendRows(
  trx: Transaction<Database>,
  { tenant, actor, reason, at, changes }: Change,
  made: { revision: number; revision_id: string },
  from: number,
): Promise<void> {
  const rows = changes.slice(from, from + ROWS_PER_STATEMENT).map((row, place) => ({ ...row, ordinal: from + place }))
  await sql`
    insert into policy_changes
      (tenant_id, revision, ordinal, revision_id, actor, reason, kind, key, operation, before, after, at)
    select ${tenant}, ${made.revision}::bigint, ordinal, ${made.revision_id}::uuid, ${JSON.stringify(actor)}::jsonb,
           ${reason}, kind, coalesce(key, 'null'), operation, before, after, ${at}::timestamptz
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as row(ordinal int, kind text, key jsonb, operation text, before jsonb, after jsonb)`.execute(trx)
}

/** One row of the change log as it is read. */
export interface ChangeRow {
  readonly revision: number
  readonly ordinal: number
  readonly kind: PolicyChange['kind']
  readonly key: Readonly<Record<string, string>> | null
  readonly operation: 'create' | 'update' | 'delete'
  readonly actor: EntityRef
  readonly reason: string | null
  readonly before: unknown
  readonly after: unknown
  readonly at: Date
}

const MAX_INT4 = 2 ** 31 - 1
const ChangeCursor = Type.Tuple([
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  Type.Integer({ minimum: 0, maximum: MAX_INT4 }),
])

/** The log after a revision, oldest first. */
export async function listChanges(
  db: Kysely<Database>,
  tenant: string,
  afterRevision: number,
  page: Page,
): Promise<Listed<ChangeRow>> {
  const [revision, ordinal] = decodeCursor(page.cursor, ChangeCursor) ?? [0, -1]
  const { rows } = await sql<ChangeRow>`
    select revision, ordinal, kind, key, operation, actor, reason, before, after, at from policy_changes
    where tenant_id = ${tenant} and revision > ${afterRevision}::bigint
      and (revision, ordinal) > (${revision}::bigint, ${ordinal}::int)
    order by revision, ordinal limit ${page.limit + 1}`.execute(db)
  return paged(
    rows,
    page.limit,
    (row) => [row.revision, row.ordinal],
    (row) => row,
  )
}
