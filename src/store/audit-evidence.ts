import { type RawBuilder, sql, type Transaction } from 'kysely'
import type {
  Evidence,
  RecordScope,
  StoredCheckpoint,
  StoredRecord,
  StoredRevisions,
  StoredRun,
  WriterState,
} from '../audit/verify/evidence.ts'
import type { StoredPrune } from '../audit/verify/pruned.ts'
import { listAuditKeys, listEndorsements } from './audit-keys.ts'
import { readHashes } from './audit-tree.ts'
import { inTenant, type TenantDatabase } from './database.ts'
import type { Database } from './schema.ts'

/** A batch has 64 KiB of leaf hashes at most. */
const RUNS_PAGE = 32
const CHECKPOINTS_PAGE = 500
// Few enough that a page is no long turn of the event loop.
const RECORDS_PAGE = 500

/**
 * Looks at the audit as it is at one instant: what is written meanwhile is not seen, so that nothing on its way is
 * taken for missing. The transaction only reads, and holds up nobody.
 */
export async function withEvidence<T>(db: TenantDatabase, look: (evidence: Evidence) => Promise<T>): Promise<T> {
  return db.across
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute((trx) => look(evidenceIn(trx)))
}

function evidenceIn(trx: Transaction<Database>): Evidence {
  return {
    keys: () => listAuditKeys(trx),
    endorsements: () => listEndorsements(trx),
    async prunes() {
      const { rows } = await sql<StoredPrune>`select distinct statement, signed from audit_pruned`.execute(trx)
      return rows
    },
    tenants: () => allTenants(trx),
    hasTenant: (tenant) => hasTenant(trx, tenant),
    writers: () => allWriters(trx),
    runs: (writer, level) => runs(trx, writer, level),
    checkpoints: (writer) => checkpoints(trx, writer),
    async lastCheckpoint(writer) {
      const [last] = await checkpointsOf(trx, writer)
        .orderBy('size', 'desc')
        .orderBy('final', 'desc')
        .limit(1)
        .execute()
      return last
    },
    hashes: (writer, spans) => readHashes(trx, writer, spans),
    async rootAt(writer, size) {
      const found = await checkpointsOf(trx, writer).where('size', '=', size).limit(1).executeTakeFirst()
      return found?.root
    },
    async hasNote(writer, size, note) {
      const found = await checkpointsOf(trx, writer)
        .where('size', '=', size)
        .where('note', '=', note)
        .executeTakeFirst()
      return found !== undefined
    },
    records: (scope) => records(trx, scope),
    revisions: (tenant) => revisions(trx, tenant),
    recordsAfter: (writer, seq, since) => recordsAfter(trx, writer, seq, since),
    countAfter: (writer, seq, since) => countAfter(trx, writer, seq, since),
  }
}

/** Also those of which only traces are left. Of a tree's rows one for each writer is looked at. */
async function allWriters(trx: Transaction<Database>): Promise<WriterState[]> {
  const { rows } = await sql<WriterState>`
    with recursive trees as (
      (select writer from audit_tree order by writer limit 1)
      union all
      select (select writer from audit_tree t where t.writer > trees.writer order by writer limit 1)
      from trees where trees.writer is not null
    ), sealed as (
      (select writer from audit_checkpoints order by writer limit 1)
      union all
      select (select writer from audit_checkpoints c where c.writer > sealed.writer order by writer limit 1)
      from sealed where sealed.writer is not null
    ), known as (
      select writer from audit_writers union select writer from trees union select writer from sealed
    )
    select writer, least(position, ${LARGEST}) as position, coalesce(closed_at is not null, false) as closed
    from known left join audit_writers using (writer) where writer is not null order by writer`.execute(trx)
  return rows.map((row) => ({ ...row, position: row.position ?? undefined }))
}

/** Those that have records, one look into the index for each. */
async function allTenants(trx: Transaction<Database>): Promise<string[]> {
  const { rows } = await sql<{ tenant: string }>`
    with recursive found as (
      (select tenant_id as tenant from audit order by tenant_id limit 1)
      union all
      select (select tenant_id from audit where tenant_id > found.tenant order by tenant_id limit 1)
      from found where found.tenant is not null
    ) select tenant from found where tenant is not null`.execute(trx)
  return rows.map(({ tenant }) => tenant)
}

async function hasTenant(trx: Transaction<Database>, tenant: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from tenants where id = ${tenant})
      or exists (select from audit where tenant_id = ${tenant}) as found`.execute(trx)
  return rows[0]?.found === true
}

async function* runs(trx: Transaction<Database>, writer: string, level: number): AsyncGenerator<StoredRun> {
  for (let after = -1; ; ) {
    const { rows } = await sql<StoredRun>`
      select first, hashes, (extract(epoch from now() - at) * 1000)::float8 as age_ms from audit_tree
      where writer = ${writer} and level = ${level} and first > ${after} order by first limit ${RUNS_PAGE}`.execute(trx)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < RUNS_PAGE) return
    after = last.first
  }
}

function checkpointsOf(trx: Transaction<Database>, writer: string) {
  return trx
    .selectFrom('audit_checkpoints')
    .select(['writer', 'size', 'final', 'root', 'note', 'writers'])
    .where('writer', '=', writer)
}

async function* checkpoints(trx: Transaction<Database>, writer: string): AsyncGenerator<StoredCheckpoint> {
  for (let after: StoredCheckpoint | undefined; ; ) {
    const rows: StoredCheckpoint[] = await checkpointsOf(trx, writer)
      .where(sql<boolean>`(size, final) > (${after?.size ?? -1}, ${after?.final ?? true})`)
      .orderBy('size')
      .orderBy('final')
      .limit(CHECKPOINTS_PAGE)
      .execute()
    yield* rows
    after = rows.at(-1)
    if (rows.length < CHECKPOINTS_PAGE) return
  }
}

async function* records(trx: Transaction<Database>, scope: RecordScope): AsyncGenerator<readonly StoredRecord[]> {
  const { tenant, writer, from, to, order } = scope
  const conditions = [
    ...(tenant === undefined ? [] : [sql`tenant_id = ${tenant}`]),
    ...(writer === undefined ? [] : [sql`writer = ${writer}`]),
    ...(from === undefined ? [] : [sql`at >= ${from}`]),
    ...(to === undefined ? [] : [sql`at < ${to}`]),
  ]
  const where = conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`
  const ordered = order === undefined ? sql`` : order === 'asc' ? sql`order by at, id` : sql`order by at desc, id desc`
  yield* pagesOf(trx, sql`from audit ${where} ${ordered}`)
}

/** By time where it is given, through the keys of all tenants: no index begins with the time. */
function recordsAfter(
  trx: Transaction<Database>,
  writer: string,
  seq: number,
  since: Date | undefined,
): AsyncGenerator<readonly StoredRecord[]> {
  return since === undefined
    ? pagesOf(trx, sql`from audit where writer = ${writer} and seq > ${seq}`)
    : pagesOf(
        trx,
        sql`from (select found.* from tenants, lateral (
          select * from audit
          where tenant_id = tenants.id and at >= ${since} and writer = ${writer} and seq > ${seq}) found) found`,
      )
}

async function* pagesOf(
  trx: Transaction<Database>,
  from: RawBuilder<unknown>,
): AsyncGenerator<readonly StoredRecord[]> {
  await sql`declare records no scroll cursor for
    select tenant_id, at, id, writer, seq, record, type, actor_type, actor_id, subject_type, subject_id, action,
           resource_type, resource_id, decision, reason, rules, ip, request_id, trace_id,
           subject_hash is not distinct from hashtext(subject_id)
             and resource_hash is not distinct from hashtext(resource_id) as is_found
    ${from}`.execute(trx)
  let failed = false
  try {
    for (;;) {
      const page = sql<StoredRecord>`fetch forward ${sql.lit(RECORDS_PAGE)} from records`
      const { rows } = await page.execute(trx).catch((error: unknown) => {
        failed = true
        throw error
      })
      if (rows.length > 0) yield rows
      if (rows.length < RECORDS_PAGE) return
    }
  } finally {
    // Whoever has seen enough reads another time. After an error there is nothing to close.
    if (!failed) await sql`close records`.execute(trx)
  }
}

const REVISIONS_PAGE = 5_000
const LARGEST = Number.MAX_SAFE_INTEGER

async function* revisions(trx: Transaction<Database>, only: string | undefined): AsyncGenerator<StoredRevisions> {
  const wanted = only === undefined ? sql`` : sql`where id = ${only}`
  const { rows } = await sql<{ tenant: string; revision: number }>`
    select id as tenant, least(revision, ${LARGEST}) as revision from tenants ${wanted} order by id`.execute(trx)
  for (const { tenant, revision } of rows) {
    // Of policy nobody sees all tenants at once.
    yield await inTenant(trx, tenant, '*', async () => {
      const owed = await trx.selectFrom('audit_outbox').select('event').where('tenant_id', '=', tenant).execute()
      return { tenant, revision, logged: await loggedOf(trx, tenant), owed: owed.map(({ event }) => event) }
    })
  }
}

async function loggedOf(trx: Transaction<Database>, tenant: string): Promise<Map<number, number>> {
  const logged = new Map<number, number>()
  for (let after = 0; ; ) {
    const { rows } = await sql<{ revision: number; changes: number }>`
      select revision, count(*) as changes from policy_changes
      where tenant_id = ${tenant} and revision > ${after}::bigint and revision <= ${LARGEST}
      group by revision order by revision limit ${REVISIONS_PAGE}`.execute(trx)
    for (const { revision, changes } of rows) logged.set(revision, changes)
    if (rows.length < REVISIONS_PAGE) return logged
    after = rows.at(-1)?.revision ?? LARGEST
  }
}

/** As `recordsAfter`. */
async function countAfter(
  trx: Transaction<Database>,
  writer: string,
  seq: number,
  since: Date | undefined,
): Promise<number> {
  const { rows } = await (since === undefined
    ? sql<{ count: number }>`select count(*) from audit where writer = ${writer} and seq > ${seq}`
    : sql<{ count: number }>`
        select count(*) from tenants, lateral (
          select from audit
          where tenant_id = tenants.id and at >= ${since} and writer = ${writer} and seq > ${seq}) found`
  ).execute(trx)
  return rows[0]?.count ?? 0
}
