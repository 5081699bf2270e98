import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuditEvent, encodeEvent } from '../../src/audit/event.ts'
import { eventId } from '../../src/audit/event-id.ts'
import { Journal } from '../../src/audit/journal.ts'
import { Shipper } from '../../src/audit/shipper.ts'
import { type AuditFilter, type AuditItem, getAudit, listAudit } from '../../src/store/audit.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event, keptLog } from './support.ts'

let database: FreshDatabase
let root: string
let journal: Journal

const start = Date.now()
const many = Array.from({ length: 99 }, (_, n) => {
  return event({
    ...eventId(start + n),
    subject: { type: 'user', id: `u${n % 4}` },
    decision: n % 3 > 0,
    reason: null,
    trace_id: `t${n % 5}`,
  })
})
const one = event({
  type: 'authentication',
  actor: { type: 'service', id: 'a:b' },
  subject: { type: 'robot', id: 'r2' },
  action: { name: 'pdp:login' },
  resource: { type: 'pdp:session', id: 's/1' },
  decision: false,
  reason: 'denied_by_rule',
  rules: ['default/x', 'default/y'],
  ip: '10.1.2.3',
  request_id: 'req-7',
  trace_id: 'trace-7',
})
const others = Array.from({ length: 10 }, () => event({ tenant: 'other' }))

beforeAll(async () => {
  database = await freshDatabase()
  root = await mkdtemp(join(tmpdir(), 'verdict-audit-'))
  journal = await Journal.open({ root, fsync: 'off' })
  const all = [...many, one, ...others]
  await Promise.all(all.map((each) => journal.append(each.tenant, encodeEvent(each))))
  await new Shipper({ source: journal, store: auditStore(database.db), log: keptLog() }).drain(10_000)
})
afterAll(async () => {
  await journal.close()
  await rm(root, { recursive: true, force: true })
  await database.close()
})

async function list(filter: AuditFilter, order: 'asc' | 'desc' = 'desc'): Promise<readonly AuditItem[]> {
  return (await listAudit(database.db, 'acme', filter, { limit: 1000, order })).items
}

test('gives events as they were recorded, newest first, with where they stand', async () => {
  const items = await list({})
  expect(items.map(({ id }) => id)).toEqual([one, ...[...many].reverse()].map(({ id }) => id))
  const [newest] = items
  expect(newest).toEqual({ ...one, tenant_seq: 100, writer: journal.writer, seq: 99, hash: newest?.hash })
  expect(newest?.hash).toMatch(/^[0-9a-f]{64}$/)
  expect((await list({}, 'asc')).map(({ id }) => id)).toEqual([...many, one].map(({ id }) => id))
})

test.each<[keyof AuditFilter, AuditFilter]>([
  ['type', { type: 'authentication' }],
  ['reason', { reason: 'denied_by_rule' }],
  ['actor', { actor: 'a:b' }],
  ['actor', { actor: 'service:a:b' }],
  ['subject_type', { subject_type: 'robot' }],
  ['subject_id', { subject_id: 'r2' }],
  ['action', { action: 'pdp:login' }],
  ['resource_type', { resource_type: 'pdp:session' }],
  ['resource_id', { resource_id: 's/1' }],
  ['rule', { rule: 'default/y' }],
  ['ip', { ip: '10.1.2.3' }],
  ['request_id', { request_id: 'req-7' }],
  ['trace_id', { trace_id: 'trace-7' }],
])('finds by %s', async (_member, filter) => {
  expect((await list(filter)).map(({ id }) => id)).toEqual([one.id])
  expect(await list({ ...filter, subject_id: 'nobody' })).toEqual([])
})

test('finds by decision, and by several filters at once', async () => {
  const denied = (filter: (each: AuditEvent) => boolean) => [...many, one].filter(filter).map(({ id }) => id)
  const ids = async (filter: AuditFilter) => (await list(filter, 'asc')).map(({ id }) => id)
  expect(await ids({ decision: false })).toEqual(denied(({ decision }) => decision === false))
  expect(await ids({ decision: true })).toEqual(denied(({ decision }) => decision === true))
  const both = denied(({ decision, subject }) => decision === false && subject?.id === 'u1')
  expect(await ids({ decision: false, subject_id: 'u1', subject_type: 'user' })).toEqual(both)
  expect(await ids({ actor: 'gateway', ip: undefined })).toHaveLength(99)
})

test('from is in, to is out', async () => {
  const middle = many[50]?.at ?? ''
  const ids = async (filter: AuditFilter) => (await list(filter, 'asc')).map(({ id }) => id)
  const wanted = (filter: (at: string) => boolean) => [...many, one].filter(({ at }) => filter(at)).map(({ id }) => id)
  expect(await ids({ from: middle })).toEqual(wanted((at) => at >= middle))
  expect(await ids({ to: middle })).toEqual(wanted((at) => at < middle))
  expect(await ids({ from: middle, to: middle })).toEqual([])
  expect(await ids({ from: '2020-01-01T02:00:00+02:00' })).toHaveLength(100)
  await expect(list({ from: '2020-01-01T23:59:60Z' })).rejects.toMatchObject({
    code: 'invalid_request',
    problems: [{ pointer: '/from' }],
  })
})

test('pages of any size lose nothing and repeat nothing', async () => {
  const filters: AuditFilter[] = [
    {},
    { decision: false },
    { subject_id: 'u1' },
    { trace_id: 't2', subject_type: 'user' },
  ]
  const order = fc.constantFrom('asc' as const, 'desc' as const)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(...filters),
      order,
      async (limit, filter, order) => {
        const paged: AuditItem[] = []
        let cursor: string | null = null
        do {
          const page = await listAudit(database.db, 'acme', filter, { limit, cursor, order })
          expect(page.items.length).toBeLessThanOrEqual(limit)
          paged.push(...page.items)
          cursor = page.next_cursor
        } while (cursor !== null)
        expect(paged).toEqual(await list(filter, order))
      },
    ),
    { numRuns: 30 },
  )
})

test('a page goes on from where it stood, whatever came since', async () => {
  const first = await listAudit(database.db, 'other', {}, { limit: 4 })
  await journal.append('other', encodeEvent(event({ tenant: 'other' })))
  await new Shipper({ source: journal, store: auditStore(database.db), log: keptLog() }).drain(5_000)
  const second = await listAudit(database.db, 'other', {}, { limit: 100, cursor: first.next_cursor })
  const ids = [...first.items, ...second.items].map(({ id }) => id)
  expect(ids).toEqual([...others].reverse().map(({ id }) => id))
  expect(second.next_cursor).toBeNull()
})

test('a cursor is good for the question it was given out for only', async () => {
  const { next_cursor: cursor } = await listAudit(database.db, 'acme', { decision: false }, { limit: 2 })
  const refused = expect.objectContaining({
    code: 'invalid_request',
    problems: [expect.objectContaining({ pointer: '/cursor' })],
  })
  const ask = (filter: AuditFilter, cursor: string | null, order?: 'asc') =>
    listAudit(database.db, 'acme', filter, { limit: 2, cursor, order })
  await expect(ask({ decision: true }, cursor)).rejects.toEqual(refused)
  await expect(ask({}, cursor)).rejects.toEqual(refused)
  await expect(ask({ decision: false }, cursor, 'asc')).rejects.toEqual(refused)
  for (const bad of ['', 'x', 'bnVsbA', Buffer.from('["a","b"]').toString('base64url')]) {
    await expect(ask({}, bad)).rejects.toEqual(refused)
  }
  expect((await ask({ decision: false, actor: undefined }, cursor)).items).toHaveLength(2)
})

test('gives one event by its id, to its tenant only', async () => {
  expect(await getAudit(database.db, 'acme', one.id)).toMatchObject({ ...one, writer: journal.writer })
  expect(await getAudit(database.db, 'other', one.id)).toBeUndefined()
  expect(await getAudit(database.db, 'acme', 'b0e8a7a4-5d0c-4f0e-9a55-2f1a1c6f7d11')).toBeUndefined()
  expect(await getAudit(database.db, 'acme', 'nonsense')).toBeUndefined()
  expect(await getAudit(database.db, 'acme', event().id)).toBeUndefined()
})
