import { type Kysely, sql, type Transaction } from 'kysely'
import Type from 'typebox'
import type { PolicyChange } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { withoutCredentials } from '../telemetry/secrets.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import { tellChanged } from './hints.ts'
import type { Database } from './schema.ts'

export interface Change {
  readonly tenant: string
  readonly actor: EntityRef
  readonly reason: string | null
  readonly at: Date
  readonly changes: readonly PolicyChange[]
}

// A row may hold a thing of a bundle twice, which may take a million characters: a statement is bounded by both.
const ROWS_PER_STATEMENT = 1_000
const CHARACTERS_PER_STATEMENT = 2 * 1024 * 1024

/**
 * Makes the tenant's next revision: `changes` take effect in it, in their order. The caller's transaction holds the
 * tenant's row since before it read what it changes, so that revisions are gapless and in commit order.
 */
export async function appendChange(trx: Transaction<Database>, change: Change): Promise<number> {
  const { rows: found } = await sql<{ revision: number; revision_id: string }>`
    with made as (
      update tenants set revision = revision + 1, revision_id = gen_random_uuid()
      where id = ${change.tenant} returning revision, revision_id
    )
    select revision, revision_id, ${tellChanged(change.tenant)} from made`.execute(trx)
  const made = found[0]
  if (made === undefined) throw new Error(`there is no tenant ${change.tenant} to change`)
  let rows: string[] = []
  let size = 0
  for (const [ordinal, row] of change.changes.entries()) {
    const text = JSON.stringify({ ...row, before: said(row.before), after: said(row.after), ordinal })
    if (rows.length === ROWS_PER_STATEMENT || (rows.length > 0 && size + text.length > CHARACTERS_PER_STATEMENT)) {
      await appendRows(trx, change, made, rows)
      rows = []
      size = 0
    }
    rows.push(text)
    size += text.length
  }
  if (rows.length > 0) await appendRows(trx, change, made, rows)
  return made.revision
}

async function appendRows(
  trx: Transaction<Database>,
  { tenant, actor, reason, at }: Change,
  made: { revision: number; revision_id: string },
  rows: readonly string[],
): Promise<void> {
  await sql`
    insert into policy_changes
      (tenant_id, revision, ordinal, revision_id, actor, reason, kind, key, operation, before, after, at)
    select ${tenant}, ${made.revision}::bigint, ordinal, ${made.revision_id}::uuid, ${JSON.stringify(actor)}::jsonb,
           ${reason && withoutCredentials(reason)}, kind, coalesce(key, 'null'), operation, before, after, ${at}::timestamptz
    from jsonb_to_recordset(${`[${rows.join(',')}]`}::jsonb)
      as row(ordinal int, kind text, key jsonb, operation text, before jsonb, after jsonb)`.execute(trx)
}

/**
 * The thing without credentials in what people say of it. The rest of it stays as it is: replicas decide by what they read
 * of the log, and must decide by the very same as who reads the thing itself.
 */
function said(thing: object | null): object | null {
  if (thing === null) return null
  const told: { description?: unknown; justification?: unknown; decision?: unknown } = thing
  const { description, justification, decision } = told
  return {
    ...thing,
    ...(typeof description === 'string' && { description: withoutCredentials(description) }),
    ...(typeof justification === 'string' && { justification: withoutCredentials(justification) }),
    ...(isDecided(decision) && { decision: { ...decision, reason: withoutCredentials(decision.reason) } }),
  }
}

function isDecided(decision: unknown): decision is { readonly reason: string } {
  if (typeof decision !== 'object' || decision === null) return false
  return 'reason' in decision && typeof decision.reason === 'string'
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
