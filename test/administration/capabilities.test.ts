import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spentMs } from '../support/stopwatch.ts'
import { type Bench, by, FIRST_PAGE, openBench, refusal } from './support.ts'

// What takes time: a clock that can be set says when.

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

let names = 0
const user = () => ({ type: 'user', id: `n${++names}` })
const later = (ms: number) => new Date(bench.now.getTime() + ms).toISOString()
const HOUR = 3_600_000
const DAY = 24 * HOUR

const granted = (more: object = {}) => ({
  subject: user(),
  actions: ['a'],
  resources: [{ type: 't' }],
  expires_at: later(HOUR),
  ...more,
})
const grant = async (more: object = {}, write = by()) =>
  (await bench.administration.capabilities.create(write, granted(more))).body
const isThere = async (id: string) => {
  const { tenant } = by()
  const read = { tenant, roles: ['pdp:admin'] }
  return bench.administration.capabilities.get(read, id).then(
    ({ body }) => ('active' in body ? body.active : undefined),
    () => 'gone',
  )
}
const passed = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
  const before = bench.now
  bench.now = new Date(before.getTime() + ms)
  try {
    return await work()
  } finally {
    bench.now = before
  }
}

describe('a capability', () => {
  test('is active until its instant, and read for 30 days more', async () => {
    const { id } = await grant()
    expect(await passed(HOUR - 1, () => isThere(id))).toBe(true)
    expect(await passed(HOUR, () => isThere(id))).toBe(false)
    expect(await passed(HOUR + 30 * DAY - 1, () => isThere(id))).toBe(false)
    expect(await passed(HOUR + 30 * DAY, () => isThere(id))).toBe('gone')
  })

  test('is granted only if it ends later than now', async () => {
    expect(await refusal(bench, () => grant({ expires_at: later(0) }))).toMatchObject({ pointers: ['/expires_at'] })
    expect(await grant({ expires_at: later(1) })).toMatchObject({ active: true })
  })

  test('that ended 30 days ago is taken away by the next grant, and from memory too if it had only expired', async () => {
    const [expired, revoked] = [await grant(), await grant()]
    await bench.administration.capabilities.delete(by(), revoked.id)
    const { id } = await passed(31 * DAY, () => grant())
    const log = await bench.administration.changes.list({ tenant: 'acme', roles: ['pdp:admin'] }, 0, { limit: 1000 })
    const told = log.items.filter(({ key }) => key?.['id'] === expired.id || key?.['id'] === revoked.id)
    expect(told.map(({ key, operation }) => [key?.['id'], operation])).toEqual([
      [expired.id, 'create'],
      [revoked.id, 'create'],
      [revoked.id, 'delete'],
      [expired.id, 'delete'],
    ])
    const { rows } = await sql<{ id: string }>`select id from capabilities where tenant_id = 'acme'`.execute(bench.db)
    expect(rows.map((row) => row.id)).toEqual([id])
  })

  test('is granted out of one that ends at this very instant no more', async () => {
    const parent = await grant({ delegable: true })
    const child = () => grant({ from: parent.id, expires_at: later(1) })
    expect(await passed(HOUR - 1, child)).toMatchObject({ from: parent.id })
    expect(await passed(HOUR, () => refusal(bench, child))).toMatchObject({ pointers: ['/from'] })
  })

  test('is granted out of others eight times at most', async () => {
    let { id } = await grant({ delegable: true })
    for (let depth = 1; depth <= 8; depth++) id = (await grant({ from: id, delegable: true })).id
    expect(await refusal(bench, () => grant({ from: id }))).toMatchObject({
      code: 'unprocessable',
      pointers: ['/from'],
    })
  })

  test('is one of a thousand at most that began with the same one', async () => {
    const parent = await grant({ delegable: true })
    await sql`
      insert into capabilities (tenant_id, id, subject_type, subject_id, granter_type, granter_id, from_id, root_id, depth,
                                expires_at, body, version, granted_at, updated_at)
      select tenant_id, gen_random_uuid(), subject_type, subject_id, granter_type, granter_id, id, root_id, 1, expires_at,
             body, version, granted_at, updated_at
      from capabilities, generate_series(1, 998) where id = ${parent.id}::uuid`.execute(bench.db)
    expect(await grant({ from: parent.id })).toMatchObject({ from: parent.id })
    expect(await refusal(bench, () => grant({ from: parent.id }))).toMatchObject({ code: 'conflict' })
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from policy_changes where tenant_id = 'acme' and kind = 'capability'`.execute(bench.db)
    await bench.administration.capabilities.delete(by(), parent.id)
    const { rows: now } = await sql<{ count: number }>`
      select count(*) as count from policy_changes where tenant_id = 'acme' and kind = 'capability'`.execute(bench.db)
    expect((now[0]?.count ?? 0) - (rows[0]?.count ?? 0)).toBe(1000)
  })

  test('patterns without end are not compared for long', async () => {
    const many = (of: string) => Array.from({ length: 400 }, (_, n) => `${of}${n}:${'x'.repeat(200)}*`)
    const parent = await grant({ delegable: true, actions: many('a') })
    const spent = await spentMs(async () => {
      const refused = await refusal(bench, () => grant({ from: parent.id, actions: many('b') }))
      expect(refused).toMatchObject({ code: 'unprocessable' })
    })
    expect(spent).toBeLessThan(3_000)
    expect(await grant({ from: parent.id, actions: many('a') })).toMatchObject({ from: parent.id })
  })
})

describe('a permission request', () => {
  const asker = () => by({ caller: { ...by().caller, subject: user(), roles: ['pdp:requester'] } })
  const ask = async (write = asker()) => {
    const asked = { actions: ['a'], resources: [{ type: 't' }], duration_seconds: 60, justification: 'j' }
    return (await bench.administration.permission_requests.create(write, asked)).body
  }
  const approve = (id: string) => bench.administration.permission_requests.approve(by(), id, {})

  test('can be approved for seven days, and not at the end of them', async () => {
    const [one, other] = [await ask(), await ask()]
    expect(await passed(7 * DAY, () => refusal(bench, () => approve(one.id)))).toMatchObject({ code: 'conflict' })
    const approved = await passed(7 * DAY - 1, () => approve(other.id))
    expect(approved.body).toMatchObject({ state: 'approved' })
  })

  test('makes room for another when it lapses', async () => {
    const one = asker()
    for (let count = 0; count < 100; count++) await ask(one)
    expect(await refusal(bench, () => ask(one))).toMatchObject({ code: 'conflict' })
    expect(await passed(7 * DAY, () => ask(one))).toMatchObject({ state: 'pending' })
    const { items } = await bench.administration.permission_requests.list(
      { tenant: 'acme', roles: ['pdp:admin'] },
      { state: 'expired' },
      FIRST_PAGE,
    )
    expect(items).toEqual([])
  })
})
