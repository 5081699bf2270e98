import { type Kysely, sql } from 'kysely'
import type { RecordBatch } from '../audit/frame.ts'
import { leafHashes } from '../audit/seal/leaves.ts'
import type { AuditStore } from '../audit/shipper.ts'
import { Failure } from '../failure.ts'
import { sqlState, type TenantDatabase } from './database.ts'
import type { Database } from './schema.ts'

/** SQLSTATE classes of a value that can't be kept (22, 23) or that is too large for the server (54). */
const REFUSED = /^(22|23|54)/

const PRESENT = 'verdict audit '

/** What a writer's connections are called, so that others know that it lives. */
export function presenceOf(writer: string): string {
  return PRESENT + writer
}

/** The writers that are connected to the database at the moment. */
export async function presentWriters(db: Kysely<Database>): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ name: string }>`
    select application_name as name from pg_stat_activity
    where datname = current_database() and starts_with(application_name, ${PRESENT})`.execute(db)
  return new Set(rows.map(({ name }) => name.slice(PRESENT.length)))
}

/** Where the shipper puts records, each exactly once. */
export function auditStore(database: TenantDatabase): AuditStore {
  const db = database.across
  return {
    async position(writer) {
      await sql`insert into audit_writers (writer) values (${writer}) on conflict do nothing`.execute(db)
      const { rows } = await sql<{ position: number; closed: boolean }>`
        select position, closed_at is not null as closed from audit_writers where writer = ${writer}
      `.execute(db)
      const [row] = rows
      if (row === undefined) throw new Failure('internal', `writer ${writer} is not known`)
      return row
    },
    async insert(writer, from, batch, leaves = leafHashes(batch)) {
      try {
        return await insertBatch(db, writer, from, batch, leaves)
      } catch (error) {
        if (!REFUSED.test(sqlState(error) ?? '')) throw error
        throw new Failure('unprocessable', 'Postgres refuses a record.', { cause: error })
      }
    },
    async close(writer, position) {
      const { numAffectedRows } = await sql`
        update audit_writers set closed_at = coalesce(closed_at, now())
        where writer = ${writer} and position = ${position}
      `.execute(db)
      return numAffectedRows === 1n
    },
    async adopt() {},
    async ensurePartitions() {
      await sql`select ensure_audit_partitions()`.execute(db)
    },
  }
}

/**
 * One statement, so one transaction and one round trip. Whoever moves the position inserts; the second of two finds
 * it moved and does nothing. The records travel as one parameter and are cut and read here: cheaper than doing it
 * in the process that answers, and their number is not bound by that of parameters.
 */
async function insertBatch(
  db: Kysely<Database>,
  writer: string,
  from: number,
  batch: RecordBatch,
  leaves: Buffer,
): Promise<boolean> {
  const { first, bytes, offsets, lengths } = batch
  const to = first + lengths.length
  const { rows } = await sql<{ moved: boolean }>`
    with moved as (
      update audit_writers set position = ${to}
      where writer = ${writer} and position = ${from} and closed_at is null
      returning writer
    ), cut as materialized (
      select ${first}::bigint + ordinality - 1 as seq, substring(${bytes}::bytea from place + 1 for length) as record
      from unnest(${offsets}::int[], ${lengths}::int[]) with ordinality as frames (place, length, ordinality)
      where exists (select from moved)
    ), read as materialized (
      select seq, record, convert_from(record, 'UTF8')::jsonb as event from cut
    ), kept as (
      insert into audit (tenant_id, at, id, writer, seq, type, actor_type, actor_id, subject_type, subject_id, action,
                         resource_type, resource_id, decision, reason, rules, ip, request_id, trace_id, record)
      select event ->> 'tenant', (event ->> 'at')::timestamptz, (event ->> 'id')::uuid, ${writer}::uuid, seq,
             event ->> 'type', event #>> '{actor,type}', event #>> '{actor,id}',
             event #>> '{subject,type}', event #>> '{subject,id}', event #>> '{action,name}',
             event #>> '{resource,type}', event #>> '{resource,id}', (event ->> 'decision')::boolean, event ->> 'reason',
             array(select jsonb_array_elements_text(event -> 'rules')), event ->> 'ip', event ->> 'request_id',
             event ->> 'trace_id', record
      from read
      returning 1
    ), leaves as (
      insert into audit_tree (writer, level, first, hashes) select writer, 0, ${first}::bigint, ${leaves} from moved
    ), announced as (
      delete from audit_outbox o using read
      where o.writer = ${writer} and o.tenant_id = read.event ->> 'tenant' and o.id = (read.event ->> 'id')::uuid
    )
    -- What a trigger or a rule keeps out of the table must not count as shipped: then all of this fails.
    select exists (select from moved) as moved,
           1 / (case when (select count(*) from kept) = (select count(*) from read) then 1 else 0 end) as whole
  `.execute(db)
  return rows[0]?.moved === true
}
