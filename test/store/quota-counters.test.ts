import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  handBack,
  pruneCounters,
  type Reservation,
  refund,
  reserve,
  reservedOf,
  tenantsAfter,
} from '../../src/store/quota-counters.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

// As the service's own role, with the rights that it has and behind the wall.

let database: FreshDatabase
const db = () => database.service.of('default')

beforeAll(async () => {
  database = await freshDatabase()
  await database.db
    .insertInto('tenants')
    .values([
      { id: 'default', name: 'D' },
      { id: 'other', name: 'O' },
    ])
    .execute()
})
afterAll(() => database.close())

const START = Math.floor(Date.now() / 3_600_000) * 3_600_000
const counterOf = (n: number) => n.toString(16).padStart(32, '0')

function asking(n: number, members: Partial<Reservation> = {}): Reservation {
  const window = { quota: 'q', counter: counterOf(n), window_seconds: 3_600, start: START }
  return { ...window, limit: 1000, needed: 1, wanted: 1, ...members }
}

const grantedTo = async (one: Reservation) => (await reserve(db(), 'default', [one]))[0]?.granted

test('what is granted is what is needed, while there is as much, and a part of what is left beyond that', async () => {
  expect(await grantedTo(asking(1, { needed: 5, wanted: 1 }))).toBe(5)
  expect(await grantedTo(asking(1, { needed: 0, wanted: 500 }))).toBe(Math.floor(995 / 16))
  expect(await grantedTo(asking(1, { needed: 900, wanted: 1 }))).toBe(900)
  expect(await grantedTo(asking(1, { needed: 100, wanted: 100 }))).toBe(1000 - 5 - 62 - 900)
  expect(await grantedTo(asking(1, { needed: 1, wanted: 1 }))).toBe(0)
  // A limit that is lower than what is reserved grants nothing, and takes nothing back.
  expect(await grantedTo(asking(1, { limit: 10 }))).toBe(0)
  expect(await grantedTo(asking(1, { limit: 1003, needed: 9 }))).toBe(3)
})

test('the largest limit there is can be reserved whole', async () => {
  const limit = Number.MAX_SAFE_INTEGER
  expect(await grantedTo(asking(2, { limit, needed: limit, wanted: limit }))).toBe(limit)
  expect(await grantedTo(asking(2, { limit, needed: limit, wanted: limit }))).toBe(0)
})

test('any number of statements at once, about many counters in any order, grant each no more than its limit', async () => {
  const counters = Array.from({ length: 40 }, (_, n) => n + 100)
  const granted = new Map<string, number>()
  const one = async (round: number) => {
    const order = round % 2 === 0 ? counters : [...counters].reverse()
    const asked = order.map((n) => asking(n, { limit: 50, needed: (round + n) % 4 }))
    for (const { counter, granted: units } of await reserve(db(), 'default', asked)) {
      granted.set(counter, (granted.get(counter) ?? 0) + units)
    }
    const back = order.slice(0, 5).map((n) => ({ ...asking(n), units: 1 }))
    if (round % 10 === 0) {
      await handBack(db(), 'default', back)
      for (const { counter } of back) granted.set(counter, (granted.get(counter) ?? 0) - 1)
    }
  }
  await Promise.all(Array.from({ length: 60 }, (_, round) => one(round)))
  for (const n of counters) {
    const reserved = await reservedOf(db(), 'default', asking(n))
    expect(reserved).toBe(granted.get(counterOf(n)))
    expect(reserved).toBeLessThanOrEqual(50)
  }
})

test('counters of another window, another length, another tenant and another quota are others', async () => {
  expect(await grantedTo(asking(3, { needed: 1000 }))).toBe(1000)
  for (const other of [
    { start: START - 3_600_000 },
    { window_seconds: 7_200 },
    { quota: 'p' },
    { counter: counterOf(4) },
  ])
    expect(await grantedTo(asking(3, { needed: 1000, ...other }))).toBe(1000)
  const elsewhere = database.service.of('other')
  expect((await reserve(elsewhere, 'other', [asking(3, { needed: 1000 })]))[0]?.granted).toBe(1000)
  await expect(reserve(elsewhere, 'default', [asking(3)])).rejects.toThrow('row-level security')
})

test('a refund happens once', async () => {
  const window = asking(5, { needed: 10 })
  await grantedTo(window)
  const decision = randomUUID()
  const all = await Promise.all(Array.from({ length: 10 }, () => refund(db(), 'default', decision, window, 4)))
  expect(all.filter((one) => one).length).toBe(1)
  expect(await reservedOf(db(), 'default', window)).toBe(6)
})

test('what belongs to windows that are over is pruned, some at a time, and nothing else', async () => {
  const old = Array.from({ length: 500 }, (_, n) => asking(n + 1000, { start: START - 10 * 3_600_000 }))
  await reserve(db(), 'default', old)
  await refund(db(), 'default', randomUUID(), asking(1000, { start: START - 10 * 3_600_000 }), 1)
  const count = async () => {
    const { rows } = await sql<{ count: number }>`select count(*) as count from quota_counters`.execute(database.db)
    return rows[0]?.count ?? 0
  }
  const before = await count()
  expect(await pruneCounters(db(), 'default')).toBeGreaterThanOrEqual(501)
  expect(await pruneCounters(db(), 'default')).toBe(0)
  expect(await count()).toBeLessThanOrEqual(before - 500)
  expect(await reservedOf(db(), 'default', asking(5))).toBe(6)
  expect(await tenantsAfter(database.service, '', 100)).toEqual(['default', 'other'])
  expect(await tenantsAfter(database.service, 'default', 100)).toEqual(['other'])
})
