import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { Shipper } from '../../src/audit/shipper.ts'
import { openSealing } from '../../src/serve/sealing.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { event, keptLog } from '../audit/support.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { verdict } from './run.ts'

const masterKey = randomBytes(32)
let database: FreshDatabase
let owner: OpenDatabase
let dataDir: string

beforeAll(async () => {
  database = await freshDatabase()
  owner = openDatabase({ url: database.ownerUrl, size: 1, queryTimeout: 10_000 })
  dataDir = await mkdtemp(join(tmpdir(), 'verdict-pruned-'))
  await sql`insert into tenants (id, name) values ('system', 'system'), ('acme', 'acme')`.execute(owner.db)
  await sql`select ensure_audit_partitions('2024-01-15')`.execute(database.db)
  const sealing = await openSealing({ db: database.db, masterKey, dataDir, log: keptLog() })
  const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
  // The months overlap in the log, as they do where a record came late.
  for (const day of ['01-10', '01-20', '02-10', '01-21', '03-10', '03-11']) {
    const msecs = Date.parse(`2024-${day}T00:00:00Z`)
    await journal.append('acme', encodeEvent(event({ id: v7({ msecs }), at: new Date(msecs).toISOString() })))
  }
  await journal.close()
  await new Shipper({ source: journal, store: sealing.store, log: keptLog() }).stop(10_000)
  await sealing.stop()
})

afterAll(async () => {
  await owner.close()
  await database.close()
  await rm(dataDir, { recursive: true, force: true })
})

const verify = (...argv: string[]) =>
  verdict(['audit', 'verify', '--json', ...argv], {
    env: { DATABASE_URL: database.url, VERDICT_DATA_DIR: dataDir },
  })

test('what was pruned is not missing, and is told; as long as it was signed, and no record more', async () => {
  const pruned = await verdict(['audit', 'prune', '--before', '2024-02'], {
    env: { VERDICT_PRUNE_DATABASE_URL: database.ownerUrl, VERDICT_MASTER_KEY: masterKey.toString('base64') },
  })
  expect(pruned).toMatchObject({ status: 0, stderr: '' })
  expect(JSON.parse((await verify()).stdout)).toMatchObject({
    integrity: { ok: true, checked: 3 },
    completeness: { ok: true },
    pruned: 3,
  })
  expect((await verify('--tenant', 'acme')).status).toBe(0)

  const gone = await sql`delete from audit where seq = 2`.execute(owner.db)
  expect(gone.numAffectedRows).toBe(1n)
  const short = await verify()
  expect(short.status).toBe(4)
  expect(JSON.parse(short.stdout).completeness).toMatchObject({ count: 1, missing: [{ kind: 'missing', count: 1 }] })

  await sql`insert into audit_pruned (id, partition, writer, first_seq, next_seq, records, statement, signed)
    select gen_random_uuid(), partition, writer, first_seq, next_seq, records, statement, signed || ${'— x AAAAAAAA\n'}
    from audit_pruned`.execute(owner.db)
  expect(JSON.parse((await verify()).stdout)).toMatchObject({ completeness: { count: 1 }, pruned: 3 })

  await sql`update audit_pruned set statement = replace(statement, '"records":3', '"records":4')`.execute(owner.db)
  const forged = await verify()
  expect(forged.status).toBe(5)
  expect(forged.stdout).toContain('a statement of what was pruned is not signed')
})

test('nothing is pruned that no checkpoint covers, and nothing is signed without the key for it', async () => {
  await sql`delete from audit_checkpoints`.execute(owner.db)
  const env = { VERDICT_PRUNE_DATABASE_URL: database.ownerUrl, VERDICT_MASTER_KEY: masterKey.toString('base64') }
  expect(await verdict(['audit', 'prune', '--before', '2024-04'], { env })).toMatchObject({ status: 1 })
  const { VERDICT_MASTER_KEY: _key, ...without } = env
  const refused = await verdict(['audit', 'prune', '--before', '2024-04'], { env: without })
  expect(refused.status).toBe(1)
  expect(refused.stderr).toContain('VERDICT_MASTER_KEY is required')
})
