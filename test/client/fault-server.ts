import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface FakeServer {
  readonly url: string
  /** What it was asked, in order. */
  readonly asked: Asked[]
  close(): Promise<void>
}

export type Behaviour = (response: ServerResponse, asked: Asked, times: number) => void

/** Stands in Verdict's place, and behaves as it is told. */
export async function fakeServer(behave: Behaviour): Promise<FakeServer> {
  const asked: Asked[] = []
  const server: Server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    const question = { method, url, headers, body: await text(request) }
    asked.push(question)
    behave(response, question, asked.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export const json = (
  response: ServerResponse,
  body: unknown,
  { status = 200, type = 'application/json', headers = {} as Record<string, string> } = {},
) => {
  response.writeHead(status, { 'content-type': type, ...headers })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}

export const ALLOW = {
  decision: true,
  context: { decision_id: '1', reason: 'allowed_by_rule', rules: ['default/r'], obligations: [], revision: 7 },
}
export const DENY = { decision: false, context: { ...ALLOW.context, reason: 'no_applicable_rule', rules: [] } }

const allowed = JSON.stringify(ALLOW)

/** Of these faults, those whose answers never end: only the time-out does. */
export const ENDLESS: ReadonlySet<string> = new Set([
  'never answers',
  'sends half a body and hangs',
  'sends the whole body and never ends it',
  'sends its head and hangs',
  'is slow',
  'drips',
])

/** Ways to answer that are none; each of them must deny. */
export const FAULTS: Readonly<Record<string, Behaviour>> = {
  'never answers': () => {},
  'resets the connection': (response) => response.socket?.resetAndDestroy(),
  'closes the connection without a word': (response) => response.socket?.destroy(),
  'sends half a body and closes': (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': allowed.length + 10 })
    response.write(allowed, () => response.socket?.destroy())
  },
  'sends half a body in chunks and closes': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(allowed, () => response.socket?.destroy())
  },
  'sends half a body and hangs': (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': allowed.length + 10 })
    response.write(allowed)
  },
  'sends the whole body and never ends it': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write(allowed)
  },
  'sends its head and hangs': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
  },
  'sends JSON that ends too early': (response) => json(response, allowed.slice(0, -1)),
  'sends JSON and more': (response) => json(response, `${allowed}${allowed}`),
  'sends nothing': (response) => json(response, ''),
  'sends {}': (response) => json(response, '{}'),
  'sends null': (response) => json(response, 'null'),
  'sends true': (response) => json(response, 'true'),
  'sends "true"': (response) => json(response, '"true"'),
  'sends a list of an allow': (response) => json(response, [ALLOW]),
  'says "true"': (response) => json(response, { ...ALLOW, decision: 'true' }),
  'says 1': (response) => json(response, { ...ALLOW, decision: 1 }),
  'says {}': (response) => json(response, { ...ALLOW, decision: {} }),
  'says [true]': (response) => json(response, { ...ALLOW, decision: [true] }),
  'says null': (response) => json(response, { ...ALLOW, decision: null }),
  'says it under another name': (response) => json(response, { Decision: true, allowed: true, context: ALLOW.context }),
  'says it deeper': (response) => json(response, { body: ALLOW }),
  'says it as a prototype': (response) => json(response, '{"__proto__": {"decision": true}, "context": {}}'),
  'says false': (response) => json(response, DENY),
  'has a context that is none': (response) => json(response, { decision: true, context: 'fine' }),
  'has obligations that are none': (response) =>
    json(response, { decision: true, context: { ...ALLOW.context, obligations: 'none' } }),
  'has an obligation that cannot be read': (response) =>
    json(response, { decision: true, context: { ...ALLOW.context, obligations: [null] } }),
  'has an obligation that nobody declared': (response) =>
    json(response, { decision: true, context: { ...ALLOW.context, obligations: [{ id: 'm', type: 'mask' }] } }),
  'is a 500 that says allow': (response) => json(response, ALLOW, { status: 500 }),
  'is a 500': (response) => json(response, 'oh', { status: 500, type: 'text/plain' }),
  'is a 503': (response) =>
    json(
      response,
      { type: 'urn:verdict:problem:stale', title: 't', status: 503, detail: 'too old' },
      { status: 503, type: 'application/problem+json', headers: { 'retry-after': '1' } },
    ),
  'is a 503 for ever, at once': (response) => json(response, ALLOW, { status: 503, headers: { 'retry-after': '0' } }),
  'is a 401 that says allow': (response) => json(response, ALLOW, { status: 401 }),
  'is a 403 that says allow': (response) => json(response, ALLOW, { status: 403 }),
  'is a 429 that says allow': (response) => json(response, ALLOW, { status: 429, headers: { 'retry-after': '0' } }),
  'is a 204': (response) => response.writeHead(204).end(),
  'is a 201 that says allow': (response) => json(response, ALLOW, { status: 201 }),
  'is a 203 that says allow': (response) => json(response, ALLOW, { status: 203 }),
  'is a 206 that says allow': (response) => json(response, ALLOW, { status: 206 }),
  'is slow': (response) => void setTimeout(() => json(response, ALLOW), 60_000).unref(),
  drips: (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const drip = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(drip))
  },
  'sends a huge body': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const spaces = ' '.repeat(1024 * 1024)
    const pour = () => {
      while (!response.destroyed && response.write(spaces)) {}
    }
    response.on('drain', pour)
    pour()
  },
  'is huge, and an allow at its end': (response) => json(response, `${' '.repeat(8 * 1024 * 1024)}${allowed}`),
  'redirects to an allow': (response, { url }) =>
    url === '/allow' ? json(response, ALLOW) : response.writeHead(307, { location: '/allow' }).end(allowed),
  'redirects to an allow by GET': (response, { url }) =>
    url === '/allow' ? json(response, ALLOW) : response.writeHead(303, { location: '/allow' }).end(),
  'redirects to itself': (response, { url }) => response.writeHead(308, { location: url }).end(),
  'is HTML': (response) => json(response, '<h1>true</h1>', { type: 'text/html' }),
  'is an allow as text': (response) => json(response, ALLOW, { type: 'text/plain' }),
  'is an allow of no type': (response) => response.writeHead(200).end(allowed),
  'is an allow as a problem': (response) => json(response, ALLOW, { type: 'application/problem+json' }),
  'is not UTF-8': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      Buffer.concat([Buffer.from(allowed.slice(0, -1)), Buffer.from([0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])]),
    )
  },
  'says it is packed, and is not': (response) => json(response, ALLOW, { headers: { 'content-encoding': 'gzip' } }),
  'is no HTTP': (response) => response.socket?.end('{"decision": true}'),
}
