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
    env: { DATABASE_URL: before.url, VERDICT_JOURNAL_MAX_BYTES: String(4 * 1024 * 1024) },
  })
})

afterAll(async () => {
  proxy.mode = 'pass'
  await verdict.close()
  await proxy.close()
  await database.close()
})

async function keyOf(tenant: string): Promise<string> {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: tenant, name: tenant } })
  const body = { name: 'pep', subject: { type: 'service', id: 'pep' }, roles: ['pdp:decider'] }
  const headers = { 'verdict-tenant': tenant }
  return (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body, headers })).body.key
}

const ask = (key: string, length: number) =>
  verdict.ask('POST /v1/authorize', {
    key,
    body: {
      subject: { type: 'user', id: 'ann' },
      action: { name: 'read' },
      resource: { type: 'doc', id: '1' },
      context: { text: 'x'.repeat(length) },
    },
  })

test('while Postgres is away, a tenant that fills the journal is refused alone; the others are answered', async () => {
  const greedy = await keyOf('greedy')
  const modest = await keyOf('modest')
  for (const key of [greedy, modest]) expect((await ask(key, 10)).status).toBe(200)
  proxy.mode = 'reset'
  const refused = await eventually(
    () => ask(greedy, 100_000),
    ({ status }) => status !== 200,
  )
  expect(refused.status).toBe(503)
  expect(refused.body.type).toBe('urn:verdict:problem:audit_unavailable')
  for (let n = 0; n < 100; n++) {
    expect((await ask(modest, 1000)).status).toBe(200)
    expect((await ask(greedy, 100_000)).status).toBe(503)
  }
  const ready = await verdict.ask('GET /readyz', { key: null })
  expect(ready.status).toBe(200)
  expect(ready.body.problems).toContain('tenants_refused')
  const metrics = (await verdict.ask('GET /metrics', { key: null })).body
  expect(metrics).toMatch(/^verdict_audit_tenants_refused 1$/m)
  expect(Number(/^verdict_audit_backlog_bytes (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(2_000_000)
  expect(Number(/^verdict_audit_backlog_seconds (\S+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0)

  proxy.mode = 'pass'
  await eventually(
    () => ask(greedy, 100_000),
    ({ status }) => status === 200,
  )
  await eventually(
    async () => (await verdict.ask('GET /readyz', { key: null })).body,
    ({ status }) => status === 'ok',
  )
})
