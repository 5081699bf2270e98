import { type Kysely, type RawBuilder, sql } from 'kysely'
import { FORGOTTEN_S, KNOWN_S, LIMITS } from '../authn/throttle.ts'
import type { Database } from './schema.ts'

/**
 * Counts an attempt before it is made, in one statement, so that of any number at once no more than the limit are let
 * through. The attempt that reaches the limit is let through and locks what comes after it. While it is locked, nothing
 * is counted: nobody can make a lock longer by trying on.
 */
export async function admit(db: Kysely<Database>, key: Buffer, attempt: string): Promise<boolean> {
  const { rows } = await counted(key, sql`${attempt}::uuid`, FORGOTTEN_S.account).execute(db)
  return rows[0]?.admitted === attempt
}

/** Counts a failure of what was let through already. */
export async function countFailure(db: Kysely<Database>, key: Buffer): Promise<void> {
  await counted(key, sql`null`, FORGOTTEN_S.address).execute(db)
}

function counted(key: Buffer, attempt: RawBuilder<unknown>, forgotten: number) {
  const { failures, lock_s, longest_lock_s } = LIMITS
  const isLocked = sql`coalesce(t.locked_until > now(), false)`
  const isForgotten = sql`(t.updated_at < now() - make_interval(secs => ${forgotten}))`
  const isFull = sql`(t.failures + 1 >= ${failures})`
  return sql<{ admitted: string | null }>`
    insert into login_throttles as t (key, failures, admitted, updated_at) values (${key}, 1, ${attempt}, now())
    on conflict (key) do update set
      failures = case when ${isLocked} then t.failures when ${isForgotten} then 1 when ${isFull} then 0
                      else t.failures + 1 end,
      locks = case when ${isLocked} then t.locks when ${isForgotten} then 0 when ${isFull} then t.locks + 1
                   else t.locks end,
      locked_until = case when ${isLocked} then t.locked_until when ${isForgotten} then null
                          when ${isFull} then now() + make_interval(
                            secs => least(${longest_lock_s}::float8, ${lock_s}::float8 * 2 ^ least(t.locks, 10))) end,
      admitted = case when ${isLocked} then t.admitted else excluded.admitted end,
      updated_at = case when ${isLocked} then t.updated_at else now() end
    returning admitted`
}

/** Forgets the failures under the first keys, and makes the last one known. */
export async function forgive(db: Kysely<Database>, keys: readonly Buffer[], pair: Buffer): Promise<void> {
  await sql`
    with forgiven as (
      update login_throttles set failures = 0, locks = 0, locked_until = null
      where key = any(${keys}::bytea[]) and key <> ${pair}
    )
    insert into login_throttles (key, known_until, updated_at)
    values (${pair}, now() + make_interval(secs => ${KNOWN_S}), now())
    on conflict (key) do update set
      known_until = excluded.known_until, failures = 0, locks = 0, locked_until = null`.execute(db)
}

export async function forgetFailures(db: Kysely<Database>, key: Buffer): Promise<void> {
  await sql`delete from login_throttles where key = ${key}`.execute(db)
}

// Whoever tries names makes rows: they go when they say nothing any more.
const AT_A_TIME = 10_000

export async function pruneThrottles(db: Kysely<Database>): Promise<void> {
  await sql`
    delete from login_throttles where key in (
      select key from login_throttles
      where updated_at < now() - make_interval(secs => ${FORGOTTEN_S.account})
        and coalesce(known_until, '-infinity') < now()
      order by updated_at limit ${AT_A_TIME})`.execute(db)
}
