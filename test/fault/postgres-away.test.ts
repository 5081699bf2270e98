import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy, type ProxyMode } from '../support/proxy.ts'
import { eventually, startService, type TestService } from '../support/service.ts'
import { timed } from '../support/stopwatch.ts'

let database: FreshDatabase
let proxy: FaultyProxy
let verdict: TestService

const ROLE = { permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] }
const question = (subject: string, resource = 'plan') => ({
  subject: { type: 'user', id: subject },
  action: { name: 'read' },
  resource: { type: 'doc', id: resource },
})
const authorize = (subject: string, resource?: string, key?: string) =>
  verdict.ask('POST /v1/authorize', { body: question(subject, resource), ...(key !== undefined && { key }) })

beforeAll(async () => {
  database = await freshDatabase()
  const before = await FaultyProxy.before(database.url)
  proxy = before.proxy
  // So few entities fit that the tenant is not held whole: some questions can't be answered from memory.
  verdict = await startService({
    database: { ...database, url: before.url },
    env: { VERDICT_ENTITY_CACHE: '20', DATABASE_URL: before.url },
  })
  await verdict.ask('PUT /v1/roles/reader', { body: ROLE })
  for (let n = 0; n < 30; n++) await verdict.ask(`PUT /v1/entities/user/u${n}`, { body: { properties: { n } } })
  await verdict.ask('POST /v1/assignments', { body: { subject: { type: 'user', id: 'alice' }, role: 'reader' } })
})

afterAll(async () => {
  proxy.mode = 'pass'
  await verdict.close()
  await proxy.close()
  await database.close()
})

describe.each(['hang', 'reset'] as const)('while Postgres is away (%s)', (mode: ProxyMode) => {
  test('what is in memory is decided, recorded and shipped later; the rest is refused within 2 s; it heals by itself', async () => {
    expect((await authorize('alice')).body.decision).toBe(true)
    proxy.mode = mode
    const answered: string[] = []
    for (let n = 0; n < 20; n++) {
      const { status, body } = await authorize('alice')
      expect(status).toBe(200)
      expect(body.decision).toBe(true)
      answered.push(body.context.decision_id)
    }

    const { outcome: unknown, ms } = await timed(() => authorize(`stranger-${mode}`))
    expect(unknown.status).toBe(503)
    expect(unknown.body.type).toBe('urn:verdict:problem:facts_unavailable')
    expect(ms).toBeLessThan(2500)

    // One item that is not in memory fails the batch: what is known of the others is no answer to what was asked.
    for (const path of ['/v1/authorize/batch', '/access/v1/evaluations', '/access/v1/evaluation']) {
      const evaluations = [{}, { subject: { type: 'user', id: `stranger-${mode}` } }, { subject: null }]
      const isSingle = path === '/access/v1/evaluation'
      const asked = isSingle ? question(`stranger-${mode}`) : { ...question('alice'), evaluations }
      const answer = await verdict.ask(`POST ${path}`, { body: asked })
      expect([path, answer.status, answer.body.type]).toEqual([path, 503, 'urn:verdict:problem:facts_unavailable'])
    }
    const known = { ...question('alice'), evaluations: [{}, {}] }
    expect((await verdict.ask('POST /v1/authorize/batch', { body: known })).body.decision).toBe(true)

    const written = await timed(() => verdict.ask('PUT /v1/roles/other', { body: {} }))
    expect(written.outcome.status).toBe(503)
    expect(written.ms).toBeLessThan(2500)

    const ready = await eventually(
      async () => await verdict.ask('GET /readyz', { key: null }),
      ({ body }) => body.status === 'degraded',
    )
    expect(ready.status).toBe(200)
    expect(ready.body.problems).toContain('store_unavailable')
    expect(ready.body.audit_backlog_records).toBeGreaterThanOrEqual(20)

    proxy.mode = 'pass'
    await eventually(
      async () => (await authorize(`stranger-${mode}`)).status,
      (status) => status === 200,
    )
    await eventually(
      async () => (await verdict.ask('GET /readyz', { key: null })).body.status,
      (status) => status === 'ok',
    )
    const ids = await eventually(
      async () => {
        const { body } = await verdict.ask('GET /v1/audit?subject_type=user&subject_id=alice&limit=1000')
        return body.items.map(({ id }: { id: string }) => id) as string[]
      },
      (found) => answered.every((id) => found.includes(id)),
    )
    for (const id of answered) expect(ids.filter((found) => found === id)).toHaveLength(1)
  })
})

test('a tenant that waits for the commit is refused within 2.5 s while Postgres is away, and served when it is back', async () => {
  await verdict.ask('PUT /v1/settings', { body: { audit_mode: 'commit' } })
  expect((await authorize('alice')).status).toBe(200)
  proxy.mode = 'hang'
  const headers = { 'x-request-id': 'withheld-1' }
  const { outcome: refused, ms } = await timed(() =>
    verdict.ask('POST /v1/authorize', { body: question('alice'), headers }),
  )
  expect(refused.status).toBe(503)
  expect(refused.body.type).toBe('urn:verdict:problem:audit_unavailable')
  expect(ms).toBeLessThan(2500)
  proxy.mode = 'pass'
  await eventually(
    async () => (await authorize('alice')).status,
    (status) => status === 200,
  )
  const { items } = await eventually(
    async () => (await verdict.ask('GET /v1/audit?request_id=withheld-1')).body,
    (page) => page.items.length > 0,
  )
  expect(items).toMatchObject([{ type: 'decision' }])
})
