import { createServer as createPlain, type RequestListener, type Server } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { destinations, parseNetwork } from '../../src/outgoing/addresses.ts'
import { jsonFetcher, type OutgoingOptions } from '../../src/outgoing/fetch-json.ts'
import { CERTIFICATE, PRIVATE_KEY } from '../support/tls.ts'

const HERE = { address: '127.0.0.1', family: 4 }
const home = destinations([parseNetwork('127.0.0.0/8') ?? { address: '', prefix: 0 }])

const asked: string[] = []
const answers: RequestListener = (request, response) => {
  asked.push(`${request.headers.host}${request.url}`)
  const json = { 'content-type': 'application/json; charset=utf-8' }
  const url = request.url ?? ''
  if (url === '/ok') response.writeHead(200, json).end('{"keys":[]}')
  else if (url === '/jwk-set') response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end('{}')
  else if (url === '/moved') response.writeHead(302, { ...json, location: '/ok' }).end('{}')
  else if (url === '/html') response.writeHead(200, { 'content-type': 'text/html' }).end('{}')
  else if (url === '/typeless') response.writeHead(200).end('{}')
  else if (url === '/gzip') response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end('{}')
  else if (url === '/broken') response.writeHead(200, json).end('{"keys":')
  else if (url === '/missing') response.writeHead(404, json).end('{}')
  else if (url === '/endless') {
    response.writeHead(200, json)
    const more = () => {
      while (!response.destroyed && response.write(' '.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  } else if (url === '/drip') {
    response.writeHead(200, json)
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  }
}

const secure = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, answers)
const plain = createPlain(answers)
const listen = (server: Server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
const portOf = (server: Server) => (server.address() as AddressInfo).port

beforeAll(() => Promise.all([listen(secure), listen(plain)]))
afterAll(() => {
  for (const server of [secure, plain]) {
    server.closeAllConnections()
    server.close()
  }
})

const fetcher = (options: Partial<OutgoingOptions> = {}) =>
  jsonFetcher({
    destinations: home,
    httpToLoopback: false,
    resolve: async () => [HERE],
    tls: { ca: CERTIFICATE },
    ...options,
  })

const at = (path: string, host = 'idp.test') => `https://${host}:${portOf(secure)}${path}`

test('a document is fetched over https, from the address that was checked, under the name that was asked for', async () => {
  expect(await fetcher()(at('/ok'))).toEqual({ keys: [] })
  expect(await fetcher()(at('/jwk-set'))).toEqual({})
  expect(asked).toContain(`idp.test:${portOf(secure)}/ok`)
})

describe('where a name leads is looked up once and checked', () => {
  const hostile: [string, string[]][] = [
    ['this machine', ['127.0.0.1']],
    ['this machine, in IPv6', ['::1']],
    ['this machine, as IPv4 in IPv6', ['::ffff:127.0.0.1']],
    ['a private network', ['10.0.0.1']],
    ['the metadata of a cloud', ['169.254.169.254']],
    ['a public address and a private one', ['93.184.216.34', '10.0.0.1']],
    ['nothing', []],
  ]
  test.each(hostile)('and not followed to %s', async (_what, addresses) => {
    const resolve = async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    const before = asked.length
    await expect(fetcher({ destinations: destinations([]), resolve })(at('/ok'))).rejects.toThrow(/address/)
    expect(asked).toHaveLength(before)
  })

  test('so that a second answer of the name server changes nothing (rebinding)', async () => {
    let looked = 0
    const resolve = async () => [looked++ === 0 ? HERE : { address: '127.0.0.2', family: 4 }]
    expect(await fetcher({ resolve })(at('/ok'))).toEqual({ keys: [] })
    expect(looked).toBe(1)
  })

  // "localhost" is in every hosts file: a connection that looked the name up by itself would get there.
  test('and the connection does not look it up again', async () => {
    const resolve = async () => [{ address: '127.0.0.99', family: 4 }]
    await expect(fetcher({ resolve, tls: {} })(at('/ok', 'localhost'))).rejects.toThrow(/ECONNREFUSED 127.0.0.99/)
  })
})

describe('a URL is refused', () => {
  const nowhere = fetcher({ destinations: destinations([]) })
  test.each([
    'https://127.0.0.1/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://0177.0.0.1/',
    'https://127.0.0.1./',
    'https://[::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://169.254.169.254/latest/meta-data/',
    'http://93.184.216.34/',
    'https://user:secret@idp.test/',
    'ftp://idp.test/',
    'file:///etc/passwd',
    'data:application/json,{}',
    'gopher://127.0.0.1:25/',
    '//idp.test/',
    'idp.test',
    '',
  ])('%s', async (url) => {
    const before = asked.length
    await expect(nowhere(url)).rejects.toThrow()
    expect(asked).toHaveLength(before)
  })
})

test('a URL with credentials is refused, wherever it leads', async () => {
  await expect(fetcher()(at('/ok', 'user:secret@idp.test'))).rejects.toThrow('credentials')
})

describe('plain http', () => {
  const url = () => `http://localhost:${portOf(plain)}/ok`

  test('is spoken with this machine alone, and only where that is set', async () => {
    await expect(fetcher()(url())).rejects.toThrow('plain http')
    expect(await fetcher({ httpToLoopback: true, destinations: destinations([]) })(url())).toEqual({ keys: [] })
  })

  test('is never spoken with another, whatever is set', async () => {
    const resolve = async () => [{ address: '93.184.216.34', family: 4 }]
    await expect(fetcher({ httpToLoopback: true, resolve })(url())).rejects.toThrow('plain http')
  })
})

describe('an answer is refused', () => {
  test.each([
    ['that leads elsewhere', '/moved', /redirects/],
    ['that is no success', '/missing', /status 404/],
    ['that is no JSON by its type', '/html', /JSON/],
    ['that has no type', '/typeless', /JSON/],
    ['that is encoded', '/gzip', /encoding/],
    ['that is not JSON', '/broken', /valid JSON/],
    ['without end', '/endless', /more than 1048576 bytes/],
  ])('%s', async (_what, path, why) => {
    await expect(fetcher()(at(path))).rejects.toThrow(why)
  })

  test.each(['/drip', '/silent'])('that takes too long: %s', async (path) => {
    await expect(fetcher({ timeLimit: 200 })(at(path))).rejects.toThrow('too long')
  })

  test('whose name takes too long to look up', async () => {
    const resolve = () => new Promise<never>(() => undefined)
    await expect(fetcher({ timeLimit: 50, resolve })(at('/ok'))).rejects.toThrow('too long')
  })

  test('of a server whose certificate is not trusted, or is of another name', async () => {
    await expect(fetcher({ tls: {} })(at('/ok'))).rejects.toThrow(/self.signed/i)
    await expect(fetcher()(at('/ok', 'other.test'))).rejects.toThrow(/altnames/)
  })

  test('is refused too where the environment turns the check of certificates off', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    try {
      await expect(fetcher({ tls: {} })(at('/ok'))).rejects.toThrow(/self.signed/i)
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    }
  })
})

test('not more than a bounded number is under way at once', async () => {
  const fetchJson = fetcher({ timeLimit: 300 })
  const results = await Promise.allSettled(Array.from({ length: 70 }, () => fetchJson(at('/silent'))))
  const reasons = results.map((result) => (result.status === 'rejected' ? String(result.reason.message) : 'ok'))
  expect(reasons.filter((reason) => reason.includes('too many'))).toHaveLength(6)
  expect(await fetchJson(at('/ok'))).toEqual({ keys: [] })
})
