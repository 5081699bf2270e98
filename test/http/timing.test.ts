import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService({ env: { VERDICT_CORS_ORIGINS: 'https://console.test' } })
})

afterAll(() => verdict.close())

/** How often a route has been answered with a status of this class, as `/metrics` tells it. */
async function answered(route: string, status: string): Promise<number> {
  const { body } = await verdict.ask('GET /metrics', { key: null })
  const [line] = String(body)
    .split('\n')
    .filter((one) => one.startsWith(`verdict_request_seconds_count{route="${route}",status="${status}"}`))
  return Number(line?.split(' ').at(-1) ?? 0)
}

const PREFLIGHT = { origin: 'https://console.test', 'access-control-request-method': 'POST' }

const question = {
  subject: { type: 'user', id: 'alice' },
  action: { name: 'document:edit' },
  resource: { type: 'document', id: 'plan' },
}

test.each([
  ['a decision', 'POST /v1/authorize', { body: question }, '/v1/authorize', '2xx'],
  ['a malformed question', 'POST /v1/authorize', { body: {} }, '/v1/authorize', '4xx'],
  ['a question of nobody', 'POST /v1/authorize', { body: question, key: null }, '/v1/authorize', '4xx'],
  ['a batch', 'POST /v1/authorize/batch', { body: { evaluations: [question] } }, '/v1/authorize/batch', '2xx'],
  ['an administrative call', 'GET /v1/rules', {}, '/v1/rules', '2xx'],
  ['one that is refused', 'GET /v1/rules', { key: null }, '/v1/rules', '4xx'],
  ['a name in a path', 'GET /v1/rules/none', {}, '/v1/rules/:name', '4xx'],
  ['a stream', 'GET /v1/audit/export?format=ndjson', {}, '/v1/audit/export', '2xx'],
  ['no route', 'GET /v1/nowhere', {}, 'unknown', '4xx'],
  ['no route, and no JSON', 'POST /v1/nowhere', { body: '{"' }, 'unknown', '4xx'],
  ['a preflight', 'OPTIONS /v1/authorize', { headers: PREFLIGHT }, 'unknown', '2xx'],
] as const)('%s is timed once, by its route and the class of its status', async (_, route, ask, pattern, status) => {
  const before = await answered(pattern, status)
  await verdict.ask(route, ask)
  expect(
    await eventually(
      () => answered(pattern, status),
      (count) => count > before,
    ),
  ).toBe(before + 1)
})

test('what is timed is as long as it took', async () => {
  await verdict.ask('POST /v1/authorize', { body: question })
  const { body } = await verdict.ask('GET /metrics', { key: null })
  const sum = /^verdict_request_seconds_sum\{route="\/v1\/authorize",status="2xx"\} (\S+)$/m.exec(String(body))?.[1]
  const count = await answered('/v1/authorize', '2xx')
  expect(Number(sum) / count).toBeGreaterThan(1e-5)
  expect(Number(sum) / count).toBeLessThan(10)
})
