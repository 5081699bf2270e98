import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { serve } from '../../src/serve.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

// What stands before authentication: limits, origins, proxies, TLS.

let verdict: TestService
beforeAll(async () => {
  verdict = await startService({
    env: {
      VERDICT_ADMIN_PER_MINUTE: '40',
      VERDICT_AUTHENTICATE_PER_MINUTE: '5',
      VERDICT_CORS_ORIGINS: 'https://admin.example.com',
      VERDICT_TRUSTED_PROXIES: '127.0.0.1',
    },
  })
})
afterAll(() => verdict.close())

interface Raw {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** fetch sets headers of its own, and forbids others. */
function raw(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(verdict.url)
    const sent = request({ hostname, port, path, method, headers }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers }))
    })
    sent.on('error', reject).end(body)
  })
}

describe('the body of somebody who is nobody', () => {
  const bearer = { authorization: `Bearer vdt_nobody_${'x'.repeat(40)}`, 'content-type': 'application/json' }
  test.each([
    ['that is no JSON', '{'.repeat(200_000)],
    ['that is larger than any may be', 'x'.repeat(300_000)],
    ['that nests deeply', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['in no format that is taken', '<xml/>'],
  ])('is not read: %s', async (_what, body) => {
    for (const path of ['/v1/authorize', '/v1/roles', '/v1/bundle', '/v1/entities/bulk'])
      expect((await raw(path === '/v1/bundle' ? 'PUT' : 'POST', path, bearer, body)).status).toBe(401)
  })

  test('is read for a login as far as one can need', async () => {
    const body = JSON.stringify({ method: 'api_key', api_key: 'x'.repeat(70_000) })
    expect((await raw('POST', '/v1/authenticate', { ...bearer, 'x-forwarded-for': '198.51.100.1' }, body)).status).toBe(
      413,
    )
  })

  test('headers of more than 16 KiB are not read', async () => {
    expect((await raw('GET', '/v1/roles', { ...bearer, 'x-large': 'x'.repeat(20_000) })).status).toBe(431)
  })

  test('bytes in a query that are not percent-encoded are no text', async () => {
    const authorization = `Bearer ${await verdict.keyWith(['pdp:admin'])}`
    const path = (text: string) => `/v1/assignments?subject_type=a&subject_id=${text}`
    expect((await raw('GET', path('pl\u00c3\u00a4n'), { authorization })).status).toBe(400)
    expect((await raw('GET', path('pl%C3%A4n+b'), { authorization })).status).toBe(200)
    expect((await raw('GET', path('%ff'), {})).status).toBe(401)
  })

  test('a connection that sends no request is not kept', async () => {
    const socket = connect(Number(new URL(verdict.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nGARBAGE\r\n\r\n')
    const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))))
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
  })
})

describe('answers', () => {
  test('of every kind say that nobody keeps them', async () => {
    for (const [route, ask] of [
      ['POST /v1/authorize', { body: {} }],
      ['GET /v1/authenticate/me', {}],
      ['GET /v1/authenticate/me', { key: null }],
      ['GET /nowhere', {}],
    ] as const) {
      const { headers } = await verdict.ask(route, ask)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    }
  })
})

describe('pages of other origins', () => {
  const preflight = (origin: string) => raw('OPTIONS', '/v1/roles', { origin, 'access-control-request-method': 'PUT' })

  test('may call where the configuration names their origin exactly, and without cookies', async () => {
    const { status, headers } = await preflight('https://admin.example.com')
    expect([status, headers['access-control-allow-origin']]).toEqual([204, 'https://admin.example.com'])
    expect(headers['access-control-allow-credentials']).toBeUndefined()
    const got = await raw('GET', '/livez', { origin: 'https://admin.example.com' })
    expect([got.headers['access-control-allow-origin'], got.headers.vary]).toEqual([
      'https://admin.example.com',
      'origin',
    ])
  })

  test.each([
    'https://evil.example.com',
    'https://admin.example.com.evil.com',
    'http://admin.example.com',
    'null',
    '*',
  ])('may not otherwise: %s', async (origin) => {
    const { status, headers } = await preflight(origin)
    expect([status, headers['access-control-allow-origin']]).toEqual([405, undefined])
    expect((await raw('GET', '/livez', { origin })).headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('too many calls', () => {
  const from = (address: string) => ({ 'x-forwarded-for': address })
  const login = (address: string) =>
    verdict.ask('POST /v1/authenticate', {
      key: null,
      headers: from(address),
      body: { method: 'api_key', api_key: 'none' },
    })

  test('of /v1/authenticate from one address get a 429 that says when to come back; others go on', async () => {
    for (let n = 0; n < 5; n++) expect((await login('203.0.113.5')).status).toBe(401)
    const { status, headers, body } = await login('203.0.113.5')
    expect([status, body.type]).toEqual([429, 'urn:verdict:problem:throttled'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(headers.get('ratelimit-limit')).toBe('5')
    expect(headers.get('ratelimit-remaining')).toBe('0')
    expect((await login('203.0.113.6')).status).toBe(401)
  })

  test('from the addresses of one IPv6 network are of one address', async () => {
    for (let n = 0; n < 5; n++) await login(`2001:db8:1:2::${n}`)
    expect((await login('2001:db8:1:2:ffff::9')).status).toBe(429)
    expect((await login('2001:db8:1:3::1')).status).toBe(401)
  })

  test('of administration by one caller are held up; keys can still be taken away, and decisions go on', async () => {
    const key = await verdict.keyWith(['pdp:admin'])
    const headers = from('203.0.113.7')
    const victim = await verdict.ask('POST /v1/api-keys', {
      key,
      headers,
      body: { name: 'v', subject: { type: 'user', id: 'v' }, roles: ['pdp:decider'] },
    })
    let last = victim
    for (let n = 0; n < 45 && last.status !== 429; n++) last = await verdict.ask('GET /v1/roles', { key, headers })
    expect(last.status).toBe(429)
    const question = { subject: { type: 'user', id: 'a' }, action: { name: 'x' }, resource: { type: 'd', id: '1' } }
    expect((await verdict.ask('POST /v1/authorize', { key, headers, body: question })).status).toBe(200)
    expect((await verdict.ask(`DELETE /v1/api-keys/${victim.body.id}`, { key, headers })).status).toBe(204)
    expect((await verdict.ask('GET /livez', { key: null, headers })).status).toBe(200)
    expect((await verdict.ask('GET /v1/roles', { headers })).status).toBe(200)
  })

  test('that are refused count too, and leave no record each', async () => {
    const key = await verdict.keyWith(['pdp:decider'])
    const statuses = []
    for (let n = 0; n < 60; n++)
      statuses.push((await verdict.ask('GET /v1/roles', { key, headers: from('203.0.113.8') })).status)
    expect(statuses.filter((status) => status === 403)).toHaveLength(40)
    expect(statuses.filter((status) => status === 429)).toHaveLength(20)
  })

  test('of decisions are held up where the tenant’s settings say so, and only there', async () => {
    const headers = from('203.0.113.9')
    const question = { subject: { type: 'user', id: 'a' }, action: { name: 'x' }, resource: { type: 'd', id: '1' } }
    const ask = () => verdict.ask('POST /v1/authorize', { headers, body: question })
    const answers = () => Promise.all(Array.from({ length: 60 }, ask))
    const many = async () => (await answers()).map(({ status }) => status)
    expect(new Set(await many())).toEqual(new Set([200]))
    const put = await verdict.ask('PUT /v1/settings', { headers, body: { decisions_per_second: 5 } })
    expect(put.status).toBe(200)
    const refused = (await answers()).filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThan(20)
    const [first] = refused
    const told = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after']
    expect(told.map((name) => first?.headers.get(name))).toEqual(['5', '0', '1', '1'])
    await verdict.ask('PUT /v1/settings', { headers, body: {} })
    expect(new Set(await many())).toEqual(new Set([200]))
  })
})

describe('where a call comes from', () => {
  const seen = async (forwarded: string) => {
    const key = await verdict.keyWith(['pdp:decider'])
    const headers = { 'x-forwarded-for': forwarded, 'x-request-id': `ip-${forwarded.length}-${Date.now()}` }
    await verdict.ask('GET /v1/authenticate/me', { key, headers })
    const { body } = await eventually(
      () =>
        verdict.ask(`GET /v1/audit?request_id=${headers['x-request-id']}`, {
          headers: { 'x-forwarded-for': '203.0.113.99' },
        }),
      ({ body: page }) => page.items.length > 0,
    )
    return body.items[0].ip
  }

  test('is what the proxy that is trusted says, not what the caller told the proxy', async () => {
    expect(await seen('203.0.113.77')).toBe('203.0.113.77')
    expect(await seen('10.0.0.1, 203.0.113.78')).toBe('203.0.113.78')
  })
})

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'verdict-tls-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const certify = (name: string) => {
    const [newCert, newKey] = [`${cert}.new`, `${key}.new`]
    const files = ['-keyout', newKey, '-out', newCert]
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    execFileSync('openssl', ['req', ...kind, '-subj', `/CN=${name}`, ...files], { stdio: 'ignore' })
    copyFileSync(newCert, cert)
    copyFileSync(newKey, key)
  }
  const peer = (url: string) =>
    new Promise<PeerCertificate>((resolve, reject) => {
      const sent = secureRequest(`${url}/livez`, { rejectUnauthorized: false, agent: false }, (response) => {
        const certificate = (response.socket as TLSSocket).getPeerCertificate()
        response.resume().on('end', () => resolve(certificate))
      })
      sent.on('error', reject).end()
    })

  test('is spoken with the certificate that is given, and with the next one once that is there', async () => {
    certify('first')
    const service = await serve(
      readConfig({
        ...verdict.env,
        VERDICT_DATA_DIR: join(folder, 'data'),
        VERDICT_TLS_CERT: cert,
        VERDICT_TLS_KEY: key,
      }),
      { stdout: { write: () => true } },
    )
    onTestFinished(() => service.close())
    expect(service.url).toMatch(/^https:/)
    expect((await peer(service.url)).subject.CN).toBe('first')
    certify('second')
    process.emit('SIGHUP')
    expect((await peer(service.url)).subject.CN).toBe('second')
    // Half of a pair is not taken.
    execFileSync('cp', ['/dev/null', key])
    process.emit('SIGHUP')
    expect((await peer(service.url)).subject.CN).toBe('second')
    expect(readFileSync(key, 'utf8')).toBe('')
  })
})

test.each([
  ['DELETE', '/v1/authorize', 405, 'POST'],
  ['PATCH', '/v1/rules/any%2Fname?x=/v1/roles', 405, 'DELETE, GET, PUT'],
  ['POST', '/livez', 405, 'GET, HEAD'],
  ['POST', '/v1/rules/any/name', 404, undefined],
  ['GET', '/nowhere', 404, undefined],
])('%s %s is answered with %d, and says what is there', async (method, path, status, allow) => {
  const answer = await raw(method, path, {})
  expect({ status: answer.status, allow: answer.headers.allow }).toEqual({ status, allow })
})
