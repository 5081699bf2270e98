import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuditFilter, listAudit } from '../../src/store/audit.ts'
import { AuditReading } from '../../src/store/audit-export.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/schema.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

// A hundred thousand records of one tenant, over three months: what must stay fast however deep one reads.

const ROWS = 100_000
const WRITER = v7()

interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

let database: FreshDatabase
let pool: pg.Pool
let db: Kysely<Database>
let last: Statement

beforeAll(async () => {
  database = await freshDatabase()
  pool = new pg.Pool({ connectionString: database.ownerUrl, max: 1 })
  const log = ({ query }: { readonly query: Statement }) => {
    last = query
  }
  db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }), log })
  const owner = openDatabase({ url: database.ownerUrl, queryTimeout: 60_000 })
  await sql`insert into audit_writers (writer, position) values (${WRITER}, ${ROWS})`.execute(owner.db)
  // Two of three are about the same subject, about the same resource, or denied.
  await sql`
    insert into audit (tenant_id, at, id, writer, seq, type, actor_type, actor_id, subject_type, subject_id, action,
                       resource_type, resource_id, decision, reason, rules, ip, request_id, record)
    select 'acme', at, (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '7' ||
                        substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
           ${WRITER}::uuid, n, 'decision', 'service', 'gateway', 'user', case when n % 3 > 0 then 'busy' else 'u' || n % 5000 end,
           'read', 'document', case when n % 3 < 2 then 'hot' else 'd' || n % 5000 end, n % 3 = 1, 'allowed_by_rule',
           array['default/r'], '10.0.0.' || n % 250, 'r' || n, '{"a":1}'
    from generate_series(0, ${ROWS - 1}) n,
         lateral (select date_trunc('month', now()) + n * interval '80 days' / ${ROWS} as at) instant`.execute(owner.db)
  await sql`vacuum analyze audit`.execute(owner.db)
  await owner.close()
})

afterAll(async () => {
  await db.destroy()
  await database.close()
})

interface Plan {
  readonly 'Index Name'?: string
  readonly 'Relation Name'?: string
  readonly 'Node Type': string
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly Plan[]
}

async function planOf({ sql: text, parameters }: Statement): Promise<Plan> {
  const { rows } = await pool.query(`explain (analyze, buffers, format json) ${text}`, [...parameters])
  return rows[0]['QUERY PLAN'][0].Plan
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]
const blocksOf = (plan: Plan) => plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
/** Tables that are read from end to end; one that is empty may be. */
const readWhole = (plan: Plan) =>
  nodes(plan)
    .filter((node) => node['Node Type'] === 'Seq Scan' && blocksOf(node) > 0)
    .map((node) => node['Relation Name'])
const hash = (text: string) => `hmac:${text}`

/** What the page of 50 reads that stands behind `rows` others. */
async function pageBehind(rows: number, filter: AuditFilter, order: 'asc' | 'desc'): Promise<Plan> {
  let cursor: string | null = null
  for (let read = 0; read < rows; read += 1000) {
    cursor = (await listAudit(db, 'acme', filter, { limit: 1000, cursor, order }, hash)).next_cursor
  }
  await listAudit(db, 'acme', filter, { limit: 50, cursor, order }, hash)
  return planOf(last)
}

const month = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 1)).toISOString()

test.each<[string, AuditFilter, RegExp]>([
  ['time', {}, /_pkey$/],
  ['a range of time', { from: month }, /_pkey$/],
  ['subject', { subject_id: 'busy' }, /_hash_at_id_idx/],
  ['resource', { resource_id: 'hot' }, /_hash_at_id_idx/],
  ['the denied', { decision: false }, /_tenant_id_at_id_idx/],
  ['subject and type', { subject_id: 'busy', subject_type: 'user' }, /_hash_at_id_idx/],
])('by %s, the thousandth page reads as little as the first', async (_title, filter, index) => {
  for (const order of ['asc', 'desc'] as const) {
    for (const depth of [0, filter.from === undefined ? 49_000 : 10_000]) {
      const plan = await pageBehind(depth, filter, order)
      const used = nodes(plan).filter((node) => node['Node Type'].includes('Scan') && node['Index Name'] !== undefined)
      expect(used.some((node) => index.test(node['Index Name'] ?? ''))).toBe(true)
      expect(readWhole(plan)).toEqual([])
      expect(blocksOf(plan)).toBeLessThan(300)
    }
  }
})

test('a rare subject is found without looking through the others', async () => {
  const plan = await pageBehind(0, { subject_id: 'u3', decision: false }, 'desc')
  expect(blocksOf(plan)).toBeLessThan(100)
})

test('an export reads a page of a log by its position, wherever in the log it stands', async () => {
  const cursor = { tenant: 'acme', settled: 0, next: new Map([[WRITER, ROWS - 5000]]) }
  const reading = new AuditReading(db, { tenant: 'acme', filter: {}, hash }, cursor)
  for await (const rows of reading.unread()) {
    expect(rows).toHaveLength(200)
    break
  }
  const plan = await planOf(last)
  expect(nodes(plan).some((node) => /writer_seq_idx/.test(node['Index Name'] ?? ''))).toBe(true)
  expect(readWhole(plan)).toEqual([])
  expect(blocksOf(plan)).toBeLessThan(300)
})
