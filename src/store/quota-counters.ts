import { type Kysely, sql } from 'kysely'
import type { Database } from './schema.ts'

/** One window of one counter of a tenant. `start` in ms since the epoch. */
export interface CounterWindow {
  readonly quota: string
  /** A keyed hash of whom it counts, in hex. */
  readonly counter: string
  readonly window_seconds: number
  readonly start: number
}

export interface Reservation extends CounterWindow {
  readonly limit: number
  /** Units that decisions wait for: all of them, if there are as many. */
  readonly needed: number
  /** Units that would be good to have in hand: as many while much is left. */
  readonly wanted: number
}

/** What a reservation came to. */
export interface Granted {
  readonly quota: string
  readonly counter: string
  readonly granted: number
  /** All that is reserved of the window now, by whomever. */
  readonly reserved: number
}

/** A block is at most this part of what is left: near the limit nobody holds what others are refused for. */
const PART = 16

/**
 * Reserves units, of any number of different counters in one statement. Each row is read and written as one: of any
 * number at once, all together never get more than the limit. Rows are taken in order, so that no two replicas wait for
 * each other. A limit below what is reserved already grants nothing.
 */
export async function reserve(
  db: Kysely<Database>,
  tenant: string,
  asked: readonly Reservation[],
): Promise<readonly Granted[]> {
  const { rows } = await sql<Granted>`
    insert into quota_counters as c
      (tenant_id, quota, window_seconds, window_start, counter, asked, reserved, granted, expires_at)
    select ${tenant}, quota, window_seconds, ${windowStart}, decode(counter, 'hex'), array["limit", needed, wanted],
           ${grant(sql`"limit"`, sql`needed`, sql`wanted`)}, ${grant(sql`"limit"`, sql`needed`, sql`wanted`)},
           ${windowStart} + make_interval(secs => window_seconds)
    from jsonb_to_recordset(${JSON.stringify(asked)}::jsonb) as row(
      quota text, window_seconds int, start bigint, counter text, "limit" bigint, needed bigint, wanted bigint)
    order by quota collate "C", start, window_seconds, counter collate "C"
    on conflict (tenant_id, quota, window_start, window_seconds, counter) do update set
      asked = excluded.asked,
      granted = ${GRANT_MORE},
      reserved = c.reserved + ${GRANT_MORE}
    returning quota, encode(counter, 'hex') as counter, granted, reserved`.execute(db)
  return rows
}

const windowStart = sql`to_timestamp(start / 1000)`

function grant(left: ReturnType<typeof sql>, needed: ReturnType<typeof sql>, wanted: ReturnType<typeof sql>) {
  return sql`greatest(0, least(${left}, greatest(${needed}, least(${wanted}, ${left} / ${sql.lit(PART)}))))`
}

const GRANT_MORE = grant(sql`(excluded.asked[1] - c.reserved)`, sql`excluded.asked[2]`, sql`excluded.asked[3]`)

export interface Unused extends CounterWindow {
  readonly units: number
}

/** Gives back units that were reserved and not taken. Never tried again: what it did is not known where it fails. */
export async function handBack(db: Kysely<Database>, tenant: string, unused: readonly Unused[]): Promise<void> {
  await sql`
    with given as (
      select quota, window_seconds, ${windowStart} as window_start, decode(counter, 'hex') as counter, units
      from jsonb_to_recordset(${JSON.stringify(unused)}::jsonb) as row(
        quota text, window_seconds int, start bigint, counter text, units bigint)
    ), held as (
      select c.quota, c.window_start, c.window_seconds, c.counter, given.units
      from quota_counters c join given using (quota, window_start, window_seconds, counter)
      where c.tenant_id = ${tenant}
      order by c.quota, c.window_start, c.window_seconds, c.counter for update of c
    )
    update quota_counters c set reserved = greatest(0, c.reserved - held.units) from held
    where c.tenant_id = ${tenant} and c.quota = held.quota and c.window_start = held.window_start
      and c.window_seconds = held.window_seconds and c.counter = held.counter`.execute(db)
}

/** All that is reserved of a window. */
export async function reservedOf(db: Kysely<Database>, tenant: string, window: CounterWindow): Promise<number> {
  const { rows } = await sql<{ reserved: number }>`
    select reserved from quota_counters
    where tenant_id = ${tenant} and quota = ${window.quota} and window_seconds = ${window.window_seconds}
      and window_start = to_timestamp(${window.start}::bigint / 1000)
      and counter = decode(${window.counter}, 'hex')`.execute(db)
  return rows[0]?.reserved ?? 0
}

/** Gives back what a decision took, once. @returns whether it did: if not, it was given back before. */
export async function refund(
  db: Kysely<Database>,
  tenant: string,
  decision: string,
  window: CounterWindow,
  units: number,
): Promise<boolean> {
  const start = sql`to_timestamp(${window.start}::bigint / 1000)`
  const { rows } = await sql<{ refunds: number }>`
    with once as (
      insert into quota_refunds (tenant_id, quota, decision_id, units, expires_at)
      values (${tenant}, ${window.quota}, ${decision}, ${units},
              ${start} + make_interval(secs => ${window.window_seconds}))
      on conflict do nothing returning units
    ), given as (
      update quota_counters c set reserved = greatest(0, c.reserved - once.units) from once
      where c.tenant_id = ${tenant} and c.quota = ${window.quota} and c.window_seconds = ${window.window_seconds}
        and c.window_start = ${start} and c.counter = decode(${window.counter}, 'hex')
    )
    select count(*) as refunds from once`.execute(db)
  return rows[0]?.refunds === 1
}

// A replica whose clock is behind may still be in a window that is over elsewhere: it must find what was counted.
const LATE_S = 300
const AT_A_TIME = 5_000

/** Deletes what belongs to windows that are over. @returns how many rows: as many again may be left. */
export async function pruneCounters(db: Kysely<Database>, tenant: string): Promise<number> {
  const { rows } = await sql<{ pruned: number }>`
    with counters as (
      delete from quota_counters where ctid = any(array(
        select ctid from quota_counters
        where tenant_id = ${tenant} and expires_at < now() - make_interval(secs => ${LATE_S})
        order by expires_at limit ${AT_A_TIME} for update skip locked)) returning 1
    ), refunds as (
      delete from quota_refunds where ctid = any(array(
        select ctid from quota_refunds
        where tenant_id = ${tenant} and expires_at < now() - make_interval(secs => ${LATE_S})
        order by expires_at limit ${AT_A_TIME})) returning 1
    )
    select (select count(*) from counters) + (select count(*) from refunds) as pruned`.execute(db)
  return rows[0]?.pruned ?? 0
}

/** The next tenants after one, in the order of their ids, suspended and deleted ones too. */
export async function tenantsAfter(db: Kysely<Database>, after: string, limit: number): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from tenants where id collate "C" > ${after} order by id collate "C" limit ${limit}`.execute(db)
  return rows.map(({ id }) => id)
}
