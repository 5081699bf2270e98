import { v7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { event, ship } from '../audit/support.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { startService, type TestService } from '../support/service.ts'

let database: FreshDatabase
let verdict: TestService
let auditor: string

const hour = (n: number, minute = 0) => new Date(Date.UTC(2026, 0, 2, n, minute))
const at = (instant: Date) => ({ id: v7({ msecs: instant.getTime() }), at: instant.toISOString() })
const RANGE = 'from=2026-01-02T00:00:00Z&to=2026-01-03T00:00:00Z'

beforeAll(async () => {
  database = await freshDatabase()
  verdict = await startService({ database })
  auditor = await verdict.keyWith(['pdp:auditor'])
  const made = (instant: Date, id: string, decision: boolean) =>
    event({ ...at(instant), tenant: 'default', subject: { type: 'user', id }, decision })
  await ship(database.db, v7(), [
    made(hour(1), 'ann', true),
    made(hour(1, 59), 'ann', false),
    made(hour(2), 'bob', true),
    made(hour(2, 1), 'ann', true),
    made(hour(23, 59), 'eve', false),
    event({ ...at(hour(3)), tenant: 'default', type: 'security', subject: null, decision: null, reason: null }),
    event({ ...at(hour(3)), tenant: 'other' }),
    made(hour(24), 'late', true),
  ])
})

afterAll(async () => {
  await verdict.close()
  await database.close()
})

const stats = async (query: string) => (await verdict.ask(`GET /v1/audit/stats?${query}`, { key: auditor })).body

test('counts by time', async () => {
  expect(await stats(RANGE)).toEqual({
    from: '2026-01-02T00:00:00.000Z',
    to: '2026-01-03T00:00:00.000Z',
    bucket: 'hour',
    by: null,
    total: 6,
    buckets: [
      { at: hour(1).toISOString(), count: 2 },
      { at: hour(2).toISOString(), count: 2 },
      { at: hour(3).toISOString(), count: 1 },
      { at: hour(23).toISOString(), count: 1 },
    ],
    groups: [],
    rest: 0,
  })
  expect((await stats(`${RANGE}&bucket=day`)).buckets).toEqual([{ at: hour(0).toISOString(), count: 6 }])
  expect((await stats(`${RANGE}&bucket=minute`)).buckets).toHaveLength(6)
})

test.each([
  [
    'decision',
    [
      [true, 3],
      [false, 2],
      [null, 1],
    ],
  ],
  [
    'reason',
    [
      ['allowed_by_rule', 5],
      [null, 1],
    ],
  ],
  ['action', [['document:read', 6]]],
  [
    'type',
    [
      ['decision', 5],
      ['security', 1],
    ],
  ],
  [
    'subject',
    [
      [{ type: 'user', id: 'ann' }, 3],
      [null, 1],
      [{ type: 'user', id: 'bob' }, 1],
      [{ type: 'user', id: 'eve' }, 1],
    ],
  ],
  ['resource', [[{ type: 'document', id: 'reports/q3' }, 6]]],
] as const)('counts by %s', async (by, wanted) => {
  const { groups, rest, total } = await stats(`${RANGE}&by=${by}`)
  expect(groups.map(({ value, count }: { value: unknown; count: number }) => [value, count])).toEqual(wanted)
  expect([total, rest]).toEqual([6, 0])
})

test('tells the values with the most events, each by time, and counts the rest', async () => {
  expect(await stats(`${RANGE}&by=subject&top=1`)).toMatchObject({
    groups: [
      {
        value: { type: 'user', id: 'ann' },
        count: 3,
        buckets: [
          { at: hour(1).toISOString(), count: 2 },
          { at: hour(2).toISOString(), count: 1 },
        ],
      },
    ],
    total: 6,
    rest: 3,
  })
})

test('counts only what a filter asks for', async () => {
  expect((await stats(`${RANGE}&decision=false&subject_id=ann`)).total).toBe(1)
})

test('without a range, counts the last 24 hours', async () => {
  const { from, to, total } = await stats('type=administration')
  expect(Date.parse(to) - Date.parse(from)).toBe(86_400_000)
  expect(Math.abs(Date.now() - Date.parse(to))).toBeLessThan(60_000)
  expect(total).toBeGreaterThan(0)
  const day = await stats('from=2026-01-02T00:00:00Z&to=2026-01-02T12:00:00Z&bucket=day')
  expect(day.total).toBe(5)
})

test.each([
  ['from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z', 422, '/from'],
  ['from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z&bucket=minute', 422, '/from'],
  ['bucket=week', 400, '/bucket'],
  ['by=ip', 400, '/by'],
  ['top=101', 400, '/top'],
])('%s is refused with its place', async (query, status, pointer) => {
  const answer = await verdict.ask(`GET /v1/audit/stats?${query}`, { key: auditor })
  expect([answer.status, answer.body.errors[0].pointer]).toEqual([status, pointer])
})
