import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../src/store/schema.ts'
import type { Section } from '../section.ts'
import { PROJECT } from '../soak/program.ts'
import { rounded } from './callers.ts'
import { Pages } from './pages.ts'
import { Room } from './room.ts'
import { Service } from './service.ts'
import { type Filled, Trail } from './trail.ts'

const TENANTS = [
  { name: 'default', share: 0.6 },
  { name: 'acme', share: 0.25 },
  { name: 'globex', share: 0.1 },
  { name: 'initech', share: 0.05 },
]
/** Rather more than was ever measured: table, indexes, leaves, and the log of Postgres. */
const ROW_BYTES = 2000
const GIB = 2 ** 30
/** Of a journal that was left behind: what a service ships that has nothing else to do. */
const LEFT = 50_000

/**
 * `audit-rows [--rows 100000] [--writers 3] [--seconds 5] [--samples 100]`: a trail of so many rows: how fast they come
 * in, what they take, how long a page of an answer takes, and how long verifying them all.
 */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string', default: '100000' },
      writers: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      samples: { type: 'string', default: '100' },
    },
  })
  const [rows, writers, seconds, samples] = [values.rows, values.writers, values.seconds, values.samples].map(Number)
  if (rows === undefined || writers === undefined || seconds === undefined || samples === undefined) return []
  return Room.with('audit-rows', rows * ROW_BYTES + 2 * GIB, async (room) => {
    const trail = await Trail.start(room)
    const filled = await trail.fill({ rows, writers, tenants: TENANTS })
    await sql`vacuum analyze audit`.execute(trail.db)
    const size = sizeSection(await sizes(trail.across), rows)
    const pages = await pagesSection(trail, rows, samples)
    const verified = await verifySection(trail, rows)
    return [await ingestSection(room, trail, rows, writers, seconds, filled), size, pages, verified]
  })
}

/** Last, as it adds rows that the others do not count. */
async function ingestSection(
  room: Room,
  trail: Trail,
  rows: number,
  writers: number,
  seconds: number,
  { per_second, tenths }: Filled,
): Promise<Section> {
  const dataDir = join(room.folder, 'service')
  const writer = await trail.leave(dataDir, LEFT, TENANTS)
  const starting = Service.start(room, 'service', { ...trail.env, VERDICT_DATA_DIR: dataDir })
  const [alone, service] = await Promise.all([recovery(trail, writer), starting])
  await service.press({ connections: 64, seconds: 3 })
  await service.drained()
  const before = await service.shipped()
  const answered = await service.press({ connections: 64, seconds })
  const beside = ((await service.shipped()) - before) / answered.seconds
  const figure = (value: number) => Math.round(value)
  const result = [
    { ingest: `${writers} writers at once, from an empty table`, rows_per_second: figure(per_second) },
    { ingest: 'the same, the first tenth', rows_per_second: figure(tenths[0] ?? Number.NaN) },
    { ingest: 'the same, the last tenth', rows_per_second: figure(tenths.at(-1) ?? Number.NaN) },
    { ingest: 'a service that nobody asks, from a journal', rows_per_second: figure(alone) },
    {
      ingest: `a service that answers all it can, ${figure(answered.per_second).toLocaleString('en')} a second`,
      rows_per_second: figure(beside),
    },
  ]
  return {
    title: `Rows into Postgres, ${rows.toLocaleString('en')} of them`,
    method: `Records of decisions in ${TENANTS.length} tenants over 60 days, in batches of 2,000 with leaf hashes and signed checkpoints, with the
rights of the service. What makes them, and Postgres, stand on the same machine; so do, in the last two lines, the
service and who asks it. Its rows come on top of the full table: ${LEFT.toLocaleString('en')} from the journal of a process that was killed, and what
it answers itself.`,
    rows: result,
  }
}

/** Records a second, from the first batch that is there to the last. */
async function recovery(trail: Trail, writer: string): Promise<number> {
  let first: { readonly at: number; readonly position: number } | undefined
  for (;;) {
    const [position, at] = [await trail.position(writer), performance.now()]
    if (position > 0) first ??= { at, position }
    if (first !== undefined && position === LEFT) return ((position - first.position) / (at - first.at)) * 1000
    await pause(5)
  }
}

interface Size {
  readonly what: string
  readonly bytes: number
}

async function sizes(db: Kysely<Database>): Promise<readonly Size[]> {
  const { rows } = await sql<Size>`
    with parts as (select inhrelid as id from pg_inherits where inhparent = 'audit'::regclass)
    select 'rows, with the recorded bytes' as what, sum(pg_table_size(id))::float8 as bytes from parts
    union all
    select 'of these, the recorded bytes', (select sum(length(record))::float8 from audit)
    union all (
      select 'index: ' || regexp_replace(pg_get_indexdef(parent.inhparent), '^.* USING ', ''),
             sum(pg_relation_size(i.indexrelid))::float8
      from parts join pg_index i on i.indrelid = parts.id join pg_inherits parent on parent.inhrelid = i.indexrelid
      group by parent.inhparent order by 1)
    union all
    select 'hashes and checkpoints', (pg_total_relation_size('audit_tree') + pg_total_relation_size('audit_checkpoints'))::float8`.execute(
    db,
  )
  return rows
}

function sizeSection(found: readonly Size[], rows: number): Section {
  const parts = found.filter(({ what }) => !what.startsWith('of these'))
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  return {
    title: `What ${rows.toLocaleString('en')} rows take on the disk`,
    method: 'Table, indexes and Merkle trees, after `vacuum`; without the write-ahead log of Postgres.',
    rows: [...found, { what: 'all', bytes: total }].map(({ what, bytes }) => ({
      what,
      bytes_per_row: Math.round(bytes / rows),
      mib: Math.round(bytes / 2 ** 20),
    })),
  }
}

async function pagesSection(trail: Trail, rows: number, samples: number): Promise<Section> {
  const pages = new Pages(trail, TENANTS[0]?.name ?? '')
  try {
    const found = await pages.measure(samples)
    return {
      title: `A page of 50 out of ${rows.toLocaleString('en')} rows`,
      method: `What \`GET /v1/audit\` asks the store, with the rights of the service, for the tenant with the most records: the first
page for subjects and resources drawn as they come up, or behind an instant drawn over all the time; and pages from the
thousandth on of the most frequent ones, or from the deepest there is.`,
      rows: found,
    }
  } finally {
    await pages.close()
  }
}

/** By the command, over all there is, with the checkpoints of the data directory. @throws at a false alarm. */
async function verifySection(trail: Trail, rows: number): Promise<Section> {
  const began = performance.now()
  const { status, text } = await command(['audit', 'verify', '--json'], {
    ...trail.env,
    VERDICT_DATA_DIR: trail.dataDir,
  })
  const seconds = (performance.now() - began) / 1000
  console.error(`verified in ${Math.round(seconds)} s`)
  const { integrity, completeness, outside, logs } = JSON.parse(text)
  if (status !== 0 || !integrity.ok || !completeness.ok || integrity.checked !== rows)
    throw new Error(`good rows are found bad: status ${status}, ${text}`)
  return {
    title: 'Verifying all of it',
    method:
      '`verdict audit verify` over all logs, against the checkpoints of the data directory; it must find nothing.',
    rows: [
      {
        records: rows,
        logs: logs.length,
        checkpoints_outside: outside,
        seconds: rounded(seconds),
        records_per_second: Math.round(rows / seconds),
        false_alarms: 0,
      },
    ],
  }
}

function command(args: readonly string[], env: Readonly<Record<string, string>>) {
  const main = join(PROJECT, 'dist/main.js')
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const child = execFile(process.execPath, [main, ...args], { env, maxBuffer: 2 ** 26 }, (_, text, complaint) => {
      if (text === '') reject(new Error(`verdict ${args.join(' ')}: ${complaint}`))
      else resolve({ status: child.exitCode ?? -1, text })
    })
  })
}
