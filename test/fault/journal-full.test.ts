import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let database: FreshDatabase
let proxy: FaultyProxy
let verdict: TestService

beforeAll(async () => {
  database = await freshDatabase()
  const before = await FaultyProxy.before(database.url)
  proxy = before.proxy
  verdict = await startService({
    database: { ...database, url: before.url },
    env: { DATABASE_URL: before.url, VERDICT_JOURNAL_MAX_BYTES: String(1024 * 1024) },
  })
})

afterAll(async () => {
  proxy.mode = 'pass'
  await verdict.close()
  await proxy.close()
  await database.close()
})

const ask = () =>
  verdict.ask('POST /v1/authorize', {
    body: {
      subject: { type: 'user', id: 'ann' },
      action: { name: 'read' },
      resource: { type: 'doc', id: '1' },
      context: { text: 'x'.repeat(50_000) },
    },
  })

test('gives no answer that it could not record: a full journal refuses, and heals without a restart', async () => {
  expect((await ask()).status).toBe(200)
  proxy.mode = 'reset'
  const answered: string[] = []
  let refused = await ask()
  for (; refused.status === 200; refused = await ask()) answered.push(refused.body.context.decision_id)
  expect(answered.length).toBeGreaterThan(5)
  expect(answered.length).toBeLessThan(30)
  expect(refused.status).toBe(503)
  expect(refused.body.type).toBe('urn:verdict:problem:audit_unavailable')
  expect(refused.headers.get('retry-after')).not.toBeNull()

  proxy.mode = 'pass'
  await eventually(
    async () => (await ask()).status,
    (status) => status === 200,
  )
  const recorded = await eventually(
    async () => {
      const { body } = await verdict.ask('GET /v1/audit?type=decision&limit=1000')
      return body.items.map(({ id }: { id: string }) => id) as string[]
    },
    (ids) => answered.every((id) => ids.includes(id)),
  )
  expect(new Set(recorded).size).toBe(recorded.length)
}, 60_000)
