import { getEventListeners } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { recoverJournals } from '../../src/audit/recovery.ts'
import { segmentName } from '../../src/audit/segments.ts'
import { type AuditStore, Shipper } from '../../src/audit/shipper.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event, keptLog, temporaryDirectory, textsOf } from './support.ts'

let database: FreshDatabase
let store: AuditStore
beforeAll(async () => {
  database = await freshDatabase()
  store = auditStore(database.db)
})
afterAll(() => database.close())

/** A log as a killed process leaves it: its files, and as many records shipped as it got to. */
async function leftLog(root: string, count: number, shipped: number): Promise<{ writer: string; records: string[] }> {
  const journal = await Journal.open({ root, fsync: 'off', segmentBytes: 2000 })
  for (let n = 0; n < count; n++) await journal.append('acme', encodeEvent(event()))
  const { position } = await store.position(journal.writer)
  const first = shipped === 0 ? undefined : await journal.read(0, shipped, 1_000_000)
  if (first !== undefined) await store.insert(journal.writer, position, first)
  await journal.close()
  return { writer: journal.writer, records: await textsOf(journal) }
}

async function keptRecords(writer: string): Promise<string[]> {
  const rows = await database.db
    .selectFrom('audit')
    .select('record')
    .where('writer', '=', writer)
    .orderBy('seq')
    .execute()
  return rows.map(({ record }) => record.toString())
}

test('ships what dead processes left, under their names, and closes them', async () => {
  const root = await temporaryDirectory()
  const partly = await leftLog(root, 30, 2)
  const unshipped = await leftLog(root, 5, 0)
  const empty = await leftLog(root, 0, 0)
  const own = await Journal.open({ root, fsync: 'off' })
  await own.append('acme', encodeEvent(event()))
  const { signal } = new AbortController()
  const outcomes = await recoverJournals({ root, self: own.writer, store, log: keptLog(), signal }, 20_000)
  // However many logs there are: nothing of them waits for the end of the process.
  expect(getEventListeners(signal, 'abort')).toEqual([])
  expect(outcomes).toEqual([
    { writer: partly.writer, records: 30, shipped: 28, complete: true, damage: undefined },
    { writer: unshipped.writer, records: 5, shipped: 5, complete: true, damage: undefined },
    { writer: empty.writer, records: 0, shipped: 0, complete: true, damage: undefined },
  ])
  expect(await keptRecords(partly.writer)).toEqual(partly.records)
  expect(await keptRecords(unshipped.writer)).toEqual(unshipped.records)
  expect(await store.position(partly.writer)).toEqual({ position: 30, closed: true })
  expect(await readdir(root)).toEqual([own.writer])
  expect(await keptRecords(own.writer)).toEqual([])
  await own.close()
})

test('finishes a recovery that was itself cut off', async () => {
  const root = await temporaryDirectory()
  const left = await leftLog(root, 20, 0)
  const failing: AuditStore = { ...store, close: () => Promise.reject(new Error('killed here')) }
  const [first] = await recoverJournals({ root, self: undefined, store: failing, log: keptLog() }, 5_000)
  expect(first?.complete).toBe(false)
  const [second] = await recoverJournals({ root, self: undefined, store, log: keptLog() }, 5_000)
  expect(second?.complete).toBe(true)
  expect(await keptRecords(left.writer)).toEqual(left.records)
})

test('removes a log whose writer was closed before the files could be deleted', async () => {
  const root = await temporaryDirectory()
  const left = await leftLog(root, 3, 3)
  expect(await store.close(left.writer, 3)).toBe(true)
  const [outcome] = await recoverJournals({ root, self: undefined, store, log: keptLog() }, 5_000)
  expect(outcome?.complete).toBe(true)
  expect(await readdir(root)).toEqual([])
})

test('a damaged log is shipped up to the damage, reported, and kept', async () => {
  const root = await temporaryDirectory()
  const left = await leftLog(root, 30, 0)
  const [, second = ''] = (await readdir(join(root, left.writer))).sort()
  const file = join(root, left.writer, second)
  const bytes = await readFile(file)
  await writeFile(file, bytes.subarray(0, bytes.length - 3))
  const log = keptLog()
  const [outcome] = await recoverJournals({ root, self: undefined, store, log }, 5_000)
  expect(outcome).toMatchObject({ complete: false, damage: { path: file } })
  const lost = outcome?.damage?.from ?? 0
  expect(await keptRecords(left.writer)).toEqual(left.records.slice(0, lost))
  expect(log.messages).toContain('error: a journal is damaged: its records from here on are not shipped')
  expect(await store.position(left.writer)).toEqual({ position: lost, closed: false })
  expect(await readdir(root)).toEqual([left.writer])
})

test('damage in what was shipped before does not hold up the rest', async () => {
  const root = await temporaryDirectory()
  const left = await leftLog(root, 30, 6)
  const file = join(root, left.writer, segmentName(0))
  const bytes = await readFile(file)
  await writeFile(file, bytes.subarray(0, 10))
  const { position } = await store.position(left.writer)
  const [, second = ''] = (await readdir(join(root, left.writer))).sort()
  expect(position).toBeGreaterThanOrEqual(Number.parseInt(second, 10))
  const [outcome] = await recoverJournals({ root, self: undefined, store, log: keptLog() }, 5_000)
  expect(outcome?.complete).toBe(true)
  expect(await keptRecords(left.writer)).toEqual(left.records)
})

test('a recovery ends when it is told to', async () => {
  const root = await temporaryDirectory()
  await leftLog(root, 20, 0)
  const stopped = new AbortController()
  const away: AuditStore = { ...store, insert: () => Promise.reject(new Error('away')) }
  setTimeout(() => stopped.abort(), 200)
  const options = { root, self: undefined, store: away, log: keptLog(), signal: stopped.signal }
  const [outcome] = await recoverJournals(options, Number.POSITIVE_INFINITY)
  expect(outcome?.complete).toBe(false)
})

test('a live shipper and a recovery of the same log do not repeat a record', async () => {
  const root = await temporaryDirectory()
  const journal = await Journal.open({ root, fsync: 'off' })
  for (let n = 0; n < 200; n++) await journal.append('acme', encodeEvent(event()))
  const live = new Shipper({ source: journal, store, log: keptLog(), maxRecords: 7 })
  const recovery = recoverJournals({ root, self: undefined, store, log: keptLog() }, 10_000)
  await Promise.all([live.drain(10_000), recovery])
  expect(await keptRecords(journal.writer)).toHaveLength(200)
  await journal.close()
})
