import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { AuditTrail } from '../../src/audit/trail.ts'
import { getAudit } from '../../src/store/audit.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import { outboxStore, owe } from '../../src/store/outbox.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event, keptLog, temporaryDirectory } from './support.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
  await database.db.insertInto('tenants').values({ id: 'acme', name: 'Acme' }).execute()
})
afterAll(() => database.close())

function open(root: string): Promise<AuditTrail> {
  const store = { ...auditStore(database.db), ...outboxStore(database.db) }
  return AuditTrail.open({ root, fsync: 'batch', store, log: keptLog() })
}

const found = (id: string) => getAudit(database.db, 'acme', id)

test('a recorded event reaches the database by itself; a committed one is there when the wait ends', async () => {
  const root = await temporaryDirectory()
  const trail = await open(root)
  const [safe, committed] = [event(), event()]
  await trail.record(safe)
  await expect.poll(() => found(safe.id)).toMatchObject(safe)
  await trail.committed(await trail.record(committed))
  expect(await found(committed.id)).toMatchObject({ ...committed, writer: trail.journal.writer, seq: 1 })
  expect(await trail.stop(5_000)).toBe(true)
  expect(await readdir(root)).toEqual([])
})

test('a start takes up what a killed process left: its journal, then what it still owed', async () => {
  const root = await temporaryDirectory()
  const dead = await Journal.open({ root, fsync: 'off' })
  const [recorded, owed] = [event(), event({ type: 'administration' })]
  await dead.append('acme', encodeEvent(recorded))
  await database.db.transaction().execute((trx) => owe(trx, dead.writer, owed))
  await dead.close()
  const trail = await open(root)
  await expect.poll(() => found(recorded.id)).toMatchObject({ writer: dead.writer })
  await expect.poll(() => found(owed.id)).toMatchObject({ writer: trail.journal.writer })
  expect(await readdir(root)).toEqual([trail.journal.writer])
  expect(await trail.stop(5_000)).toBe(true)
})

test('shipping may yield only where it is known that nobody waits for it, and while the journal has room', async () => {
  const store = {
    ...auditStore(database.db),
    ...outboxStore(database.db),
    insert: () => new Promise<boolean>(() => {}),
  }
  const root = await temporaryDirectory()
  const trail = await AuditTrail.open({ root, fsync: 'off', maxBytes: 400_000, store, log: keptLog() })
  expect(trail.mayYield).toBe(false)
  let isAwaited = false
  trail.isAwaited = () => isAwaited
  expect(trail.mayYield).toBe(true)
  isAwaited = true
  expect(trail.mayYield).toBe(false)
  isAwaited = false
  const pad = 'x'.repeat(10_000)
  for (let n = 0; n < 11; n++) await trail.record(event({ context: { pad } }))
  expect(trail.mayYield).toBe(false)
  await trail.stop(100)
})

test('what dead processes have left counts as backlog, and toward the limit of the journal', async () => {
  const root = await temporaryDirectory()
  const dead = await Journal.open({ root, fsync: 'off' })
  await Promise.all(Array.from({ length: 100 }, () => dead.append('acme', encodeEvent(event()))))
  await dead.close()
  let isAway = true
  const real = auditStore(database.db)
  const insert: typeof real.insert = (...given) => (isAway ? Promise.reject(new Error('away')) : real.insert(...given))
  const store = { ...real, insert, ...outboxStore(database.db) }
  const trail = await AuditTrail.open({ root, fsync: 'off', maxBytes: dead.bytes + 500, store, log: keptLog() })
  expect([trail.journal.bytes, trail.journal.backlog.bytes]).toEqual([dead.bytes, dead.bytes])
  await expect(trail.record(event())).rejects.toMatchObject({ code: 'audit_unavailable' })
  await expect.poll(() => trail.backlog).toBe(100)
  isAway = false
  await expect.poll(() => [trail.backlog, trail.journal.bytes], { timeout: 10_000 }).toEqual([0, 0])
  await trail.record(event())
  expect(await trail.stop(5_000)).toBe(true)
})

test('a stop records what is owed and was not announced', async () => {
  const trail = await open(await temporaryDirectory())
  const owed = event({ type: 'administration' })
  await database.db.transaction().execute((trx) => owe(trx, trail.journal.writer, owed))
  expect(await trail.stop(5_000)).toBe(true)
  expect(await found(owed.id)).toBeDefined()
})
