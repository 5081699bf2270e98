import { sql } from 'kysely'
import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { decodeAuditCursor, encodeAuditCursor } from '../../src/store/audit-cursor.ts'
import { AuditReading } from '../../src/store/audit-export.ts'
import type { AuditFilter } from '../../src/store/audit-filter.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { event, ship } from './support.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

const start = Date.now()
let made = 0
let tenants = 0
const newTenant = () => `tenant-${++tenants}`
/** Events of a tenant, a millisecond apart; `ago` is how long before now they were. */
const events = (tenant: string, count: number, more: Partial<AuditEvent> = {}, ago = 0) =>
  Array.from({ length: count }, () => {
    made++
    return event({ tenant, ...eventAt(start - ago + made), subject: { type: 'user', id: `u${made % 3}` }, ...more })
  })
const eventAt = (ms: number) => ({ id: v7({ msecs: ms }), at: new Date(ms).toISOString() })

const reading = (tenant: string, cursor?: string, filter: AuditFilter = {}) =>
  new AuditReading(
    database.db,
    { tenant, filter, hash: (text) => `hmac:${text}` },
    cursor === undefined ? undefined : decodeAuditCursor(cursor, tenant),
  )

/** All that is unread, with the cursor after each page. */
async function readAll(one: AuditReading): Promise<{ ids: string[]; cursors: string[] }> {
  const ids: string[] = []
  const cursors: string[] = []
  for await (const rows of one.unread()) {
    ids.push(...rows.map(({ id }) => id))
    cursors.push(encodeAuditCursor(one.cursor))
  }
  cursors.push(encodeAuditCursor(one.cursor))
  return { ids, cursors }
}

const idsOf = (all: readonly AuditEvent[]) => all.map(({ id }) => id)
const close = (writer: string, secondsAgo: number) =>
  sql`update audit_writers set closed_at = now() - make_interval(secs => ${secondsAgo}) where writer = ${writer}`.execute(
    database.db,
  )

test('gives a tenant all of its records and no other’s, by writer and in the order of each log', async () => {
  const [tenant, other] = [newTenant(), newTenant()]
  const [one, two] = [v7(), v7()]
  const [a, b, c] = [events(tenant, 450), events(other, 3), events(tenant, 5)]
  await ship(database.db, two, c)
  await ship(database.db, one, [...a.slice(0, 100), ...b, ...a.slice(100)])
  expect((await readAll(reading(tenant))).ids).toEqual([...idsOf(a), ...idsOf(c)])
  const late = reading(tenant)
  await readAll(late)
  expect(late.complete).toEqual([
    { writer: one, position: 453, closed: false },
    { writer: two, position: 5, closed: false },
  ])
})

test('a record that arrives late comes behind the cursor, whatever its time is', async () => {
  const tenant = newTenant()
  const [one, orphan] = [v7(), v7({ msecs: start - 86_400_000 })]
  await ship(database.db, one, events(tenant, 3))
  const { cursors } = await readAll(reading(tenant))
  const late = events(tenant, 2, {}, 3_600_000)
  const later = events(tenant, 2, {}, 86_400_000)
  await ship(database.db, one, late)
  await ship(database.db, orphan, later)
  const { ids } = await readAll(reading(tenant, cursors.at(-1)))
  expect(ids.sort()).toEqual([...idsOf(late), ...idsOf(later)].sort())
})

test('wherever it breaks off, going on gives the rest and nothing twice', async () => {
  const tenant = newTenant()
  const writers = Array.from({ length: 6 }, () => v7())
  for (const [place, writer] of writers.entries()) await ship(database.db, writer, events(tenant, 150 + 60 * place))
  // Two have long been closed, at the same instant; one just now; the others are open.
  await sql`
    update audit_writers set closed_at = now() - interval '1 hour'
    where writer = any(${[writers[4], writers[1]]}::uuid[])`.execute(database.db)
  await close(writers[3] ?? '', 7200)
  await close(writers[2] ?? '', 1)
  const whole = await readAll(reading(tenant))
  expect(new Set(whole.ids).size).toBe(6 * 150 + 60 * 15)
  let given = 0
  const first = reading(tenant)
  for await (const rows of first.unread()) {
    given += rows.length
    const rest = await readAll(reading(tenant, encodeAuditCursor(first.cursor)))
    expect(new Set([...whole.ids.slice(0, given), ...rest.ids]).size).toBe(whole.ids.length)
    expect(rest.ids.length).toBe(whole.ids.length - given)
  }
})

test('a writer that was closed leaves the cursor once that is settled, so that it does not grow for ever', async () => {
  const tenant = newTenant()
  const writers = Array.from({ length: 20 }, () => v7())
  for (const writer of writers) await ship(database.db, writer, events(tenant, 1))
  const before = await finished(reading(tenant))
  expect(before.cursor.next.size).toBe(20)
  const open = encodeAuditCursor(before.cursor)
  for (const [place, writer] of writers.entries()) await close(writer, place === 0 ? 5 : 90)
  const after = await finished(reading(tenant, open))
  expect([...after.cursor.next.keys()]).toEqual([writers[0]])
  expect((await readAll(reading(tenant, encodeAuditCursor(after.cursor)))).ids).toEqual([])
})

async function finished(one: AuditReading): Promise<AuditReading> {
  await readAll(one)
  return one
}

test('a writer with nothing of the tenant’s is not in its cursor, and is found when it has', async () => {
  const [tenant, other] = [newTenant(), newTenant()]
  const writer = v7()
  await ship(database.db, writer, events(other, 3))
  const before = await finished(reading(tenant))
  expect(before.cursor.next.size).toBe(0)
  const first = events(tenant, 1)
  await ship(database.db, writer, first)
  expect((await readAll(before)).ids).toEqual(idsOf(first))
  expect((await readAll(reading(tenant))).ids).toEqual(idsOf(first))
})

test('a filter gives what matches, and its cursor stands behind what does not', async () => {
  const tenant = newTenant()
  const writer = v7()
  const all = [
    ...events(tenant, 700),
    ...events(tenant, 1, { decision: false, subject: { type: 'user', id: 'hmac:eve' } }),
  ]
  await ship(database.db, writer, all)
  const last = idsOf(all.slice(-1))
  for (const filter of [
    { decision: false },
    { subject_id: 'eve' },
    { from: all.at(-1)?.at },
    { subject_id: 'hmac:eve' },
  ]) {
    const { ids, cursors } = await readAll(reading(tenant, undefined, filter))
    expect(ids).toEqual(last)
    expect((await readAll(reading(tenant, cursors.at(-1), filter))).ids).toEqual([])
  }
  const { ids } = await readAll(reading(tenant, undefined, { to: all[300]?.at, subject_id: 'u1' }))
  expect(ids).toEqual(idsOf(all.slice(0, 300).filter(({ subject }) => subject?.id === 'u1')))
})

test('a range of time looks into its months alone, and finds what stands outside of any', async () => {
  const tenant = newTenant()
  const year = 366 * 86_400_000
  const old = events(tenant, 2, {}, year)
  await ship(database.db, v7(), [...old, ...events(tenant, 2)])
  const [from, to] = [new Date(start - year - 1000).toISOString(), new Date(start - year + 10_000_000).toISOString()]
  expect((await readAll(reading(tenant, undefined, { from, to }))).ids).toEqual(idsOf(old))
})

test('from the end, only what comes is unread', async () => {
  const tenant = newTenant()
  const writer = v7()
  await ship(database.db, writer, events(tenant, 3))
  const one = reading(tenant)
  await one.skip()
  expect((await readAll(one)).ids).toEqual([])
  const next = events(tenant, 1)
  await ship(database.db, writer, next)
  expect((await readAll(reading(tenant, encodeAuditCursor(one.cursor)))).ids).toEqual(idsOf(next))
})

test('a cursor says what it was given, and none is taken from another tenant', () => {
  const cursor = {
    tenant: 'acme',
    settled: start,
    next: new Map([
      [v7(), 0],
      [v7(), 2 ** 47],
    ]),
  }
  const text = encodeAuditCursor(cursor)
  expect(decodeAuditCursor(text, 'acme')).toEqual(cursor)
  for (const bad of ['', 'x', text.slice(0, -5), `${text}AAAA`, Buffer.from('[]').toString('base64url')]) {
    expect(() => decodeAuditCursor(bad, 'acme')).toThrow('the cursor is not one')
  }
  expect(() => decodeAuditCursor(text, 'acm')).toThrow('the cursor is not one')
  expect(() => decodeAuditCursor(text, 'other')).toThrow('the cursor is not one')
})
