import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal, type JournalOptions } from '../../src/audit/journal.ts'
import { type AuditStore, type RecordSource, Shipper, type ShipperOptions } from '../../src/audit/shipper.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import { openDatabase } from '../../src/store/database.ts'
import { asAdmin, type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { eventually } from '../support/service.ts'
import { event, keptLog, temporaryDirectory, textsOf } from './support.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

async function journalOf(count: number, options: Partial<JournalOptions> = {}): Promise<Journal> {
  const journal = await Journal.open({ root: await temporaryDirectory(), fsync: 'off', ...options })
  onTestFinished(() => journal.close())
  await appendTo(journal, count)
  return journal
}

async function appendTo(journal: Journal, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => journal.append('acme', encodeEvent(event()))))
}

function shipperOf(source: Journal, store: AuditStore, more: Partial<ShipperOptions> = {}): Shipper {
  const shipper = new Shipper({ source, store, log: keptLog(), lingerMs: 1, ...more })
  source.onConfirmed = () => shipper.nudge()
  return shipper
}

async function keptRecords(writer: string): Promise<string[]> {
  const rows = await database.db
    .selectFrom('audit')
    .select(['seq', 'record'])
    .where('writer', '=', writer)
    .orderBy('seq')
    .execute()
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, index) => index))
  return rows.map(({ record }) => record.toString())
}

test('moves every record into the database, byte for byte, with what is searched beside it', async () => {
  const journal = await journalOf(0)
  const full = event({
    subject: { type: 'user', id: 'bob"\\ü', properties: { a: 1 } },
    decision: false,
    rules: ['default/a', 'default/b'],
    request_id: 'r1',
    trace_id: 't1',
    context: { big: 1e300, text: 'a\0b' },
  })
  const bare = event({
    type: 'security',
    actor: null,
    subject: null,
    action: null,
    resource: null,
    context: null,
    decision: null,
    reason: null,
    rules: [],
    ip: null,
  })
  await journal.append('acme', encodeEvent(full))
  await journal.append('acme', encodeEvent(bare))
  const wanted = await textsOf(journal)
  await shipperOf(journal, auditStore(database.db)).drain(10_000)
  expect(await keptRecords(journal.writer)).toEqual(wanted)
  const rows = await database.db
    .selectFrom('audit')
    .selectAll()
    .where('writer', '=', journal.writer)
    .orderBy('seq')
    .execute()
  const where = { tenant_id: 'acme', writer: journal.writer }
  expect(rows.map(({ record, subject_hash, resource_hash, ...columns }) => columns)).toEqual([
    {
      ...where,
      at: new Date(full.at),
      id: full.id,
      seq: 0,
      type: 'decision',
      actor_type: 'service',
      actor_id: 'gateway',
      subject_type: 'user',
      subject_id: 'bob"\\ü',
      action: 'document:read',
      resource_type: 'document',
      resource_id: 'reports/q3',
      decision: false,
      reason: 'allowed_by_rule',
      rules: ['default/a', 'default/b'],
      ip: '127.0.0.1',
      request_id: 'r1',
      trace_id: 't1',
    },
    {
      ...where,
      at: new Date(bare.at),
      id: bare.id,
      seq: 1,
      type: 'security',
      actor_type: null,
      actor_id: null,
      subject_type: null,
      subject_id: null,
      action: null,
      resource_type: null,
      resource_id: null,
      decision: null,
      reason: null,
      rules: [],
      ip: null,
      request_id: null,
      trace_id: null,
    },
  ])
})

test('a record with the longest names that the door lets in is kept', async () => {
  const journal = await journalOf(0)
  const longest = () =>
    Array.from({ length: 512 }, () => String.fromCodePoint(0x10000 + Math.floor(Math.random() * 0xffff))).join('')
  const named = () => ({ type: longest(), id: longest() })
  const facts = { actor: named(), subject: named(), resource: named(), action: { name: longest() }, decision: false }
  await journal.append('acme', encodeEvent(event(facts)))
  const shipper = shipperOf(journal, auditStore(database.db))
  expect(await shipper.drain(10_000)).toBe(true)
  expect(shipper.refusals).toBe(0)
})

test('ships what comes while it runs, and deletes the files that it has shipped', async () => {
  const journal = await journalOf(100, { segmentBytes: 10_000 })
  const shipper = shipperOf(journal, auditStore(database.db), { maxRecords: 30 })
  shipper.start()
  for (let round = 0; round < 10; round++) await appendTo(journal, 50)
  await shipper.committed(599, 10_000)
  expect(shipper.shipped).toBe(600)
  expect(await keptRecords(journal.writer)).toHaveLength(600)
  await expect.poll(() => journal.bytes).toBeLessThan(30_000)
  expect(await shipper.stop(10_000)).toBe(true)
})

test('waits longer for others while many come, and for none once a whole batch is there', async () => {
  const journal = await journalOf(0)
  const shipper = shipperOf(journal, auditStore(database.db), { lingerMs: 20 })
  shipper.start()
  const arrival = async (count: number) => {
    const began = performance.now()
    await appendTo(journal, count)
    await eventually(
      async () => shipper.shipped,
      (shipped) => shipped === journal.confirmed,
    )
    return performance.now() - began
  }
  for (const wait of [20, 40, 80, 160]) expect(await arrival(20)).toBeGreaterThan(wait - 5)
  await shipper.drain(5_000)
  const patient = shipperOf(journal, auditStore(database.db), { lingerMs: 2 ** 30, maxRecords: 30 })
  patient.start()
  const all = () =>
    eventually(
      async () => patient.shipped,
      (shipped) => shipped === journal.confirmed,
    )
  await all()
  await appendTo(journal, 30)
  await all()
  await patient.drain(5_000)
})

test('a commit whose answer is lost is not repeated', async () => {
  const journal = await journalOf(100)
  const store = auditStore(database.db)
  let calls = 0
  const shipper = shipperOf(
    journal,
    {
      ...store,
      async insert(...batch) {
        const moved = await store.insert(...batch)
        if (++calls % 2 === 1) throw new Error('the connection was lost after the commit')
        return moved
      },
    },
    { maxRecords: 10 },
  )
  expect(await shipper.drain(10_000)).toBe(true)
  expect(shipper.failures).toBeGreaterThan(2)
  expect(await keptRecords(journal.writer)).toHaveLength(100)
})

test('connections that are cut in the middle of a batch lose nothing and repeat nothing', async () => {
  const journal = await journalOf(500)
  const shipper = shipperOf(journal, auditStore(database.db), { maxRecords: 200 })
  const name = new URL(database.url).pathname.slice(1)
  shipper.start()
  for (let cut = 0; cut < 200 && shipper.failures < 5; cut++) {
    await appendTo(journal, 100)
    await asAdmin(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = '${name}' and query like '%with moved%' and state = 'active'`)
  }
  expect(shipper.failures).toBeGreaterThanOrEqual(5)
  expect(await shipper.drain(20_000)).toBe(true)
  expect(await keptRecords(journal.writer)).toEqual(await textsOf(journal, 0, 50_000, 100_000_000))
})

test('a network that breaks at any moment, between a commit and its answer too, loses nothing and repeats nothing', async () => {
  const { proxy, url } = await FaultyProxy.before(database.url)
  const through = openDatabase({ url, size: 2, queryTimeout: 1000 })
  onTestFinished(async () => {
    await through.close()
    await proxy.close()
  })
  const journal = await journalOf(3000)
  const store = auditStore(through.db)
  let commits = 0
  const shipper = shipperOf(
    journal,
    {
      ...store,
      insert(...batch) {
        // Long enough for the statement to get there, too short for its answer to come back, or nearly.
        if (commits++ % 4 === 0) setTimeout(() => cut(proxy), (commits % 12) / 2)
        return store.insert(...batch)
      },
    },
    { maxRecords: 100 },
  )
  expect(await shipper.drain(25_000)).toBe(true)
  expect(shipper.failures).toBeGreaterThan(2)
  expect(await keptRecords(journal.writer)).toEqual(await textsOf(journal, 0, 50_000, 100_000_000))
})

function cut(proxy: FaultyProxy): void {
  proxy.mode = 'reset'
  proxy.mode = 'pass'
}

test('two shippers on one journal ship each record once', async () => {
  const journal = await journalOf(2000)
  const one = shipperOf(journal, auditStore(database.db), { maxRecords: 17 })
  const two = shipperOf(journal, auditStore(database.db), { maxRecords: 23 })
  expect(await Promise.all([one.drain(20_000), two.drain(20_000)])).toEqual([true, true])
  expect([one.failures, two.failures]).toEqual([0, 0])
  expect(await keptRecords(journal.writer)).toHaveLength(2000)
})

test('waits for a commit for a bounded time, and only for that', async () => {
  const journal = await journalOf(1)
  const store = auditStore(database.db)
  const away = { now: true }
  const shipper = shipperOf(journal, {
    ...store,
    insert: (...batch) => (away.now ? Promise.reject(new Error('away')) : store.insert(...batch)),
  })
  shipper.start()
  await expect(shipper.committed(0, 300)).rejects.toMatchObject({ code: 'audit_unavailable' })
  away.now = false
  await shipper.committed(0, 10_000)
  expect(await keptRecords(journal.writer)).toHaveLength(1)
  await shipper.committed(0, 0)
  await shipper.stop(1000)
})

test('a record that the database refuses stops the log loudly, alone, and not for ever', async () => {
  const journal = await journalOf(20)
  const bad = await journal.append('acme', '{"id":"no uuid"}')
  await appendTo(journal, 20)
  const log = keptLog()
  const store = auditStore(database.db)
  const healed = { now: false }
  const shipper = shipperOf(
    journal,
    {
      ...store,
      async insert(writer, from, batch) {
        if (!healed.now || from > bad || batch.first + batch.lengths.length <= bad)
          return store.insert(writer, from, batch)
        // As if a later version could read it.
        const cut = {
          ...batch,
          lengths: batch.lengths.slice(0, bad - from),
          offsets: batch.offsets.slice(0, bad - from),
        }
        if (bad > from) return store.insert(writer, from, cut)
        await sql`update audit_writers set position = ${bad + 1} where writer = ${writer}`.execute(database.db)
        return false
      },
    },
    { log },
  )
  shipper.start()
  await shipper.committed(bad - 1, 20_000)
  await expect.poll(() => shipper.refusals).toBeGreaterThan(3)
  expect(shipper.shipped).toBe(bad)
  expect(log.messages).toContain('error: audit records could not be shipped')
  healed.now = true
  await shipper.committed(40, 10_000)
  await shipper.drain(1000)
})

test('takes up a position that somebody else moved', async () => {
  const journal = await journalOf(50)
  const store = auditStore(database.db)
  let raced = false
  const shipper = shipperOf(journal, {
    ...store,
    async insert(writer, from, batch) {
      if (!raced) {
        raced = true
        await store.insert(writer, from, {
          ...batch,
          offsets: batch.offsets.slice(0, 20),
          lengths: batch.lengths.slice(0, 20),
        })
      }
      return store.insert(writer, from, batch)
    },
  })
  expect(await shipper.drain(5_000)).toBe(true)
  expect(await keptRecords(journal.writer)).toHaveLength(50)
})

test('says so when the database was put back to before records that it had confirmed, and goes on', async () => {
  const journal = await journalOf(0, { segmentBytes: 2_000 })
  for (let n = 0; n < 40; n++) await appendTo(journal, 1)
  await shipperOf(journal, auditStore(database.db)).drain(5_000)
  const left = journal.oldest
  expect(left).toBeGreaterThan(10)
  await putBack(journal.writer, 10)
  await appendTo(journal, 5)
  const log = keptLog()
  expect(await shipperOf(journal, auditStore(database.db), { log }).drain(5_000)).toBe(true)
  expect(log.messages).toEqual(['error: the database has lost audit records that it had confirmed'])
  const rows = await database.db.selectFrom('audit').select('seq').where('writer', '=', journal.writer).execute()
  const wanted = Array.from({ length: 45 }, (_, seq) => seq).filter((seq) => seq < 10 || seq >= left)
  expect(rows.map(({ seq }) => seq).sort((one, other) => one - other)).toEqual(wanted)
})

/** 200,000 records a second, by its own clock: a tenth of a second for each time that the shipper waits. */
function burst() {
  let ms = 150
  const source: RecordSource = {
    writer: 'burst',
    get confirmed() {
      return ms * 200
    },
    oldest: 0,
    read: async (first, records) => ({ first, ...lengths(records) }),
    trim: async () => {},
    remove: async () => {},
  }
  const batches: number[] = []
  const store: AuditStore = {
    ...auditStore(database.db),
    position: async () => ({ position: 0, closed: false }),
    insert: async () => {
      ms += 150
      batches.push(ms)
      return true
    },
    ensurePartitions: async () => {},
  }
  const waits = () => {
    ms += 100
    return true
  }
  return { source, store, batches, clock: () => ms, waits }
}

/** As many records of no bytes. */
function lengths(records: number) {
  return { bytes: Buffer.alloc(0), offsets: Array<number>(records).fill(0), lengths: Array<number>(records).fill(0) }
}

test('in a burst it leaves the processor to answers, and ships a batch now and then', async () => {
  const { source, store, batches, clock, waits } = burst()
  const shipper = new Shipper({ source, store, log: keptLog(), mayYield: waits, clock })
  shipper.start()
  await expect.poll(() => batches.length, { timeout: 20_000 }).toBe(3)
  await shipper.drain(0)
  // What comes is known from the second on.
  expect(batches).toEqual([300, 450, 1300])
})

test('as soon as it may yield no longer, it ships on', async () => {
  const { source, store, batches, clock, waits } = burst()
  const mayYield = () => clock() < 600 && waits()
  const shipper = new Shipper({ source, store, log: keptLog(), mayYield, clock })
  shipper.start()
  await shipper.committed(15_999, 20_000)
  await shipper.drain(0)
  expect(batches.slice(0, 4)).toEqual([300, 450, 800, 950])
})

/** As a restore to an earlier state leaves the database. */
async function putBack(writer: string, position: number): Promise<void> {
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query('set session_replication_role = replica')
  await owner.query('delete from audit where writer = $1 and seq >= $2', [writer, position])
  await owner.query('update audit_writers set position = $2 where writer = $1', [writer, position])
  await owner.end()
}

test('a writer that is done is closed, and takes nothing more', async () => {
  const journal = await journalOf(10)
  const store = auditStore(database.db)
  const shipper = shipperOf(journal, store)
  expect(await shipper.stop(10_000)).toBe(true)
  expect(await store.position(journal.writer)).toEqual({ position: 10, closed: true })
  const another = await journalOf(1, { writer: journal.writer })
  const batch = await another.read(0, 1, 1000)
  expect(batch && (await store.insert(journal.writer, 10, { ...batch, first: 10 }))).toBe(false)
})

test('stops in time while the database is away, and leaves the log for the next start', async () => {
  const journal = await journalOf(10)
  const hanging: AuditStore = { ...auditStore(database.db), insert: () => new Promise(() => {}) }
  const shipper = shipperOf(journal, hanging)
  expect(await shipper.stop(300)).toBe(false)
  expect(await textsOf(journal)).toHaveLength(10)
})

test('a record that something in the database keeps out of the table is not taken for shipped', async () => {
  const journal = await journalOf(20)
  const kept = await journal.append('quiet', JSON.stringify(event({ tenant: 'quiet' })))
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  onTestFinished(() => owner.end())
  await owner.query(`create function swallow() returns trigger language plpgsql as 'begin return null; end';
    create trigger swallow before insert on audit for each row when (new.tenant_id = 'quiet') execute function swallow()`)
  const log = keptLog()
  const shipper = shipperOf(journal, auditStore(database.db), { log })
  shipper.start()
  await shipper.committed(kept - 1, 20_000)
  await expect.poll(() => shipper.refusals, { timeout: 10_000 }).toBeGreaterThan(3)
  expect(shipper.shipped).toBe(kept)
  expect(log.messages).toContain('error: audit records could not be shipped')
  // Replaced, not dropped: a drop takes the locks of the partitions before their parent's, an insert after it.
  await owner.query(`create or replace function swallow() returns trigger language plpgsql as 'begin return new; end'`)
  await shipper.committed(kept, 10_000)
  await shipper.drain(1000)
})
