import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'

let service: TestService
let decider: string

const alice = { type: 'user', id: 'alice' }
const spec = { type: 'document', id: 'spec' }
const read = { name: 'document:read' }
const user = { type: 'user' }
const document = { type: 'document' }

const BUNDLE = {
  verdict: 1,
  types: [
    { name: 'document', actions: ['document:delete', 'document:edit', 'document:read'] },
    { name: 'account', schema: { properties: { limit: { type: 'integer' } } } },
  ],
  roles: [
    { name: 'viewer', permissions: [{ actions: ['document:read'], resources: [{ type: 'document' }] }] },
    {
      name: 'owner',
      derived: { from: ['viewer'], condition: 'resource.properties.owner == subject.id' },
      permissions: [{ actions: ['document:*'], resources: [{ type: 'document' }] }],
    },
  ],
  rules: [
    {
      name: 'no-secrets',
      effect: 'deny',
      subjects: [{ type: 'group', id: 'interns' }],
      actions: ['*'],
      resources: [{ type: 'document', within: { type: 'folder', id: 'secret' } }],
    },
    {
      name: 'office',
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['enter'],
      resources: [{ type: 'room' }],
      condition: 'context.hour < 18.0 && resource.properties.open',
    },
  ],
  entities: [
    ...['alice', 'bob', 'carol', 'dave'].map((id) => ({ type: 'user', id })),
    { type: 'user', id: 'erin', parents: [{ type: 'group', id: 'interns' }] },
    { type: 'user', id: 'zoe', disabled: true, parents: [{ type: 'group', id: 'staff' }] },
    { type: 'group', id: 'interns', parents: [{ type: 'group', id: 'staff' }] },
    { type: 'group', id: 'staff' },
    { type: 'folder', id: 'secret' },
    { type: 'folder', id: 'plans', parents: [{ type: 'folder', id: 'secret' }] },
    { type: 'document', id: 'spec', properties: { owner: 'alice' }, parents: [{ type: 'folder', id: 'plans' }] },
    { type: 'document', id: 'menu', properties: { owner: 'bob' } },
    { type: 'document', id: 'agenda', properties: { owner: 'erin' } },
  ],
  assignments: [
    { subject: alice, role: 'viewer' },
    { subject: { type: 'user', id: 'bob' }, role: 'viewer', within: { type: 'folder', id: 'secret' } },
    { subject: { type: 'group', id: 'staff' }, role: 'viewer' },
  ],
}

beforeAll(async () => {
  service = await startService()
  await service.ask('PUT /v1/bundle', { body: BUNDLE })
  decider = await service.keyWith(['pdp:decider'])
})
afterAll(() => service.close())

const search = (kind: 'subject' | 'resource' | 'action', body: unknown, headers = {}) =>
  service.ask(`POST /access/v1/search/${kind}`, { key: decider, body, headers })
const ids = (results: readonly { id: string }[]) => results.map(({ id }) => id)

describe('subject search', () => {
  test('finds the subjects of the type that may do it, through groups in groups, and no others', async () => {
    const { status, body } = await search('subject', { subject: user, action: read, resource: spec })
    expect(status).toBe(200)
    expect(body).toEqual({ page: { next_token: '' }, results: [alice, { type: 'user', id: 'bob' }] })
    const menu = await search('subject', { subject: user, action: read, resource: { type: 'document', id: 'menu' } })
    expect(ids(menu.body.results)).toEqual(['alice', 'erin'])
  })

  test('ignores an id of the subject, whatever it is', async () => {
    const { body } = await search('subject', { subject: { ...user, id: 'bob' }, action: read, resource: spec })
    const other = await search('subject', { subject: { ...user, id: 5 }, action: read, resource: spec })
    expect(ids(body.results)).toEqual(['alice', 'bob'])
    expect(other.body).toEqual(body)
  })

  test('takes the context and the properties of action and resource into account', async () => {
    const room = { type: 'room', id: 'r1', properties: { open: true } }
    const asked = { subject: { type: 'group' }, action: { name: 'enter' }, resource: room }
    expect(ids((await search('subject', { ...asked, context: { hour: 9 } })).body.results)).toEqual([
      'interns',
      'staff',
    ])
    expect((await search('subject', { ...asked, context: { hour: 19 } })).body.results).toEqual([])
  })
})

describe('resource search', () => {
  test('finds the resources of the type, what is in folders too', async () => {
    const asked = { action: read, resource: document }
    const of = async (id: string) =>
      ids((await search('resource', { ...asked, subject: { ...user, id } })).body.results)
    expect(await of('alice')).toEqual(['agenda', 'menu', 'spec'])
    expect(await of('bob')).toEqual(['spec'])
    expect(await of('erin')).toEqual(['agenda', 'menu'])
  })

  test('ignores an id of the resource', async () => {
    const { body } = await search('resource', { subject: alice, action: read, resource: spec })
    expect(ids(body.results)).toEqual(['agenda', 'menu', 'spec'])
  })
})

describe('action search', () => {
  test('finds what the type declares and what rules name', async () => {
    const { body } = await search('action', { subject: alice, resource: spec })
    expect(body).toEqual({
      page: { next_token: '' },
      results: [{ name: 'document:delete' }, { name: 'document:edit' }, { name: 'document:read' }],
    })
    const bob = await search('action', { subject: { type: 'user', id: 'bob' }, resource: spec })
    expect(bob.body.results).toEqual([{ name: 'document:read' }])
  })

  test('ignores an action, whatever it is', async () => {
    const { body } = await search('action', { subject: alice, action: read, resource: spec })
    expect(body.results).toHaveLength(3)
    expect((await search('action', { subject: alice, action: 5, resource: spec })).body).toEqual(body)
  })
})

describe('each result', () => {
  test('evaluates to true when it is put back into a decision', async () => {
    const found = await search('subject', { subject: user, action: read, resource: spec })
    for (const subject of found.body.results) {
      const { body } = await service.ask('POST /v1/authorize', { body: { subject, action: read, resource: spec } })
      expect(body.decision).toBe(true)
    }
  })

  test('has its type and its id in this order, or its name, and nothing else; the page stands before the results', async () => {
    const text = async (kind: string, body: object) => {
      const answer = await fetch(`${service.url}/access/v1/search/${kind}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${decider}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return await answer.text()
    }
    expect(await text('resource', { subject: { ...user, id: 'bob' }, action: read, resource: document })).toBe(
      '{"page":{"next_token":""},"results":[{"type":"document","id":"spec"}]}',
    )
    expect(await text('action', { subject: { ...user, id: 'bob' }, resource: spec })).toBe(
      '{"page":{"next_token":""},"results":[{"name":"document:read"}]}',
    )
  })
})

test.each([
  ['subject', { subject: { type: 'robot' }, action: read, resource: spec }],
  ['subject', { subject: user, action: read, resource: { type: 'document', id: 'unheard of' } }, 2],
  ['subject', { subject: user, action: read, resource: { type: 'unheard of', id: 'x' } }],
  ['subject', { subject: user, action: { name: 'unheard of' }, resource: spec }],
  ['resource', { subject: { type: 'user', id: 'unheard of' }, action: read, resource: document }],
  ['resource', { subject: alice, action: read, resource: { type: 'unheard of' } }],
  ['action', { subject: { type: 'user', id: 'unheard of' }, resource: spec }],
  ['action', { subject: alice, resource: { type: 'unheard of', id: 'x' } }],
] as const)('what is not known is no error: %s search of %o', async (kind, asked, count: number = 0) => {
  const { status, body } = await search(kind, asked)
  expect(status).toBe(200)
  expect(body.page).toEqual({ next_token: '' })
  expect(body.results).toHaveLength(count)
})

describe('pages', () => {
  const asked = { subject: alice, action: read, resource: document }
  const pages = async (page: object) => (await search('resource', { ...asked, page })).body

  test('are at most as long as asked for, and go on where they stopped, to an empty next_token', async () => {
    const first = await pages({ limit: 2 })
    expect(ids(first.results)).toEqual(['agenda', 'menu'])
    const last = await pages({ token: first.page.next_token, limit: 2 })
    expect(last).toEqual({ page: { next_token: '' }, results: [spec] })
  })

  test('say nothing of more where the last one is full', async () => {
    expect((await pages({ limit: 3 })).page.next_token).toBe('')
  })

  test('keep their limit where it is left out', async () => {
    const first = await pages({ limit: 1 })
    const second = await pages({ token: first.page.next_token })
    expect(ids(second.results)).toEqual(['menu'])
  })

  test.each([
    ['the limit', { page: { limit: 2 } }, '/page/limit'],
    ['the subject', { subject: { type: 'user', id: 'bob' } }, '/page/token'],
    ["the subject's properties", { subject: { ...alice, properties: { x: 1 } } }, '/page/token'],
    ['the action', { action: { name: 'document:edit' } }, '/page/token'],
    ['the type of the resource', { resource: { type: 'folder' } }, '/page/token'],
    ['the context', { context: {} }, '/page/token'],
    ["the page's properties", { page: { properties: { x: 1 } } }, '/page/token'],
  ])('between which %s changes are a 400', async (_what, changed, pointer) => {
    const token = (await pages({ limit: 1 })).page.next_token
    const page = { token, ...('page' in changed ? changed.page : {}) }
    const { status, body } = await search('resource', { ...asked, ...changed, page })
    expect(status).toBe(400)
    expect(body.errors[0].pointer).toBe(pointer)
  })

  test('are told apart by what is asked, not by the order of its members, nor by what is ignored', async () => {
    const context = { hour: 5, place: { x: 1, y: 2 } }
    const { body } = await search('resource', { ...asked, context, page: { limit: 1 } })
    const again = await search('resource', {
      page: { token: body.page.next_token },
      context: { place: { y: 2, x: 1 }, hour: 5 },
      resource: { ...document, id: 'ignored' },
      action: { ...read, unheard: 1 },
      subject: { id: 'alice', type: 'user' },
    })
    expect(ids(again.body.results)).toEqual(['menu'])
  })

  test('take no object for the list of its members', async () => {
    const { body } = await search('resource', { ...asked, context: { x: { a: 1 } }, page: { limit: 1 } })
    for (const x of [[['a', 1]], [['[', 'a', 1]], { '[': [['a', 1]] }]) {
      const again = await search('resource', { ...asked, context: { x }, page: { token: body.page.next_token } })
      expect([again.status, again.body.errors?.[0].pointer]).toEqual([400, '/page/token'])
    }
  })

  test.each(['x', '', 'W10', 'WyJhIiwxLCJiIl0', '%%%'])(
    'with the token "%s", which is none, are a 400',
    async (token) => {
      const { status } = await search('resource', { ...asked, page: { token } })
      expect(status).toBe(400)
    },
  )

  test('with a token of another tenant are a 400', async () => {
    const token = (await pages({ limit: 1 })).page.next_token
    const { status } = await service.ask('POST /access/v1/search/resource', {
      key: service.rootKey,
      body: { ...asked, page: { token } },
    })
    expect(status).toBe(400)
  })

  test('of nothing are empty, with a next_token', async () => {
    const { results, page } = await pages({ limit: 0 })
    expect(results).toEqual([])
    expect(page.next_token).not.toBe('')
    expect((await pages({ token: page.next_token, limit: 0 })).results).toEqual([])
  })

  test('are no longer than the maximum, whatever is asked for', async () => {
    expect((await pages({ limit: 1_000_000 })).results).toHaveLength(3)
  })

  test.each([-1, 1.5, '5', null])('with the limit %s are a 400', async (limit) => {
    expect((await search('resource', { ...asked, page: { limit } })).status).toBe(400)
  })
})

describe('a request', () => {
  const whole = { subject: user, action: read, resource: spec }

  test.each([
    ['subject', { action: read, resource: spec }, '/subject'],
    ['subject', { subject: {}, action: read, resource: spec }, '/subject/type'],
    ['subject', { subject: user, resource: spec }, '/action'],
    ['subject', { subject: user, action: {}, resource: spec }, '/action/name'],
    ['subject', { subject: user, action: read }, '/resource'],
    ['subject', { subject: user, action: read, resource: document }, '/resource/id'],
    ['resource', { subject: user, action: read, resource: document }, '/subject/id'],
    ['resource', { subject: alice, action: read, resource: {} }, '/resource/type'],
    ['resource', { subject: alice, resource: document }, '/action'],
    ['action', { subject: user, resource: spec }, '/subject/id'],
    ['action', { subject: alice, resource: document }, '/resource/id'],
    ['action', { subject: alice }, '/resource'],
    ['subject', { ...whole, subject: { type: 5 } }, '/subject/type'],
    ['subject', { ...whole, context: [] }, '/context'],
    ['subject', { ...whole, page: 5 }, '/page'],
  ] as const)('to %s search that lacks or mistakes a member is a 400: %o', async (kind, asked, pointer) => {
    const { status, body, headers } = await search(kind, asked)
    expect(status).toBe(400)
    expect(headers.get('content-type')).toContain('application/problem+json')
    expect(body.errors[0].pointer).toBe(pointer)
  })

  test.each([
    ['text/plain', JSON.stringify(whole)],
    ['application/xml', JSON.stringify(whole)],
    ['application/json', ''],
    ['application/json', '{'],
    ['application/json', '[]'],
    ['application/json', '{"subject":{"type":"user"},"subject":{"type":"user"}}'],
  ])('in %s that is no JSON object is a 400: %s', async (type, body) => {
    for (const kind of ['subject', 'resource', 'action'] as const) {
      const answer = await search(kind, body, { 'content-type': type })
      expect(answer.status).toBe(400)
    }
  })

  test('is application/json with a charset too', async () => {
    const answer = await search('subject', whole, { 'content-type': 'application/json; charset=utf-8' })
    expect(answer.status).toBe(200)
  })

  test('may have members that are not known, at every level', async () => {
    const asked = { ...whole, x: 1, action: { ...read, type: 'x', id: 'y' }, page: { unheard: true } }
    expect((await search('subject', asked)).body).toEqual((await search('subject', whole)).body)
  })

  test('whose properties do not fit their type is a 400, as it is of a decision', async () => {
    const resource = { type: 'account', id: 'a', properties: { limit: 'x' } }
    const { status, body } = await search('subject', { ...whole, resource })
    expect(status).toBe(400)
    expect(body.errors[0].pointer).toBe('/resource/properties/limit')
  })

  test('has its X-Request-ID back, in errors too', async () => {
    const headers = { 'x-request-id': 'abc 123' }
    expect((await search('subject', whole, headers)).headers.get('x-request-id')).toBe('abc 123')
    expect((await search('subject', {}, headers)).headers.get('x-request-id')).toBe('abc 123')
  })

  test('without a credential is a 401 with WWW-Authenticate, and of who may not decide a 403', async () => {
    const none = await service.ask('POST /access/v1/search/subject', { key: null, body: whole })
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).not.toBeNull()
    const writer = await service.keyWith(['pdp:entity_writer'])
    expect((await service.ask('POST /access/v1/search/subject', { key: writer, body: whole })).status).toBe(403)
  })

  test('that is equal has an answer that is equal in every byte; which record is its own is in a header', async () => {
    const asked = { subject: alice, action: read, resource: document, page: { limit: 1 } }
    const one = await search('resource', asked)
    const other = await search('resource', asked)
    expect(JSON.stringify(one.body)).toBe(JSON.stringify(other.body))
    expect(one.headers.get('x-decision-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(one.headers.get('x-decision-id')).not.toBe(other.headers.get('x-decision-id'))
  })
})

describe('the audit', () => {
  const recordOf = async (id: string | null) =>
    await eventually(
      () => service.ask(`GET /v1/audit/${id}`),
      ({ status }) => status === 200,
    )

  test('has one record of a search: what was asked, how many were found, whether that is all', async () => {
    const asked = { subject: alice, action: read, resource: document, context: { hour: 5 }, page: { limit: 2 } }
    const { headers } = await search('resource', asked)
    const { body } = await recordOf(headers.get('x-decision-id'))
    expect(body).toMatchObject({
      type: 'decision',
      subject: alice,
      action: read,
      resource: null,
      decision: null,
      reason: 'searched',
      context: {
        search: 'resource',
        type: 'document',
        context: { hour: 5 },
        limit: 2,
        continued: false,
        count: 2,
        complete: false,
      },
    })
    expect(JSON.stringify(body)).not.toContain('agenda')
  })

  test('has it as the tenant lets it be recorded', async () => {
    const settings = { redaction: { 'subject.id': 'keyed_hash', 'context.hour': 'drop' } }
    const before = await service.ask('GET /v1/settings')
    await service.ask('PUT /v1/settings', { body: settings })
    const asked = { subject: alice, action: read, resource: document, context: { hour: 5, place: 'x' } }
    const { headers } = await search('resource', asked)
    await service.ask('PUT /v1/settings', { body: {} })
    const { body } = await recordOf(headers.get('x-decision-id'))
    expect(body.subject.id).toMatch(/^hmac:/)
    expect(body.context).toMatchObject({ search: 'resource', count: 3, complete: true, context: { place: 'x' } })
    expect(body.context.context).not.toHaveProperty('hour')
    expect(before.status).toBe(200)
  })
})

describe('of Verdict itself', () => {
  test("searches are answered by the policy pdp: a tenant's wildcard gives nothing", async () => {
    await service.ask('POST /v1/assignments', { body: { subject: { type: 'user', id: 'carol' }, role: 'pdp:auditor' } })
    const audit = { type: 'pdp:audit', id: '*' }
    const who = await search('subject', { subject: user, action: { name: 'pdp:read' }, resource: audit })
    expect(ids(who.body.results)).toEqual(['carol'])
    const which = await search('action', { subject: { type: 'user', id: 'carol' }, resource: audit })
    expect(which.body.results).toEqual([{ name: 'pdp:read' }])
  })
})

test('a tenant that does not fit into memory is searched in the database, and finds the same', async () => {
  const small = await startService({ env: { VERDICT_ENTITY_CACHE: '1000' } })
  try {
    const odd = ['a\u{1f600}', 'a\uffee', 'A', 'é']
    const many = Array.from({ length: 1200 }, (_, at) => `m${at}`)
    const entities = [...BUNDLE.entities, ...[...odd, ...many].map((id) => ({ type: 'document', id }))]
    await small.ask('PUT /v1/bundle', { body: { ...BUNDLE, entities } })
    const found: string[] = []
    for (let token: string | undefined; token !== ''; ) {
      const page = token === undefined ? { limit: 500 } : { token }
      const body = { subject: alice, action: read, resource: document, page }
      const answer = await small.ask('POST /access/v1/search/resource', { body })
      expect(answer.status).toBe(200)
      found.push(...ids(answer.body.results))
      token = answer.body.page.next_token
    }
    const all = ['agenda', 'menu', 'spec', ...odd, ...many]
    expect(found).toEqual(all.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))))
  } finally {
    await small.close()
  }
})
