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

const readiness = async () => (await verdict.ask('GET /readyz', { key: null })).body
const question = (length: number) => ({
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
  context: { text: 'x'.repeat(length) },
})
const ask = (length = 50_000) => verdict.ask('POST /v1/authorize', { body: question(length) })

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

  // Nor one item of a batch: a failure of Verdict's own is never a decision.
  for (const path of ['/v1/authorize/batch', '/access/v1/evaluations']) {
    const batch = { ...question(50_000), evaluations: [{}, {}, { subject: null }] }
    const { status, body } = await verdict.ask(`POST ${path}`, { body: batch })
    expect([status, body.type, body.evaluations]).toEqual([503, 'urn:verdict:problem:audit_unavailable', undefined])
  }

  // A record that is smaller still fits: that is no reason to send anybody here.
  expect((await ask(0)).status).toBe(200)
  expect(await readiness()).toMatchObject({ status: 'unavailable', problems: ['audit_unavailable'] })

  proxy.mode = 'pass'
  // Of itself: who is told to go elsewhere does not come to ask.
  await eventually(readiness, ({ status }) => status === 'ok')
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
})
