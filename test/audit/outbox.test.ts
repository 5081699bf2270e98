import type { Transaction } from 'kysely'
import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { Outbox, type OutboxOptions, type OutboxStore } from '../../src/audit/outbox.ts'
import { recoverJournals } from '../../src/audit/recovery.ts'
import { Shipper } from '../../src/audit/shipper.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import type { TenantDatabase } from '../../src/store/database.ts'
import { outboxStore, owe } from '../../src/store/outbox.ts'
import type { Database } from '../../src/store/schema.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event, keptLog, temporaryDirectory } from './support.ts'

let database: FreshDatabase
let db: TenantDatabase
beforeAll(async () => {
  database = await freshDatabase()
  db = database.db
  await db.insertInto('tenants').values({ id: 'acme', name: 'Acme' }).execute()
})
afterAll(() => database.close())

interface Parts {
  readonly root: string
  readonly journal: Journal
  readonly shipper: Shipper
  readonly outbox: Outbox
}

async function parts(more: Partial<OutboxOptions> & { root?: string; writer?: string } = {}): Promise<Parts> {
  const root = more.root ?? (await temporaryDirectory())
  const journal = await Journal.open({ root, fsync: 'off', writer: more.writer ?? v7() })
  onTestFinished(() => journal.close())
  const shipper = new Shipper({ source: journal, store: auditStore(db), log: keptLog() })
  const outbox = new Outbox({ journal, shipper, store: outboxStore(db), log: keptLog(), ...more })
  return { root, journal, shipper, outbox }
}

const change = () => event({ type: 'administration' })

async function commit(writer: string, one = change()): Promise<{ id: string; tenant: string; text: string }> {
  const text = await db.transaction().execute((trx) => owe(trx, writer, one))
  return { id: one.id, tenant: one.tenant, text }
}

async function owedTo(writer: string): Promise<string[]> {
  const rows = await db.selectFrom('audit_outbox').select('id').where('writer', '=', writer).orderBy('id').execute()
  return rows.map(({ id }) => id)
}

async function keptIds(writer: string): Promise<string[]> {
  const rows = await db.selectFrom('audit').select('id').where('writer', '=', writer).orderBy('seq').execute()
  return rows.map(({ id }) => id)
}

test('a change and its record are committed together or not at all', async () => {
  const { journal } = await parts()
  const one = change()
  const failed = db.transaction().execute(async (trx: Transaction<Database>) => {
    await owe(trx, journal.writer, one)
    throw new Error('the change failed')
  })
  await expect(failed).rejects.toThrow('the change failed')
  expect(await owedTo(journal.writer)).toEqual([])
  expect((await commit(journal.writer, one)).text).toBe(encodeEvent(one))
  expect(await owedTo(journal.writer)).toEqual([one.id])
})

test('an announced record goes through the log, and the debt is paid in the same transaction', async () => {
  const { journal, shipper, outbox } = await parts()
  const { tenant, id, text } = await commit(journal.writer)
  const seq = await outbox.announce(tenant, id, text)
  expect(await outbox.announce(tenant, id, text)).toBe(seq)
  expect(journal.confirmed).toBe(1)
  expect(await owedTo(journal.writer)).toEqual([id])
  await shipper.drain(5_000)
  expect(await keptIds(journal.writer)).toEqual([id])
  expect(await owedTo(journal.writer)).toEqual([])
})

test('a record that nobody announced is found by the sweep, once', async () => {
  const { journal, shipper, outbox } = await parts()
  const announced = await commit(journal.writer)
  const forgotten = await commit(journal.writer)
  await outbox.announce(announced.tenant, announced.id, announced.text)
  await Promise.all([outbox.sweep(), outbox.sweep()])
  await outbox.sweep()
  await outbox.announce(forgotten.tenant, forgotten.id, forgotten.text)
  await shipper.drain(5_000)
  await outbox.sweep()
  expect(await keptIds(journal.writer)).toEqual([announced.id, forgotten.id])
  expect(journal.confirmed).toBe(2)
})

test('a sweep whose answer is older than the shipment does not append again', async () => {
  const real = outboxStore(db)
  const late = deferred()
  const asked = deferred()
  const store: OutboxStore = {
    async owed(writer, limit) {
      const rows = await real.owed(writer, limit)
      asked.resolve()
      if (rows.length > 0) await late.promise
      return rows
    },
  }
  const { journal, shipper, outbox } = await parts({ store, rememberMs: 0 })
  const { tenant, id, text } = await commit(journal.writer)
  await outbox.announce(tenant, id, text)
  const sweep = outbox.sweep()
  await asked.promise
  await shipper.drain(5_000)
  const overtaking = outbox.sweep()
  await Promise.race([overtaking, new Promise((resolve) => setTimeout(resolve, 100))])
  late.resolve()
  await Promise.all([sweep, overtaking])
  await outbox.sweep()
  expect(journal.confirmed).toBe(1)
})

test('forgets what was shipped long ago, and only that', async () => {
  const { journal, shipper, outbox } = await parts({ rememberMs: 0 })
  const { tenant, id, text } = await commit(journal.writer)
  await outbox.announce(tenant, id, text)
  await outbox.sweep()
  expect(await outbox.announce(tenant, id, text)).toBe(0)
  await shipper.drain(5_000)
  await outbox.sweep()
  expect(await outbox.announce(tenant, id, text)).toBe(1)
})

test('a record that the journal refused is appended by a later sweep', async () => {
  const { journal } = await parts()
  let full = true
  const { outbox } = await parts({
    writer: journal.writer,
    journal: {
      writer: journal.writer,
      append: (tenant, text) => (full ? Promise.reject(new Error('full')) : journal.append(tenant, text)),
    },
  })
  const { tenant, id, text } = await commit(journal.writer)
  await expect(outbox.announce(tenant, id, text)).rejects.toThrow('full')
  full = false
  await outbox.sweep()
  expect(journal.confirmed).toBe(1)
})

test('what a killed process owed and had not appended is taken over once its log is shipped', async () => {
  const dead = await parts()
  const appended = await commit(dead.journal.writer)
  const owed = await commit(dead.journal.writer)
  await dead.outbox.announce(appended.tenant, appended.id, appended.text)
  await dead.journal.close()
  const next = await parts({ root: dead.root })
  await next.outbox.sweep()
  expect(next.journal.confirmed).toBe(0)
  const options = { root: dead.root, self: next.journal.writer, store: auditStore(db), log: keptLog() }
  await recoverJournals(options, 5_000)
  await next.outbox.sweep()
  await next.shipper.drain(5_000)
  expect(await keptIds(dead.journal.writer)).toEqual([appended.id])
  expect(await keptIds(next.journal.writer)).toEqual([owed.id])
  const rows = await db.selectFrom('audit_outbox').select('id').where('id', 'in', [appended.id, owed.id]).execute()
  expect(rows).toEqual([])
})

test('two replicas that take over at once append each record once', async () => {
  const dead = await parts()
  const owed = await Promise.all(Array.from({ length: 40 }, () => commit(dead.journal.writer)))
  await auditStore(db).position(dead.journal.writer)
  await auditStore(db).close(dead.journal.writer, 0)
  const [one, two] = await Promise.all([parts(), parts()])
  await Promise.all([one.outbox.sweep(), two.outbox.sweep()])
  await Promise.all([one.outbox.sweep(), two.outbox.sweep()])
  await Promise.all([one.shipper.drain(5_000), two.shipper.drain(5_000)])
  const kept = [...(await keptIds(one.journal.writer)), ...(await keptIds(two.journal.writer))]
  expect(kept.sort()).toEqual(owed.map(({ id }) => id).sort())
})

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
