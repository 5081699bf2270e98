import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import type { PrunedRange, PruneStore } from '../audit/prune.ts'
import { Failure } from '../failure.ts'
import { sqlState, type TenantDatabase } from './database.ts'

/** Dropping a partition waits for whoever reads, and everybody else waits behind it: so in short spells. */
const LOCK_MS = 500
/** Longer than a verification over HTTP may take, which reads all that is there. */
const PATIENCE_MS = 15 * 60_000

/** Prunes through the one function that the pruning role may call. */
export function pruneStore(database: TenantDatabase): PruneStore {
  const db = database.across
  return {
    async role() {
      const { rows } = await sql<{ role: string }>`select session_user::text as role`.execute(db)
      return rows[0]?.role ?? 'unknown'
    },
    async months(before) {
      const { rows } = await sql<{ name: string }>`
        select c.relname as name from pg_inherits join pg_class c on c.oid = inhrelid
        where inhparent = 'audit'::regclass and c.relname ~ '^audit_\\d{4}_\\d{2}$'
          and (to_date(substr(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'utc' <= ${before}
        order by 1`.execute(db)
      return rows.map(({ name }) => name)
    },
    async ranges(partition, before) {
      const { rows } = await sql<PrunedRange>`
        select writer, min(seq) as first_seq, max(seq) + 1 as next_seq, count(*) as records
        from audit where tableoid = to_regclass(${partition}) and at < ${before} group by writer order by writer
      `.execute(db)
      return rows
    },
    prune: ({ statement, text, signed, event, event_text }) =>
      patiently(async () => {
        const { id, partition, before, writers } = statement
        return db.transaction().execute(async (trx) => {
          await sql`select set_config('lock_timeout', ${`${LOCK_MS}ms`}, true)`.execute(trx)
          const { rows } = await sql<{ done: boolean }>`
            select prune_audit(${partition}, ${before}, ${id}, ${JSON.stringify(writers)}, ${text}, ${signed},
                               ${event.id}, ${event_text}) as done`.execute(trx)
          return rows[0]?.done === true
        })
      }),
  }
}

async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const cause = error instanceof Failure ? error.cause : error
      if (sqlState(cause) !== '55P03') throw error
      if (Date.now() > deadline) {
        throw new Failure(
          'busy',
          'somebody reads the audit all the time, a verification perhaps: nothing more was pruned',
          {
            cause,
          },
        )
      }
      await pause(100 + Math.random() * 400)
    }
  }
}
