import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy, type ProxyMode } from '../support/proxy.ts'
import { eventually, startService, type TestService } from '../support/service.ts'
import { timed } from '../support/stopwatch.ts'

let database: FreshDatabase
let proxy: FaultyProxy
let verdict: TestService

beforeAll(async () => {
  database = await freshDatabase()
  const before = await FaultyProxy.before(database.url)
  proxy = before.proxy
  verdict = await startService({
    database: { ...database, url: before.url },
    env: { DATABASE_URL: before.url },
  })
  const body = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
  await verdict.ask('PUT /v1/rules/everything', { body })
})

afterAll(async () => {
  proxy.mode = 'pass'
  await verdict.close()
  await proxy.close()
  await database.close()
})

async function counter(type: string, limit: number): Promise<void> {
  const about = { subjects: [{ any: true }], actions: ['*'], resources: [{ type }], per: 'tenant' }
  const { status } = await verdict.ask(`PUT /v1/quotas/${type}`, { body: { ...about, limit, window_seconds: 86_400 } })
  expect(status).toBe(201)
}

const question = (type: string) => ({
  subject: { type: 'user', id: 'ann' },
  action: { name: 'use' },
  resource: { type, id: '1' },
})
const ask = (type: string) => verdict.ask('POST /v1/authorize', { body: question(type) })

describe.each(['hang', 'reset'] as const)('while Postgres is away (%s)', (mode: ProxyMode) => {
  test('a counter whose block is spent is neither allowed nor denied, within 2 s; what no counter is about goes on', async () => {
    await counter(mode, 1000)
    for (let n = 0; n < 5; n++) expect((await ask(mode)).body.decision).toBe(true)
    proxy.mode = mode
    const spent = async () => {
      for (;;) {
        const { outcome: answer, ms } = await timed(() => ask(mode))
        if (answer.status !== 200) return { answer, ms }
        expect(answer.body.decision).toBe(true)
      }
    }
    const { answer, ms } = await spent()
    expect([answer.status, answer.body.type]).toEqual([503, 'urn:verdict:problem:quota_unavailable'])
    expect(answer.headers.get('retry-after')).not.toBeNull()
    expect(ms).toBeLessThan(2500)
    // Nor is it an item of a batch: what could not be told of one fails the whole.
    const body = { ...question('free'), evaluations: [{}, { resource: { type: mode, id: '1' } }] }
    const batch = await verdict.ask('POST /v1/authorize/batch', { body })
    expect([batch.status, batch.body.type]).toEqual([503, 'urn:verdict:problem:quota_unavailable'])
    expect((await ask('free')).body.decision).toBe(true)
    proxy.mode = 'pass'
    await eventually(
      () => ask(mode),
      ({ status, body: found }) => status === 200 && found.decision === true,
    )
  })
})
