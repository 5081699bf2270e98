import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { sql } from 'kysely'
import { v7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import type { Checkpoints, PruneStatement } from '../../src/audit/prune.ts'
import { prune } from '../../src/cli/prune.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { event } from '../audit/support.ts'
import { asAdmin, type FreshDatabase, freshDatabase } from '../support/database.ts'
import { verdict } from './run.ts'

const pruner = `verdict_test_pruner_${randomBytes(4).toString('hex')}`
let database: FreshDatabase
let pruneUrl: string
let asPruner: OpenDatabase
let asOwner: OpenDatabase

beforeAll(async () => {
  database = await freshDatabase()
  const url = new URL(database.ownerUrl)
  url.username = pruner
  url.password = randomBytes(12).toString('hex')
  pruneUrl = url.href
  const env = {
    DATABASE_URL: database.url,
    VERDICT_MIGRATE_DATABASE_URL: database.ownerUrl,
    VERDICT_PRUNE_DATABASE_URL: pruneUrl,
  }
  // The role is not there yet: migrate makes it.
  expect(await verdict(['migrate'], { env })).toMatchObject({ status: 0, stderr: '' })
  asPruner = openDatabase({ url: pruneUrl, queryTimeout: 10_000 })
  asOwner = openDatabase({ url: database.ownerUrl, queryTimeout: 10_000 })
  await sql`insert into tenants (id, name) values ('system', 'system') on conflict do nothing`.execute(asOwner.db)
})
afterAll(async () => {
  await asPruner.close()
  await asOwner.close()
  await database.close()
  await asAdmin(`drop role ${pruner}`)
})

const one = '01990000-0000-7000-8000-000000000001'
const two = '01990000-0000-7000-8000-000000000002'

beforeEach(async () => {
  await sql`truncate audit, audit_outbox, audit_pruned`.execute(asOwner.db)
  for (const month of ['2024-01-15', '2024-04-15'])
    await sql`select ensure_audit_partitions(${month})`.execute(database.db)
  await put(one, ['2024-01-10', '2024-01-20', '2024-02-10', '2024-03-10'])
  await put(two, ['2024-02-11', '2024-02-12', '1999-01-01'])
})

async function put(writer: string, days: readonly string[]): Promise<void> {
  for (const [seq, day] of days.entries()) {
    await sql`insert into audit (tenant_id, at, id, writer, seq, type, record)
      values ('acme', ${day}, ${v7()}, ${writer}, ${seq}, 'decision', ${Buffer.from(encodeEvent(event()))})
    `.execute(database.db)
  }
}

/** Everything is covered, but what a test says otherwise of. */
function covering(covered: Record<string, number> = { [one]: 100, [two]: 100 }) {
  const signed: PruneStatement[] = []
  const checkpoints: Checkpoints = {
    covered: async () => new Map(Object.entries(covered)),
    async signPruned(statement) {
      signed.push(statement)
      return `signature ${signed.length}`
    },
  }
  return { checkpoints, signed }
}

async function run(options: Parameters<typeof prune>[0], checkpoints = covering().checkpoints, url = pruneUrl) {
  let stdout = ''
  const io = {
    env: { VERDICT_PRUNE_DATABASE_URL: url, VERDICT_MASTER_KEY: randomBytes(32).toString('base64') },
    stdin: Readable.from([]),
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: () => true },
  }
  return { status: await prune(options, io, checkpoints), stdout }
}

async function left(): Promise<string[]> {
  const { rows } = await sql<{ day: string }>`
    select to_char(at at time zone 'utc', 'YYYY-MM-DD') as day from audit order by at`.execute(database.db)
  return rows.map(({ day }) => day)
}

test('drops whole months before the one that is named, and keeps what was dropped, by month and writer', async () => {
  const { checkpoints, signed } = covering()
  const ran = await run({ before: '2024-03' }, checkpoints)
  expect(ran).toEqual({
    status: 0,
    stdout: 'audit_2024_01  dropped 2 records of 1 writers\naudit_2024_02  dropped 3 records of 2 writers\n',
  })
  expect(await left()).toEqual(['1999-01-01', '2024-03-10'])
  const rows = await database.db
    .selectFrom('audit_pruned')
    .select(['partition', 'writer', 'first_seq', 'next_seq', 'records', 'pruned_by', 'statement', 'signed'])
    .orderBy('partition')
    .orderBy('writer')
    .execute()
  expect(rows.map(({ statement, ...row }) => ({ ...row, statement: JSON.parse(statement).partition }))).toEqual([
    { ...range('audit_2024_01', one, 0, 2), records: 2, signed: 'signature 1' },
    { ...range('audit_2024_02', one, 2, 3), records: 1, signed: 'signature 2' },
    { ...range('audit_2024_02', two, 0, 2), records: 2, signed: 'signature 2' },
  ])
  expect(signed.map(({ partition }) => partition)).toEqual(['audit_2024_01', 'audit_2024_02'])
  const owed = await database.db.selectFrom('audit_outbox').select(['tenant_id', 'writer', 'event']).execute()
  expect(owed.map(({ event, ...row }) => ({ ...row, ...JSON.parse(event).resource }))).toEqual([
    { tenant_id: 'system', writer: null, type: 'pdp:audit', id: 'audit_2024_01' },
    { tenant_id: 'system', writer: null, type: 'pdp:audit', id: 'audit_2024_02' },
  ])
  expect(await run({ before: '2024-03' })).toEqual({ status: 0, stdout: 'There is nothing that old.\n' })
})

const range = (partition: string, writer: string, first_seq: number, next_seq: number) => {
  return { partition, writer, first_seq, next_seq, pruned_by: pruner, statement: partition }
}

test('an instant within a month leaves that month alone', async () => {
  await run({ before: '2024-02-28T00:00:00Z' })
  expect(await left()).toEqual(['1999-01-01', '2024-02-10', '2024-02-11', '2024-02-12', '2024-03-10'])
})

test('a dry run says what it would do, and does nothing', async () => {
  const { checkpoints, signed } = covering()
  const { status, stdout } = await run({ before: '2024-03', dryRun: true, json: true }, checkpoints)
  expect(status).toBe(0)
  expect(JSON.parse(stdout).partitions).toMatchObject([
    { partition: 'audit_2024_01', outcome: 'would' },
    { partition: 'audit_2024_02', outcome: 'would' },
  ])
  expect(await left()).toHaveLength(7)
  expect(signed).toEqual([])
})

test('stops at the first month of which a checkpoint does not cover every record', async () => {
  const { status, stdout } = await run({ before: '2024-05' }, covering({ [one]: 100, [two]: 1 }).checkpoints)
  expect(status).toBe(1)
  expect(stdout).toBe(
    `audit_2024_01  dropped 2 records of 1 writers\naudit_2024_02  kept 3 records of 2 writers: ` +
      `no signed checkpoint covers all records of ${two}\n`,
  )
  expect(await left()).toEqual(['1999-01-01', '2024-02-10', '2024-02-11', '2024-02-12', '2024-03-10'])
})

test('drops nothing where nothing is covered', async () => {
  const env = { VERDICT_PRUNE_DATABASE_URL: pruneUrl, VERDICT_MASTER_KEY: randomBytes(32).toString('base64') }
  const { status, stdout } = await verdict(['audit', 'prune', '--before', '2024-03'], { env })
  expect(status).toBe(1)
  expect(stdout).toContain('kept 2 records')
  expect(await left()).toHaveLength(7)
})

test('everything that it lacks is said at once', async () => {
  const env = { VERDICT_DATA_DIR: '/nowhere/at/all', VERDICT_TYPO: '1' }
  const { status, stderr } = await verdict(['audit', 'prune', '--before', '2024-03', '--dry-run'], { env })
  expect(status).toBe(1)
  for (const name of ['VERDICT_MASTER_KEY is required', 'VERDICT_PRUNE_DATABASE_URL is required', 'VERDICT_TYPO is no'])
    expect(stderr).toContain(name)
})

test('finds the master key that was made for an embedded database, in its data directory', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-prune-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const argv = ['audit', 'prune', '--before', '2024-03', '--dry-run']
  const env = { VERDICT_PRUNE_DATABASE_URL: pruneUrl, VERDICT_DATA_DIR: dataDir }
  expect((await verdict(argv, { env })).stderr).toContain('VERDICT_MASTER_KEY is required')
  await writeFile(join(dataDir, 'master.key'), `${randomBytes(32).toString('base64')}\n`)
  expect((await verdict(argv, { env })).stdout).toContain('audit_2024_01  kept 2 records')
  // With a database of one's own, that key is not meant.
  const own = { ...env, DATABASE_URL: database.url }
  expect((await verdict(argv, { env: own })).stderr).toContain('VERDICT_MASTER_KEY is required')
})

test('deletes what no month took only when it is asked to', async () => {
  await run({ before: '2024-04' })
  expect(await left()).toEqual(['1999-01-01'])
  await run({ before: '2024-04', default: true })
  expect(await left()).toEqual([])
  const rows = await database.db.selectFrom('audit_pruned').select('partition').orderBy('partition').execute()
  expect(rows.at(-1)).toEqual({ partition: 'audit_default' })
})

test('a record that comes late, between the look and the drop, is not dropped unseen', async () => {
  const late = covering()
  let signings = 0
  const checkpoints: Checkpoints = {
    ...late.checkpoints,
    async signPruned(statement, text) {
      if (++signings === 1)
        await sql`insert into audit (tenant_id, at, id, writer, seq, type, record)
          values ('acme', '2024-01-30', ${v7()}, ${one}, 4, 'decision', '\\x00')`.execute(database.db)
      return late.checkpoints.signPruned(statement, text)
    },
  }
  expect((await run({ before: '2024-02' }, checkpoints)).stdout).toBe('audit_2024_01  dropped 3 records of 1 writers\n')
  expect(late.signed.map(({ writers }) => writers[0]?.records)).toEqual([2, 3])
})

test.each([
  ['no month', '2024-13'],
  ['what only a browser takes for a date', '5'],
  ['the future', '2999-01'],
])('%s is refused', async (_what, before) => {
  await expect(run({ before })).rejects.toMatchObject({ code: 'invalid_request' })
})

test('the role of the service may not prune', async () => {
  await expect(run({ before: '2024-03' }, covering().checkpoints, database.url)).rejects.toMatchObject({
    code: 'forbidden',
  })
  expect(await left()).toHaveLength(7)
})

describe('the pruning role', () => {
  test.each([
    'delete from audit',
    'truncate audit',
    'drop table audit_2024_01',
    'update audit set type = type',
    'insert into audit_pruned select * from audit_pruned',
    'delete from audit_pruned',
    "insert into audit_outbox (tenant_id, id, event) values ('system', gen_random_uuid(), '{}')",
    'select from api_keys',
    'select from rules',
    'create table mine ()',
    'update audit_writers set position = position + 1',
    "select ensure_audit_partitions('2024-01-01')",
  ])('may not: %s', async (statement) => {
    await expect(sql.raw(statement).execute(asPruner.db)).rejects.toMatchObject({ code: '42501' })
  })

  test.each([
    ['the current month', `to_char(now() at time zone 'utc', '"audit_"YYYY_MM')`, 'now()', true],
    ['the future', `'audit_2024_01'`, `now() + interval '1 day'`, true],
    ['a month that is not over before the given instant', `'audit_2024_01'`, `'2024-01-31T00:00:00Z'`, true],
    ['another table', `'rules'`, `'2024-02-01T00:00:00Z'`, true],
    ['a month with an event of another kind', `'audit_2024_01'`, `'2024-02-01T00:00:00Z'`, false],
  ])('may not prune %s', async (_what, name, cutoff, isPruning) => {
    const id = v7()
    const action = { name: isPruning ? 'pdp:prune' : 'document:read' }
    const text = JSON.stringify({ id, tenant: 'system', action })
    const call = sql`select prune_audit(${sql.raw(name)}, ${sql.raw(cutoff)}, gen_random_uuid(), '[]', 's', null,
      ${id}, ${text})`
    await expect(call.execute(asPruner.db)).rejects.toMatchObject({ code: '22023' })
  })
})

test('a role that is missing and can’t be made is told with what to run', async () => {
  const url = new URL(inject('postgres').adminUrl)
  url.username = `${pruner}_none`
  url.password = ''
  url.pathname = new URL(database.ownerUrl).pathname
  const env = {
    DATABASE_URL: database.url,
    VERDICT_MIGRATE_DATABASE_URL: database.ownerUrl,
    VERDICT_PRUNE_DATABASE_URL: url.href,
  }
  const { status, stderr } = await verdict(['migrate'], { env })
  expect(status).toBe(1)
  expect(stderr).toContain(`the database has no role "${pruner}_none" for pruning\n  as one who may, run: create role`)
})
