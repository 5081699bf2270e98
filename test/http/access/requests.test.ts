import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Reply, startService, type TestService } from '../../support/service.ts'
import { ALICE, ALLOWED, aliceReads, PLAN, READ } from './support.ts'

let verdict: TestService
let auditor: string

beforeAll(async () => {
  verdict = await startService()
  await aliceReads(verdict)
  auditor = await verdict.keyWith(['pdp:auditor'])
})
afterAll(() => verdict.close())

const ENDPOINTS = ['/access/v1/evaluation', '/access/v1/evaluations']

describe.each(ENDPOINTS)('%s', (path) => {
  const ask = (body: unknown, headers: Record<string, string> = {}, key?: string | null): Promise<Reply> =>
    verdict.ask(`POST ${path}`, { body, headers, ...(key !== undefined && { key }) })
  const json = (body: unknown) => ask(body, { 'content-type': 'application/json' })

  describe('takes', () => {
    test.each([
      'application/json',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'Application/JSON',
      'application/json ; charset="utf-8"',
    ])('a body in %s', async (type) => {
      expect((await ask(ALLOWED, { 'content-type': type })).body).toEqual({ decision: true })
    })
  })

  describe('answers 400, as a problem, to', () => {
    const { subject, action, resource } = ALLOWED
    test.each([
      ['no body', undefined, ''],
      ['an empty body', '', ''],
      ['blanks', '  ', ''],
      ['half a body', '{"subject":', ''],
      ['two bodies', '{}{}', ''],
      ['text', '"subject"', ''],
      ['a list', JSON.stringify([ALLOWED]), ''],
      ['null', 'null', ''],
      ['a number', '7', ''],
      ['no subject', { action, resource }, '/subject'],
      ['no action', { subject, resource }, '/action'],
      ['no resource', { subject, action }, '/resource'],
      ['a subject without type', { ...ALLOWED, subject: { id: 'alice' } }, '/subject/type'],
      ['a subject without id', { ...ALLOWED, subject: { type: 'user' } }, '/subject/id'],
      ['a subject that is a token', { ...ALLOWED, subject: { token: 'eyJ.a.b' } }, '/subject/'],
      ['a resource without type', { ...ALLOWED, resource: { id: 'plan' } }, '/resource/type'],
      ['a resource without id', { ...ALLOWED, resource: { type: 'document' } }, '/resource/id'],
      ['an action without name', { ...ALLOWED, action: {} }, '/action/name'],
      ['an action with type and id only', { ...ALLOWED, action: { type: 'a', id: 'read' } }, '/action/name'],
      ['a subject as text', { ...ALLOWED, subject: 'alice' }, '/subject'],
      ['a subject that is null', { ...ALLOWED, subject: null }, '/subject'],
      ['a subject as a list', { ...ALLOWED, subject: [ALICE] }, '/subject'],
      ['a type as a number', { ...ALLOWED, subject: { ...ALICE, type: 1 } }, '/subject/type'],
      ['an id as a number', { ...ALLOWED, subject: { ...ALICE, id: 5 } }, '/subject/id'],
      ['an id as a boolean', { ...ALLOWED, resource: { ...PLAN, id: true } }, '/resource/id'],
      ['an id that is null', { ...ALLOWED, resource: { ...PLAN, id: null } }, '/resource/id'],
      ['an id as a list of one', { ...ALLOWED, subject: { ...ALICE, id: ['alice'] } }, '/subject/id'],
      ['a name as a number', { ...ALLOWED, action: { name: 1 } }, '/action/name'],
      ['an action as text', { ...ALLOWED, action: 'read' }, '/action'],
      ['properties as a list', { ...ALLOWED, subject: { ...ALICE, properties: [] } }, '/subject/properties'],
      ['properties as text', { ...ALLOWED, resource: { ...PLAN, properties: '{}' } }, '/resource/properties'],
      ['properties that are null', { ...ALLOWED, action: { ...READ, properties: null } }, '/action/properties'],
      ['a context as text', { ...ALLOWED, context: 'x' }, '/context'],
      ['a context as a list', { ...ALLOWED, context: [] }, '/context'],
      ['a context that is null', { ...ALLOWED, context: null }, '/context'],
      ['options as text', { ...ALLOWED, options: 'x' }, '/options'],
      ['a member twice', '{"subject":{"type":"user","id":"a","id":"b"}}', ''],
      ['a member twice, once escaped', '{"subject":{"type":"user","id":"a","\\u0069d":"b"}}', ''],
      ['a lone surrogate', '{"subject":{"type":"user","id":"\\ud800"}}', ''],
      ['a lone surrogate in a context', '{"context":{"x":"\\udc00"}}', ''],
      ['NUL in an id', '{"subject":{"type":"user","id":"a\\u0000"}}', ''],
      ['NUL in a member that nobody knows', '{"x":"\\u0000"}', ''],
    ])('%s', async (_what, body, pointer) => {
      const { status, headers, body: problem } = await json(body)
      expect(status).toBe(400)
      expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect(headers.get('x-decision-id')).toBeNull()
      expect(problem).toMatchObject({ status: 400, title: expect.any(String) })
      expect(problem.errors[0].pointer).toContain(pointer)
      if (pointer === '') expect(problem.errors[0].pointer).toBe('')
    })

    test.each([
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'application/jsonp',
      'application/problem+json',
      'multipart/form-data; boundary=x',
      'nonsense',
    ])('a body in %s, and never 415', async (type) => {
      const { status, body } = await ask(JSON.stringify(ALLOWED), { 'content-type': type })
      expect([status, body.type]).toEqual([400, 'urn:verdict:problem:invalid_request'])
    })

    test('a body that says nothing of its type', async () => {
      const response = await fetch(verdict.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${verdict.adminKey}` },
        body: new Blob([JSON.stringify(ALLOWED)]),
      })
      expect(response.status).toBe(400)
    })
  })

  describe('answers 401, with WWW-Authenticate, to', () => {
    test.each([
      ['no credential', null],
      ['a bad one', 'nonsense'],
      ['a key that nobody has', `vdt_abcd_${'x'.repeat(43)}`],
    ])('%s', async (_what, key) => {
      const { status, headers } = await ask(ALLOWED, {}, key)
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    })

    test('a credential of another scheme', async () => {
      const { status, headers } = await ask(ALLOWED, { authorization: 'Basic YTpi' }, null)
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    })
  })

  test('answers 403 to who is known and may not ask', async () => {
    const { status, headers } = await ask(ALLOWED, {}, auditor)
    expect(status).toBe(403)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  })

  test('is there for POST alone', async () => {
    expect((await verdict.ask(`GET ${path}`)).status).toBe(405)
  })

  describe('gives X-Request-ID back, unchanged,', () => {
    const IDS = ['bfe9eb29-ab87-4ca3-be83-a1d5d8305716', 'Mine-1.2', 'a b, c', '{"x":1}', 'x'.repeat(2000)]
    test.each(IDS.map((id) => [id.slice(0, 40), id]))('with an answer: %s', async (_title, id) => {
      const { status, headers } = await ask(ALLOWED, { 'x-request-id': id })
      expect([status, headers.get('x-request-id')]).toEqual([200, id])
    })

    test.each([
      ['400', { status: 400, body: {} }],
      ['400 for its type', { status: 400, body: '{}', headers: { 'content-type': 'text/plain' } }],
      ['400 for its JSON', { status: 400, body: '{', headers: { 'content-type': 'application/json' } }],
      ['401', { status: 401, body: ALLOWED, key: null }],
      ['403', { status: 403, body: ALLOWED, key: () => auditor }],
      ['413', { status: 413, body: { ...ALLOWED, context: { x: 'x'.repeat(2_200_000) } } }],
    ] as const)('with a %s', async (_title, { status, body, ...more }) => {
      const { key, headers } = { key: undefined, headers: {}, ...more }
      const answer = await ask(body, { ...headers, 'x-request-id': 'err 1' }, typeof key === 'function' ? key() : key)
      expect([answer.status, answer.headers.get('x-request-id')]).toEqual([status, 'err 1'])
    })

    test('byte by byte, beyond ASCII too', async () => {
      const { hostname, port } = new URL(verdict.url)
      const socket = connect(Number(port), hostname)
      const body = JSON.stringify(ALLOWED)
      const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${verdict.adminKey}\r\n`
      const rest = `content-type: application/json\r\ncontent-length: ${body.length}\r\nx-request-id: gr\xfc\xdf\r\n\r\n${body}`
      let answer = ''
      socket.setEncoding('latin1').on('data', (piece) => (answer += piece))
      socket.write(head + rest, 'latin1')
      await once(socket, 'close')
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      expect(/\r\nx-request-id: ([^\r]*)/i.exec(answer)?.[1]).toBe('gr\xfc\xdf')
    })
  })

  test('makes an X-Request-ID where none came', async () => {
    expect((await ask(ALLOWED)).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test('a path below /access that does not exist gives X-Request-ID back too', async () => {
  const { status, headers } = await verdict.ask('POST /access/v1/nothing', {
    body: {},
    headers: { 'x-request-id': 'n' },
  })
  expect([status, headers.get('x-request-id')]).toEqual([404, 'n'])
})

test('a suspended tenant is told false, not an error', async () => {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  const { body } = await verdict.ask('POST /v1/api-keys', {
    key: verdict.rootKey,
    headers: { 'verdict-tenant': 'acme' },
    body: { name: 'd', subject: { type: 'service', id: 'd' }, roles: ['pdp:decider'] },
  })
  await verdict.ask('PATCH /v1/tenants/acme', { key: verdict.rootKey, body: { status: 'suspended' } })
  for (const path of ENDPOINTS) {
    const answer = await verdict.ask(`POST ${path}`, { key: body.key, body: ALLOWED })
    expect([answer.status, answer.body]).toEqual([200, { decision: false }])
  }
})
