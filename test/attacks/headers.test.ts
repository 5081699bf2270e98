import { connect } from 'node:net'
import { afterAll, beforeAll } from 'vitest'
import { type Ask, eventually, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// Requests as bytes, headers, paths.

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

/** All that is answered to these bytes, until the server has nothing more to say. */
function sent(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(verdict.url).port), '127.0.0.1')
    let answer = ''
    let quiet: NodeJS.Timeout | undefined
    const done = () => {
      clearTimeout(quiet)
      socket.destroy()
      resolve(answer)
    }
    socket.on('data', (data) => {
      answer += data.toString('latin1')
      clearTimeout(quiet)
      quiet = setTimeout(done, 300)
    })
    socket.on('close', done).on('error', done)
    socket.write(bytes, 'latin1')
  })
}

/** The statuses of all answers to these lines, in their order: one for each request that the server saw. */
async function lines(...of: string[]): Promise<string> {
  const answer = await sent(of.join('\r\n'))
  return [...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => status).join(' ') || 'closed'
}

const HOST = 'Host: verdict.test'
const bearer = () => `Authorization: Bearer ${verdict.adminKey}`
const SMUGGLED = 'GET /v1/settings HTTP/1.1'
const with1 = (...headers: string[]) =>
  lines('GET /v1/authenticate/me HTTP/1.1', HOST, bearer(), ...headers, 'Connection: close', '', '')
const path = (of: string) => lines(`GET ${of} HTTP/1.1`, HOST, 'Connection: close', '', '')

attacks('requests as bytes', [
  ['one as it should be, so that the others mean something', '200', () => with1()],
  [
    'a length and chunks',
    '400',
    () =>
      lines(
        'POST /v1/authenticate HTTP/1.1',
        HOST,
        'Content-Length: 6',
        'Transfer-Encoding: chunked',
        '',
        '0',
        '',
        SMUGGLED,
        HOST,
        bearer(),
        '',
        '',
      ),
  ],
  [
    'two lengths',
    '400',
    () =>
      lines(
        'POST /v1/authenticate HTTP/1.1',
        HOST,
        'Content-Length: 0',
        'Content-Length: 60',
        '',
        SMUGGLED,
        HOST,
        bearer(),
        '',
        '',
      ),
  ],
  [
    'a length with a sign',
    '400',
    () => lines('POST /v1/authenticate HTTP/1.1', HOST, 'Content-Length: +6', '', '0', '', ''),
  ],
  [
    'two lengths in one header',
    '400',
    () => lines('POST /v1/authenticate HTTP/1.1', HOST, 'Content-Length: 0, 60', '', SMUGGLED, HOST, bearer(), '', ''),
  ],
  [
    'chunks, hidden by a tab',
    '400',
    () => lines('POST /v1/authenticate HTTP/1.1', HOST, 'Transfer-Encoding:\u000bchunked', '', '0', '', ''),
  ],
  [
    'chunks that are not the last coding',
    '400',
    () => lines('POST /v1/authenticate HTTP/1.1', HOST, 'Transfer-Encoding: chunked, identity', '', '0', '', ''),
  ],
  [
    'chunks of a size that is none',
    '400',
    () =>
      lines(
        'POST /v1/authenticate HTTP/1.1',
        HOST,
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
        '',
        '0x1',
        '{',
        '',
      ),
  ],
  ['a blank before the colon', '400', () => with1('Content-Length : 6')],
  ['a header that goes on in the next line', '400', () => with1('X-A: b', ' Content-Length: 6')],
  [
    'a line that ends without CR',
    '400',
    () => lines('GET /v1/authenticate/me HTTP/1.1\nHost: verdict.test', bearer(), 'Connection: close', '', ''),
  ],
  ['NUL in a header', '400', () => with1('X-A: a\u0000b')],
  ['a header without a colon', '400', () => with1('Garbage')],
  ['no host', '400', () => lines('GET /v1/authenticate/me HTTP/1.1', bearer(), 'Connection: close', '', '')],
  ['another version', '400', () => lines('GET /v1/authenticate/me HTTP/9.9', HOST, bearer(), '', '')],
  ['a method that is none', '400', () => lines('GIVE /v1/settings HTTP/1.1', HOST, bearer(), '', '')],
  ['TRACE', '405', () => lines('TRACE /v1/authenticate/me HTTP/1.1', HOST, bearer(), 'Connection: close', '', '')],
  ['CONNECT', 'closed', () => lines('CONNECT 10.0.0.1:80 HTTP/1.1', HOST, bearer(), '', '')],
  ['headers of more than 16 KiB', '431', () => with1(`X-A: ${'a'.repeat(20_000)}`)],
  ['three thousand headers', '431', () => with1(...Array.from({ length: 3000 }, (_, n) => `X-${n}: a`))],
  ['a wish for another protocol', '200', () => with1('Upgrade: h2c', 'HTTP2-Settings: AAMAAABk')],
  [
    'a second Authorization after one that is nobody’s',
    '401',
    () =>
      lines(
        'GET /v1/authenticate/me HTTP/1.1',
        HOST,
        'Authorization: Bearer nobody',
        bearer(),
        'Connection: close',
        '',
        '',
      ),
  ],
])

attacks('paths', [
  ['a route without a credential', '401', () => path('/v1/settings')],
  ['with its letters in escapes', '401', () => path('/v1/%73ettings')],
  ['with a slash more in front', '404', () => path('//v1/settings')],
  ['with a slash more inside', '404', () => path('/v1//settings')],
  ['with a dot', '404', () => path('/v1/./settings')],
  ['by a detour', '404', () => path('/livez/../v1/settings')],
  ['by a detour in escapes', '404', () => path('/livez/%2e%2e/v1/settings')],
  ['with a slash in escapes', '404', () => path('/v1%2fsettings')],
  ['in capitals', '404', () => path('/V1/SETTINGS')],
  ['with a slash behind', '404', () => path('/v1/settings/')],
  ['with a session behind a semicolon', '404', () => path('/v1/settings;a=b')],
  ['with a name of a file behind', '404', () => path('/v1/settings.json')],
  ['with NUL behind', '404', () => path('/v1/settings%00')],
  ['with a backslash', '404', () => path('/v1\\settings')],
  ['as a whole URL of somebody else', '401', () => path('http://evil.test/v1/settings')],
  ['as HEAD', '405', () => lines('HEAD /v1/settings HTTP/1.1', HOST, 'Connection: close', '', '')],
  ['as OPTIONS', '405', () => lines('OPTIONS /v1/settings HTTP/1.1', HOST, 'Connection: close', '', '')],
  ['a route of Verdict’s under another', '404', () => path('/openapi.json/../v1/settings')],
])

const me = (headers: NonNullable<Ask['headers']>) => verdict.ask('GET /v1/authenticate/me', { headers })

/** The address that the audit has of a call with these headers. */
async function address(headers: Record<string, string>): Promise<string> {
  const id = `address-${Math.random()}`
  await me({ ...headers, 'x-request-id': id })
  const { body } = await eventually(
    () => verdict.ask(`GET /v1/audit?request_id=${id}`),
    ({ body: page }) => page.items.length > 0,
  )
  return body.items[0].ip === '127.0.0.1' ? '200' : body.items[0].ip
}

attacks('headers', [
  ['X-Forwarded-For from who is no proxy', '200', () => address({ 'x-forwarded-for': '10.0.0.1' })],
  ['Forwarded', '200', () => address({ forwarded: 'for=10.0.0.1' })],
  ['X-Real-IP', '200', () => address({ 'x-real-ip': '10.0.0.1' })],
  [
    'another host, in what Verdict says of itself',
    '200',
    async () => {
      const headers = { host: 'evil.test', 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'gopher' }
      const body = { method: 'api_key', api_key: verdict.adminKey }
      const reply = await verdict.ask('POST /v1/authenticate', { key: null, body, headers })
      const { iss } = JSON.parse(Buffer.from(reply.body.access_token.split('.')[1], 'base64url').toString())
      return iss === 'https://verdict.test' ? String(reply.status) : iss
    },
  ],
  [
    'another method',
    '405',
    () => verdict.ask('POST /v1/settings', { body: {}, headers: { 'x-http-method-override': 'PUT' } }),
  ],
  [
    'another path',
    '401',
    () =>
      verdict.ask('GET /v1/settings', {
        key: null,
        headers: { 'x-original-url': '/livez', 'x-rewrite-url': '/livez' },
      }),
  ],
  [
    'an id of a request with blanks and colons',
    'comes back as the one header that it was',
    async () => {
      const reply = await me({ 'x-request-id': 'a b: c' })
      const isOne = reply.headers.get('x-request-id') === 'a b: c' && reply.headers.get('b') === null
      return isOne ? 'comes back as the one header that it was' : String(reply.status)
    },
  ],
  [
    'an id of a request of 2,000 characters',
    'is not recorded',
    async () => {
      const id = 'x'.repeat(2_000)
      const reply = await me({ 'x-request-id': id })
      if (reply.headers.get('x-request-id') !== id) return 'does not come back'
      const { body } = await verdict.ask('GET /v1/audit?limit=20')
      return JSON.stringify(body).includes(id) ? 'is recorded' : 'is not recorded'
    },
  ],
  [
    'a reason that is empty',
    '400 /verdict-reason',
    () => verdict.ask('PUT /v1/roles/x', { body: {}, headers: { 'verdict-reason': '' } }),
  ],
  [
    'a reason that is no ASCII in a header',
    '400 /verdict-reason',
    () => verdict.ask('PUT /v1/roles/x', { body: {}, headers: { 'verdict-reason': 'wegen Gr\u00f6\u00dfe' } }),
  ],
  [
    'an Idempotency-Key of 300 characters',
    '400 /idempotency-key',
    () => verdict.ask('PUT /v1/roles/x', { body: {}, headers: { 'idempotency-key': 'x'.repeat(300) } }),
  ],
  [
    'a page of another origin',
    '405',
    () =>
      verdict.ask('OPTIONS /v1/roles', {
        key: null,
        headers: { origin: 'https://evil.test', 'access-control-request-method': 'PUT' },
      }),
  ],
  [
    'a form of another origin',
    '401',
    () =>
      verdict.ask('POST /v1/roles', {
        key: null,
        body: 'name=x',
        headers: { origin: 'https://evil.test', 'content-type': 'application/x-www-form-urlencoded' },
      }),
  ],
  [
    'a cache between',
    '200',
    async () => {
      const body = { method: 'api_key', api_key: verdict.adminKey }
      const question = { subject: { type: 'u', id: 'a' }, action: { name: 'x' }, resource: { type: 'd', id: '1' } }
      const replies = [
        await verdict.ask('POST /v1/authenticate', { key: null, body }),
        await verdict.ask('POST /v1/authorize', { body: question }),
        await verdict.ask('GET /v1/audit/export'),
        await verdict.ask('GET /v1/bundle'),
      ]
      const kept = replies.find(({ headers }) => headers.get('cache-control') !== 'no-store')
      return kept === undefined ? '200' : `kept: ${kept.headers.get('cache-control')}`
    },
  ],
])
