import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ROUTES } from '../../src/contract/routes.ts'
import { openapiDocument } from '../../src/http/openapi.ts'
import { createServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})

afterAll(() => verdict.close())

test('openapi.yaml is what the routes say today (else: npm run openapi)', async () => {
  const file = await readFile(new URL('../../openapi.yaml', import.meta.url), 'utf8')
  expect(parse(file)).toEqual(JSON.parse(JSON.stringify(await openapiDocument())))
})

test('what has a name stands once in the document, and every reference leads somewhere', async () => {
  const text = JSON.stringify(await openapiDocument())
  const { components } = JSON.parse(text)
  const references = new Set(
    [...text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)].map(([, kind, name]) => [kind, name]),
  )
  for (const [kind = '', name = ''] of references) expect(components[kind]).toHaveProperty(name)
  expect(Object.keys(components.schemas)).toEqual(
    expect.arrayContaining(['DecisionRequest', 'DecisionAnswer', 'Problem', 'Rule']),
  )
  expect(text.split(JSON.stringify(components.schemas.ResourceSelector))).toHaveLength(2)
})

test('which schema a value of a discriminator means is said, what a body of lines is, and when to try again', async () => {
  const { paths, components } = JSON.parse(JSON.stringify(await openapiDocument()))
  const { discriminator } = paths['/v1/authenticate'].post.requestBody.content['application/json'].schema
  for (const [method, reference] of Object.entries<string>(discriminator.mapping)) {
    const { properties } = components.schemas[reference.replace('#/components/schemas/', '')]
    expect(properties.method.enum).toEqual([method])
  }
  expect(Object.keys(discriminator.mapping)).toEqual(['api_key', 'password', 'refresh_token', 'token'])
  const { requestBody } = paths['/v1/entities/bulk'].post
  expect(requestBody).toMatchObject({
    required: true,
    content: { 'application/x-ndjson': { schema: { type: 'string' } } },
  })
  expect(Object.keys(components.responses.TooManyRequests.headers)).toContain('Retry-After')
})

interface Operation {
  readonly operationId: string
  readonly requestBody?: unknown
  readonly responses: Readonly<Record<string, unknown>>
}

test('every route declares what may be answered before its handler is reached', async () => {
  const { paths } = JSON.parse(JSON.stringify(await openapiDocument()))
  const operations = Object.values<Record<string, Operation>>(paths).flatMap((methods) => Object.values(methods))
  expect(operations).toHaveLength(ROUTES.length)
  const open = new Set(
    ROUTES.filter(({ config }) => config.permission === 'anyone').map(({ schema }) => schema.operationId),
  )
  const undeclared = operations.flatMap(({ operationId, requestBody, responses }) => {
    const takesBody = requestBody !== undefined || operationId === 'putEntities'
    const wanted = [...(takesBody ? [400, 413, 415] : []), ...(open.has(operationId) ? [] : [401, 403, 429, 503])]
    return wanted.filter((status) => !(status in responses)).map((status) => `${operationId} ${status}`)
  })
  expect(undeclared).toEqual([])
  expect(paths['/v1/audit/verify'].get.responses).toHaveProperty('422')
})

test('the server has the routes of the contract, and no others', async () => {
  const { body } = await verdict.ask('GET /openapi.json', { key: null })
  const routes = (document: { paths?: object }) =>
    Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    )
  expect(routes(body).sort()).toEqual(routes(await openapiDocument()).sort())
})

test('a route that declares no permission does not start', async () => {
  const app = await createServer({ logger: createLogger('silent'), metrics: new Metrics(), isClosing: () => false })
  expect(() => app.get('/v1/forgotten', () => 'open to all')).toThrow('declares no permission')
})

test('health says what is wrong, in codes', async () => {
  expect((await verdict.ask('GET /livez', { key: null })).body).toEqual({ status: 'ok' })
  const { status, body } = await eventually(
    () => verdict.ask('GET /readyz', { key: null }),
    (answer) => answer.body.status === 'ok',
  )
  expect(status).toBe(200)
  expect(body.problems).toEqual([])
})

test('metrics count decisions by outcome and reason, and name no tenant', async () => {
  const question = { subject: { type: 'u', id: 'a' }, action: { name: 'x' }, resource: { type: 'r', id: '1' } }
  await verdict.ask('POST /v1/authorize', { body: question })
  const { body, headers } = await verdict.ask('GET /metrics', { key: null })
  expect(headers.get('content-type')).toContain('text/plain')
  expect(body).toContain('verdict_decisions_total{decision="false",reason="no_applicable_rule"} 1')
  expect(body).toMatch(/verdict_request_seconds_count\{route="\/v1\/authorize",status="2xx"\} 1/)
  for (const name of [
    'verdict_decide_seconds_count',
    'verdict_audit_append_seconds_count',
    'verdict_snapshot_staleness_seconds',
    'verdict_entity_cache_hits_total',
    'verdict_pool_connections',
    'nodejs_eventloop_lag_p99_seconds',
    'verdict_audit_backlog_records',
  ]) {
    expect(body).toContain(name)
  }
  expect(body).not.toContain('default"')
})

test('an unknown route is a problem, like any other', async () => {
  const { status, body } = await verdict.ask('GET /v2/authorize', { key: null })
  expect(status).toBe(404)
  expect(body.type).toBe('urn:verdict:problem:not_found')
})

test.each(['/v1/roles/%ff', '/v1/roles/%', '/v1/roles/%ED%A0%80', `/v1/roles/${'x'.repeat(7000)}`])(
  'a path that cannot be read is a problem, like any other: %.20s',
  async (path) => {
    const { status, headers } = await verdict.ask(`GET ${path}`)
    expect(status).toBe(400)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  },
)

test.each([
  ['no HTTP at all', 'hello\r\n\r\n', '400'],
  ['headers without end', `GET / HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(20_000)}\r\n\r\n`, '431'],
])('what is %s is answered with a problem and the connection ends', async (_what, bytes, status) => {
  const { hostname, port } = new URL(verdict.url)
  const socket = connect(Number(port), hostname)
  let answer = ''
  socket.on('data', (chunk) => (answer += chunk.toString()))
  socket.write(bytes)
  await once(socket, 'close')
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status: Number(status) })
})

test('X-Request-ID comes back as it was sent', async () => {
  const { headers } = await verdict.ask('GET /livez', { headers: { 'x-request-id': 'Mine-1.2' } })
  expect(headers.get('x-request-id')).toBe('Mine-1.2')
})
