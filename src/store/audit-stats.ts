import { type Kysely, sql } from 'kysely'
import type { AuditStats, StatsBucket, StatsBy } from '../contract/audit-reading.ts'
import { Failure } from '../failure.ts'
import { type AuditFilter, bounded, conditionsOf, type Hash, instant } from './audit-filter.ts'
import type { Database } from './schema.ts'

export interface StatsQuestion {
  readonly filter: AuditFilter
  readonly bucket: StatsBucket
  readonly by: StatsBy | null
  /** How many values are told one by one. */
  readonly top: number
}

const LENGTHS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } satisfies Record<StatsBucket, number>
const BUCKETS_AT_MOST = 1500

/** The columns of a value: they are counted as they stand, which is twice as fast as anything made of them. */
const COLUMNS = {
  decision: [sql`decision::text`, sql`null`],
  reason: [sql`reason`, sql`null`],
  action: [sql`action`, sql`null`],
  type: [sql`type`, sql`null`],
  subject: [sql`subject_id`, sql`subject_type`],
  resource: [sql`resource_id`, sql`resource_type`],
} satisfies Record<StatsBy, readonly [unknown, unknown]>

interface Counted {
  /** null: everything; else the place of a value among the first. */
  readonly rank: number | null
  readonly name: string | null
  /** Of subjects and resources. */
  readonly kind: string | null
  readonly at: Date
  readonly count: number
}

/** Counts a tenant's events. Every record of the range is looked at, once. */
export async function auditStats(
  db: Kysely<Database>,
  tenant: string,
  { filter, bucket, by, top }: StatsQuestion,
  now: number,
  hash: Hash,
): Promise<AuditStats> {
  const range = rangeOf(filter, bucket, now)
  const wanted = [sql`tenant_id = ${tenant}`, ...conditionsOf({ ...filter, ...range }, hash)]
  const [name, kind] = by === null ? [sql`null`, sql`null`] : COLUMNS[by]
  const counting = sql<Counted>`
    with counted as materialized (
      select ${name}::text as name, ${kind}::text as kind, date_trunc(${bucket}, at, 'UTC') as at, count(*) as count
      from audit where ${sql.join(wanted, sql` and `)} group by 1, 2, 3
    ), summed as (
      select *, sum(count) over (partition by name, kind) as total from counted
    ), ranked as (
      select *, dense_rank() over (order by total desc, name nulls first, kind nulls first) as rank from summed
    )
    select null::bigint as rank, null as name, null as kind, at, sum(count)::bigint as count from counted group by at
    union all
    select rank, name, kind, at, count from ranked where rank <= ${by === null ? 0 : top}
    order by rank nulls first, at`
  const { rows } = await bounded(counting.execute(db))
  return { ...range, bucket, by, ...shown(rows, by) }
}

function shown(
  rows: readonly Counted[],
  by: StatsBy | null,
): Pick<AuditStats, 'total' | 'buckets' | 'groups' | 'rest'> {
  const byRank = new Map<number | null, Counted[]>()
  for (const row of rows) {
    const same = byRank.get(row.rank)
    if (same === undefined) byRank.set(row.rank, [row])
    else same.push(row)
  }
  const all = byRank.get(null) ?? []
  byRank.delete(null)
  const groups = [...byRank.values()].map((group) => ({
    value: valueIn(group, by),
    count: sum(group),
    buckets: group.map(told),
  }))
  const total = sum(all)
  return { total, buckets: all.map(told), groups, rest: by === null ? 0 : total - sum(groups) }
}

function valueIn([first]: readonly Counted[], by: StatsBy | null): AuditStats['groups'][number]['value'] {
  if (first === undefined || first.name === null) return null
  if (by === 'decision') return first.name === 'true'
  return first.kind === null ? first.name : { type: first.kind, id: first.name }
}

function told({ at, count }: Counted): { at: string; count: number } {
  return { at: at.toISOString(), count }
}

function sum(rows: readonly { readonly count: number }[]): number {
  return rows.reduce((all, { count }) => all + count, 0)
}

function rangeOf({ from, to }: AuditFilter, bucket: StatsBucket, now: number): { from: string; to: string } {
  const end =
    to === undefined
      ? new Date(Math.max(now, from === undefined ? 0 : instant(from, '/from').getTime()))
      : instant(to, '/to')
  const start = from === undefined ? new Date(end.getTime() - LENGTHS.day) : instant(from, '/from')
  const count = Math.ceil((end.getTime() - start.getTime()) / LENGTHS[bucket])
  if (count > BUCKETS_AT_MOST) {
    const detail = `it has ${count} buckets of a ${bucket}: at most ${BUCKETS_AT_MOST}`
    throw new Failure('unprocessable', `the range is too long: ${detail}`, { problems: [{ pointer: '/from', detail }] })
  }
  return { from: start.toISOString(), to: end.toISOString() }
}
