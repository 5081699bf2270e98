import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startService, type TestService } from '../../support/service.ts'

const WELL_KNOWN = '/.well-known/authzen-configuration'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

const ask = (path: string, of = verdict) => of.ask(`GET ${path}`, { key: null })

test('metadata needs no credential, and says where the endpoints are', async () => {
  const { status, headers, body } = await ask(WELL_KNOWN)
  expect(status).toBe(200)
  expect(headers.get('content-type')).toMatch(/^application\/json/)
  expect(body).toMatchObject({
    policy_decision_point: 'https://verdict.test',
    access_evaluation_endpoint: 'https://verdict.test/access/v1/evaluation',
    access_evaluations_endpoint: 'https://verdict.test/access/v1/evaluations',
  })
})

test('metadata may be kept for an hour', async () => {
  expect((await ask(WELL_KNOWN)).headers.get('cache-control')).toBe('public, max-age=3600')
})

test('every member of the metadata is an https URL without query or fragment; none is null or empty', async () => {
  const { body } = await ask(WELL_KNOWN)
  for (const value of Object.values(body)) {
    const { protocol, search, hash } = new URL(String(value))
    expect([protocol, search, hash]).toEqual(['https:', '', ''])
  }
})

test('every endpoint that the metadata names is there', async () => {
  const { policy_decision_point, ...endpoints } = (await ask(WELL_KNOWN)).body
  for (const url of Object.values(endpoints)) {
    const path = String(url).slice(policy_decision_point.length)
    // 401: it is there, and asks who calls.
    expect([path, (await verdict.ask(`POST ${path}`, { key: null, body: {} })).status]).toEqual([path, 401])
  }
})

test('metadata gives X-Request-ID back', async () => {
  const { headers } = await verdict.ask(`GET ${WELL_KNOWN}`, { headers: { 'x-request-id': 'meta 1' } })
  expect(headers.get('x-request-id')).toBe('meta 1')
})

describe('for a tenant', () => {
  test('the identifier ends in it, and the endpoints are the same', async () => {
    const [own, all] = [(await ask(`${WELL_KNOWN}/acme`)).body, (await ask(WELL_KNOWN)).body]
    expect(own).toEqual({ ...all, policy_decision_point: 'https://verdict.test/acme' })
  })

  test('it is not told whether there is such a tenant', async () => {
    const bare = async (tenant: string) =>
      JSON.stringify((await ask(`${WELL_KNOWN}/${tenant}`)).body).replaceAll(tenant, '')
    expect(await bare('default')).toBe(await bare('nobody'))
  })

  test('what can be none is a 400', async () => {
    expect((await ask(`${WELL_KNOWN}/No%20tenant`)).status).toBe(400)
  })
})

describe('where the public URL has a path', () => {
  let placed: TestService
  beforeAll(async () => {
    placed = await startService({ env: { VERDICT_PUBLIC_URL: 'https://verdict.test/pdp/eu' } })
  })
  afterAll(() => placed.close())

  test.each([
    [`${WELL_KNOWN}/pdp/eu`, 'https://verdict.test/pdp/eu'],
    [`${WELL_KNOWN}/pdp/eu/acme`, 'https://verdict.test/pdp/eu/acme'],
    [WELL_KNOWN, 'https://verdict.test/pdp/eu'],
    [`${WELL_KNOWN}/acme`, 'https://verdict.test/pdp/eu/acme'],
  ])('%s is of %s', async (path, identifier) => {
    const { body } = await ask(path, placed)
    expect(body).toMatchObject({
      policy_decision_point: identifier,
      access_evaluation_endpoint: 'https://verdict.test/pdp/eu/access/v1/evaluation',
    })
  })
})

test.each(['/livez', '/readyz', '/openapi.json', '/.well-known/authzen-configuration'])(
  'HEAD %s is answered as a GET without its body',
  async (path) => {
    const [head, get] = await Promise.all(['HEAD', 'GET'].map((method) => fetch(`${verdict.url}${path}`, { method })))
    expect([head?.status, await head?.text()]).toEqual([200, ''])
    expect(head?.headers.get('content-type')).toBe(get?.headers.get('content-type'))
    expect((await verdict.ask('GET /openapi.json')).body.paths[path]).not.toHaveProperty('head')
  },
)
