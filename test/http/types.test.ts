import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startService, type TestService } from '../support/service.ts'
import { spentMs } from '../support/stopwatch.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})

afterAll(() => verdict.close())

const SCHEMA = {
  type: 'object',
  properties: { owner: { type: 'string' }, level: { type: 'integer', minimum: 0 }, code: { pattern: '^(a+)+$' } },
  additionalProperties: false,
}

const put = (type: string, id: string, properties: object) =>
  verdict.ask(`PUT /v1/entities/${type}/${id}`, { body: { properties } })
const bulk = (...entities: readonly object[]) =>
  verdict.ask('POST /v1/entities/bulk', {
    body: entities.map((entity) => JSON.stringify(entity)).join('\n'),
    headers: { 'content-type': 'application/x-ndjson' },
  })
const pointersOf = ({ body }: { body: { errors?: { pointer: string }[] } }) =>
  body.errors?.map(({ pointer }) => pointer)
const revision = async () =>
  (await sql<{ revision: number }>`select revision from tenants where id = 'default'`.execute(verdict.database.db))
    .rows[0]?.revision

describe('a type', () => {
  test('is declared, read, listed, declared anew and deleted', async () => {
    const created = await verdict.ask('PUT /v1/types/life', { body: { actions: ['live'], schema: SCHEMA } })
    expect(created.status).toBe(201)
    expect(created.body).toMatchObject({
      name: 'life',
      on_invalid: 'reject',
      stored: 'maybe',
      protected_properties: [],
    })
    expect(created.headers.get('etag')).toBe(`"${created.body.version}"`)
    const read = await verdict.ask('GET /v1/types/life')
    expect(read.body).toEqual(created.body)
    const same = await verdict.ask('PUT /v1/types/life', { body: { actions: ['live'], schema: SCHEMA } })
    expect([same.status, same.headers.get('verdict-revision')]).toEqual([200, created.headers.get('verdict-revision')])
    const anew = await verdict.ask('PUT /v1/types/life', {
      body: {},
      headers: { 'if-match': `"${read.body.version}"` },
    })
    expect(anew.body.schema).toBeUndefined()
    const { body } = await verdict.ask('GET /v1/types')
    expect(body.items).toContainEqual(anew.body)
    const stale = await verdict.ask('DELETE /v1/types/life', { headers: { 'if-match': `"${read.body.version}"` } })
    expect(stale.status).toBe(412)
    expect((await verdict.ask('DELETE /v1/types/life')).status).toBe(204)
    expect((await verdict.ask('GET /v1/types/life')).status).toBe(404)
    expect((await verdict.ask('DELETE /v1/types/life')).status).toBe(404)
  })

  test('stands in the change log, before and after', async () => {
    const written = await verdict.ask('PUT /v1/types/logged', { body: { actions: ['x'] } })
    const made = Number(written.headers.get('verdict-revision'))
    const { body } = await verdict.ask(`GET /v1/changes?after_revision=${made - 1}`)
    expect(body.items[0]).toMatchObject({
      kind: 'type',
      key: { name: 'logged' },
      before: null,
      after: { actions: ['x'] },
    })
  })

  test('can have any name that an entity’s type can', async () => {
    const name = 'https://example.com/types#file v2'
    const path = `/v1/types/${encodeURIComponent(name)}`
    expect((await verdict.ask(`PUT ${path}`, { body: {} })).body.name).toBe(name)
    expect((await verdict.ask(`GET ${path}`)).body.name).toBe(name)
  })

  test('is the policy admin’s to declare, and nobody else’s', async () => {
    const key = await verdict.keyWith(['pdp:policy_admin'])
    expect((await verdict.ask('PUT /v1/types/theirs', { key, body: {} })).status).toBe(201)
    for (const role of ['pdp:decider', 'pdp:entity_writer', 'pdp:auditor']) {
      const other = await verdict.keyWith([role])
      expect((await verdict.ask('GET /v1/types', { key: other })).status).toBe(403)
      expect((await verdict.ask('PUT /v1/types/theirs', { key: other, body: { actions: ['x'] } })).status).toBe(403)
    }
  })

  test.each([
    [{ schema: { properties: { a: { type: 'strin' } } } }, 422, '/schema/properties/a/type'],
    [{ schema: { properties: { a: { $ref: 'https://example.com/a' } } } }, 422, '/schema/properties/a/$ref'],
    [{ schema: { propertees: {} } }, 422, '/schema/propertees'],
    [{ schema: { properties: { a: { pattern: '(?<=a)b' } } } }, 422, '/schema/properties/a/pattern'],
    [{ schema: { description: 'x'.repeat(70_000) } }, 422, '/schema'],
    [{ schema: true }, 400, '/schema'],
    [{ actions: ['pdp:read'] }, 422, '/actions/0'],
    [{ actions: ['a', 'a'] }, 400, '/actions'],
    [{ on_invalid: 'shrug' }, 400, '/on_invalid'],
    [{ stored: 'often' }, 400, '/stored'],
    [{ name: 'other' }, 400, '/name'],
    [{ color: 'red' }, 400, '/color'],
  ])('is refused with a pointer: %j', async (body, status, pointer) => {
    const before = await revision()
    const answer = await verdict.ask('PUT /v1/types/bad', { body })
    expect([answer.status, answer.body.errors[0].pointer], JSON.stringify(answer.body)).toEqual([status, pointer])
    expect(await revision()).toBe(before)
    expect((await verdict.ask('GET /v1/types/bad')).status).toBe(404)
  })

  test.each(['pdp:rule', '*'])('cannot be named %s', async (name) => {
    const answer = await verdict.ask(`PUT /v1/types/${name}`, { body: {} })
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/name'])
  })
})

describe('stored properties', () => {
  beforeAll(async () => {
    await verdict.ask('PUT /v1/types/strict', { body: { schema: SCHEMA } })
    await verdict.ask('PUT /v1/types/lax', { body: { schema: SCHEMA, on_invalid: 'warn' } })
  })

  test('that do not fit are refused with pointers, and nothing is written', async () => {
    const before = await revision()
    const answer = await put('strict', 'a', { level: -1, color: 'red' })
    expect([answer.status, pointersOf(answer)]).toEqual([422, ['/properties/color', '/properties/level']])
    expect(await revision()).toBe(before)
    expect((await put('strict', 'a', { level: 1 })).status).toBe(201)
  })

  test('are warned of in the answer where the type says so, and nowhere else', async () => {
    const { status, body } = await put('lax', 'a', { level: -1 })
    expect(status).toBe(201)
    expect(body.warnings).toEqual([{ pointer: '/properties/level', detail: 'must be >= 0' }])
    expect((await verdict.ask('GET /v1/entities/lax/a')).body).not.toHaveProperty('warnings')
    expect((await put('lax', 'a', { level: -1 })).body.warnings).toHaveLength(1)
    expect((await put('lax', 'a', { level: 1 })).body).not.toHaveProperty('warnings')
  })

  test('in bulk are judged line by line: all refused, or all written with warnings', async () => {
    const good = { type: 'strict', id: 'b', properties: { level: 1 } }
    const bad = { type: 'strict', id: 'c', properties: { level: 'x' } }
    const poor = { type: 'lax', id: 'd', properties: { level: 'x' } }
    const refused = await bulk(good, poor, bad)
    expect([refused.status, pointersOf(refused)]).toEqual([422, ['/2/properties/level']])
    expect((await verdict.ask('GET /v1/entities/strict/b')).status).toBe(404)
    const written = await bulk(good, poor)
    expect([written.status, written.body.created]).toEqual([200, 2])
    expect(written.body.warnings).toEqual([{ pointer: '/1/properties/level', detail: 'line 2: must be integer' }])
  })

  test('that fitted when they were written stay when the schema changes, and are checked at their next write', async () => {
    await verdict.ask('PUT /v1/types/moving', { body: {} })
    await put('moving', 'a', { level: 'high' })
    expect((await verdict.ask('PUT /v1/types/moving', { body: { schema: SCHEMA } })).status).toBe(200)
    expect((await verdict.ask('GET /v1/entities/moving/a')).body.properties).toEqual({ level: 'high' })
    expect((await put('moving', 'a', { level: 'high' })).status).toBe(200)
    expect((await put('moving', 'a', { level: 'higher' })).status).toBe(422)
    const about = { type: 'moving', id: 'a', properties: { owner: 'ann' } }
    expect((await ask(about)).status).toBe(200)
  })
})

const ask = (resource: object, subject: object = { type: 'user', id: 'u' }) =>
  verdict.ask('POST /v1/authorize', { body: { subject, action: { name: 'read' }, resource } })

describe('the properties of a request', () => {
  beforeAll(async () => {
    await verdict.ask('PUT /v1/types/asked', { body: { schema: SCHEMA, protected_properties: ['owner'] } })
    await verdict.ask('PUT /v1/types/hinted', { body: { schema: SCHEMA, on_invalid: 'warn' } })
    await verdict.ask('PUT /v1/rules/own', {
      body: {
        effect: 'allow',
        subjects: [{ any: true }],
        actions: ['read'],
        resources: [{ type: 'asked' }],
        condition: 'resource.properties.owner == subject.id',
      },
    })
    await put('asked', 'kept', { owner: 'ann' })
  })

  test('that do not fit are a 400 with pointers into the request', async () => {
    const answer = await ask({ type: 'asked', id: 'x', properties: { level: 'high' } })
    expect([answer.status, pointersOf(answer)]).toEqual([400, ['/resource/properties/level']])
    const both = await ask(
      { type: 'asked', id: 'x', properties: { code: '!' } },
      { type: 'asked', id: 'u', properties: { color: 1 } },
    )
    expect([both.status, pointersOf(both)]).toEqual([400, ['/subject/properties/color', '/resource/properties/code']])
  })

  test('are decided about with a warning where the type says so', async () => {
    const { status, body } = await ask({ type: 'hinted', id: 'x', properties: { level: 'high' } })
    expect([status, body.decision]).toEqual([200, false])
    expect(body.context.warnings).toEqual([{ pointer: '/resource/properties/level', detail: 'must be integer' }])
  })

  test('that fit are decided about without a word', async () => {
    const { status, body } = await ask({ type: 'asked', id: 'x', properties: { level: 1 } })
    expect(status).toBe(200)
    expect(body.context).not.toHaveProperty('warnings')
  })

  test('never replace a protected one', async () => {
    const eve = { type: 'user', id: 'eve' }
    expect((await ask({ type: 'asked', id: 'kept' }, { type: 'user', id: 'ann' })).body.decision).toBe(true)
    expect((await ask({ type: 'asked', id: 'kept', properties: { owner: 'eve' } }, eve)).body.decision).toBe(false)
    const absent = await ask({ type: 'asked', id: 'none', properties: { owner: 'eve' } }, eve)
    expect(absent.body).toMatchObject({ decision: false, context: { reason: 'condition_error' } })
  })

  test('that would hold a backtracking pattern up for ever are refused in time', async () => {
    const properties = { code: `${'a'.repeat(100_000)}!` }
    const spent = await spentMs(async () => {
      expect((await ask({ type: 'asked', id: 'x', properties })).status).toBe(400)
    })
    expect(spent).toBeLessThan(2000)
  })

  test('say nothing in a question about Verdict itself', async () => {
    const subject = { type: 'asked', id: 'u', properties: { color: 1 } }
    expect((await ask({ type: 'pdp:rule', id: '*' }, subject)).status).toBe(200)
  })
})

describe('a type that is never stored', () => {
  const never = { stored: 'never' }

  test('is refused while an entity or an assignment of it exists', async () => {
    await put('session', 's1', {})
    const refused = await verdict.ask('PUT /v1/types/session', { body: never })
    expect([refused.status, pointersOf(refused)]).toEqual([409, ['/stored']])
    expect(refused.body.detail).toContain('entity session/s1')
    await verdict.ask('DELETE /v1/entities/session/s1')
    await verdict.ask('PUT /v1/roles/guest', { body: {} })
    const given = await verdict.ask('POST /v1/assignments', {
      body: { subject: { type: 'session', id: 's2' }, role: 'guest' },
    })
    const again = await verdict.ask('PUT /v1/types/session', { body: never })
    expect(again.status).toBe(409)
    expect(again.body.detail).toContain('an assignment of session/s2')
    await verdict.ask(`DELETE /v1/assignments/${given.body.id}`)
    expect((await verdict.ask('PUT /v1/types/session', { body: never })).status).toBe(201)
  })

  test('takes no entity and no assignment later', async () => {
    expect([(await put('session', 's3', {})).status]).toEqual([422])
    const many = await bulk({ type: 'user', id: 'u' }, { type: 'session', id: 's4' })
    expect([many.status, pointersOf(many)]).toEqual([422, ['/1/type']])
    const given = await verdict.ask('POST /v1/assignments', {
      body: { subject: { type: 'session', id: 's2' }, role: 'guest' },
    })
    expect([given.status, pointersOf(given)]).toEqual([422, ['/subject/type']])
  })
})

describe('a type in use cannot be deleted', () => {
  const user = { type: 'user', id: 'u' }
  const RULE = { effect: 'allow', subjects: [{ any: true }], actions: ['read'], resources: [{ type: 'other' }] }
  test.each<[string, string, string, object, string]>([
    ['an entity', 'entity used1/e', 'PUT /v1/entities/used1/e', {}, 'used1'],
    [
      'an assignment',
      'an assignment of used2/x',
      'POST /v1/assignments',
      { subject: { type: 'used2', id: 'x' }, role: 'guest' },
      'used2',
    ],
    ['a rule about it', 'rule u3', 'PUT /v1/rules/u3', { ...RULE, resources: [{ type: 'used3' }] }, 'used3'],
    [
      'a rule for one of it',
      'rule u4',
      'PUT /v1/rules/u4',
      { ...RULE, subjects: [{ type: 'used4', id: 'x' }] },
      'used4',
    ],
    [
      'a rule within one of it',
      'rule u5',
      'PUT /v1/rules/u5',
      { ...RULE, resources: [{ type: 'a', within: { type: 'used5', id: 'x' } }] },
      'used5',
    ],
    [
      'a permission',
      'role u6',
      'PUT /v1/roles/u6',
      { permissions: [{ actions: ['x'], resources: [{ type: 'used6' }] }] },
      'used6',
    ],
    ['a target', 'policy u7', 'PUT /v1/policies/u7', { target: { resource_types: ['used7'] } }, 'used7'],
  ])('by %s', async (_what, named, write, body, type) => {
    await verdict.ask(`PUT /v1/types/${type}`, { body: {} })
    const made = await verdict.ask(write, { body })
    expect([200, 201]).toContain(made.status)
    const refused = await verdict.ask(`DELETE /v1/types/${type}`)
    expect(refused.status).toBe(409)
    expect(refused.body.detail).toContain(named)
    const gone = write.startsWith('POST') ? `DELETE /v1/assignments/${made.body.id}` : write.replace('PUT', 'DELETE')
    expect((await verdict.ask(gone)).status).toBe(204)
    expect((await verdict.ask(`DELETE /v1/types/${type}`)).status).toBe(204)
  })

  test('and one that nothing names can, whatever is about every type', async () => {
    await verdict.ask('PUT /v1/rules/every', { body: { ...RULE, subjects: [user], resources: [{ type: '*' }] } })
    await verdict.ask('PUT /v1/types/lonely', { body: {} })
    expect((await verdict.ask('DELETE /v1/types/lonely')).status).toBe(204)
  })
})

describe('what a rule, a role or a capability names that its type does not declare', () => {
  const RULE = { effect: 'allow', subjects: [{ any: true }], actions: ['read', 'burn'], resources: [{ type: 'paper' }] }

  beforeAll(async () => {
    await verdict.ask('PUT /v1/types/paper', { body: { actions: ['read'], schema: SCHEMA } })
    await verdict.ask('PUT /v1/types/team', { body: { schema: { properties: {} } } })
  })

  test('is told in the answer to the write, with the position, and nowhere else', async () => {
    const condition = 'resource.properties.level > 1 ||\n resource.properties.ownr == subject.id'
    const written = await verdict.ask('PUT /v1/rules/typo', { body: { ...RULE, condition } })
    expect(written.status).toBe(201)
    expect(written.body.warnings).toEqual([
      { pointer: '/actions/1', detail: 'the type paper declares no action "burn"' },
      { pointer: '/condition', detail: 'line 2, column 22: the type paper declares no property "ownr"' },
    ])
    expect((await verdict.ask('GET /v1/rules/typo')).body).not.toHaveProperty('warnings')
    const again = await verdict.ask('PUT /v1/rules/typo', { body: { ...RULE, condition } })
    expect(again.headers.get('verdict-revision')).toBe(written.headers.get('verdict-revision'))
    expect(again.body.warnings).toHaveLength(2)
    const created = await verdict.ask('POST /v1/rules', { body: { ...RULE, name: 'typo2' } })
    expect(created.body.warnings).toHaveLength(1)
    const role = { permissions: [{ actions: ['burn'], resources: [{ type: 'paper' }] }] }
    expect((await verdict.ask('PUT /v1/roles/burner', { body: role })).body.warnings).toEqual([
      { pointer: '/permissions/0/actions/0', detail: 'the type paper declares no action "burn"' },
    ])
  })

  test('is told of a capability to who may read types, and to no other grantor', async () => {
    const body = {
      subject: { type: 'user', id: 'holder' },
      actions: ['read', 'burn'],
      resources: [{ type: 'paper' }],
      condition: 'resource.properties.ownr == "x"',
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      delegable: true,
    }
    const made = await verdict.ask('POST /v1/capabilities', { body })
    expect([made.status, made.body.warnings]).toEqual([
      201,
      [
        { pointer: '/actions/1', detail: 'the type paper declares no action "burn"' },
        { pointer: '/condition', detail: 'line 1, column 21: the type paper declares no property "ownr"' },
      ],
    ])
    const read = await verdict.ask(`GET /v1/capabilities/${made.body.id}`)
    expect(read.body).not.toHaveProperty('warnings')
    const grantor = { name: 'k', subject: body.subject, roles: ['pdp:grantor'] }
    const { key } = (await verdict.ask('POST /v1/api-keys', { body: grantor })).body
    const handed = await verdict.ask('POST /v1/capabilities', { key, body: { ...body, from: made.body.id } })
    expect(handed.status).toBe(201)
    expect(handed.body).not.toHaveProperty('warnings')
  })

  test('is told of a subject that nothing is in, and not of a group', async () => {
    const condition = 'subject.properties.department == "x"'
    const body = { ...RULE, actions: ['read'], subjects: [{ type: 'team', id: 'eng' }], condition }
    expect((await verdict.ask('PUT /v1/rules/team', { body })).body.warnings).toHaveLength(1)
    await verdict.ask('PUT /v1/entities/user/member', { body: { parents: [{ type: 'team', id: 'eng' }] } })
    expect((await verdict.ask('PUT /v1/rules/team', { body })).body).not.toHaveProperty('warnings')
  })
})
