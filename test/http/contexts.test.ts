import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { compactDecrypt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { jwkOf } from '../support/jwk.ts'
import { type Ask, eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let decider: string

beforeAll(async () => {
  verdict = await startService()
  decider = await verdict.keyWith(['pdp:decider'])
  const permissions = [
    { actions: ['doc:*'], resources: [{ type: 'doc' }] },
    { actions: ['run'], resources: [{ type: 'task' }], condition: 'level(subject) >= level("read_write")' },
  ]
  await verdict.ask('PUT /v1/roles/worker', { body: { permissions } })
  await verdict.ask('PUT /v1/entities/user/alice', { body: { properties: { level: 'admin' } } })
  await verdict.ask('POST /v1/assignments', { body: { subject: alice, role: 'worker' } })
})
afterAll(() => verdict.close())

const alice = { type: 'user', id: 'alice' }
const READ = { action: { name: 'doc:read' }, resource: { type: 'doc', id: 'a/1' } }
const RUN = { action: { name: 'run' }, resource: { type: 'task', id: '1' } }
const doc = { type: 'doc' }
const DOCS = [{ actions: ['doc:*'], resources: [{ type: 'doc', id: 'a/**' }] }]

const create = async (more: object = {}, ask: Ask = {}) =>
  verdict.ask('POST /v1/contexts', { ...ask, body: { subject: alice, ...more } })
const created = async (more: object = {}) => (await create(more)).body
const attenuate = (token: string, more: object = {}) =>
  verdict.ask('POST /v1/contexts/attenuate', { key: decider, body: { token, ...more } })
const receive = (token: string) => verdict.ask('POST /v1/contexts/receive', { key: decider, body: { token } })
const decide = (context_token: string, question: object = READ) =>
  verdict.ask('POST /v1/authorize', { key: decider, body: { subject: { context_token }, ...question } })
const reasonOf = async (token: string, question: object = READ) => (await decide(token, question)).body.context.reason

describe('a context', () => {
  test('says what was asked for, for a quarter of an hour, and is decided by', async () => {
    const { status, body } = await create({ level: 'read_write', capabilities: DOCS, quotas: { memory: 4000 } })
    expect(status).toBe(201)
    const { id, token, issued_at, expires_at, ...said } = body
    expect(said).toEqual({
      subject: alice,
      level: 'read_write',
      quotas: { memory: 4000 },
      capabilities: [DOCS],
      parents: [],
      audience: ['https://verdict.test'],
    })
    expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(900_000)
    const answer = await decide(token)
    expect(answer.body).toMatchObject({ decision: true, context: { reason: 'allowed_by_rule', subject: alice } })
    expect(await reasonOf(token, RUN)).toBe('context_exceeded')
    expect(await reasonOf(token, { ...READ, action: { name: 'x' } })).toBe('no_applicable_rule')
    expect(await reasonOf(token, { ...READ, context: { requested: { memory: 4001 } } })).toBe('quota_exceeded')
    const { token: _token, ...rest } = body
    expect((await receive(token)).body).toEqual(rest)
    const by = { type: 'service', id: 'admin' }
    expect((await verdict.ask(`GET /v1/contexts/${id}`)).body).toEqual({ ...rest, created_by: by, revoked_at: null })
  })

  test('gives nothing that its subject may not', async () => {
    const { token } = (await create({ subject: { type: 'user', id: 'nobody' }, level: 'system' })).body
    expect(await reasonOf(token)).toBe('no_applicable_rule')
  })

  test('lowers the level', async () => {
    expect(await reasonOf((await created()).token, RUN)).toBe('allowed_by_rule')
    expect(await reasonOf((await created({ level: 'read_only' })).token, RUN)).toBe('no_applicable_rule')
  })

  test('is one subject of a batch among others, and what is no good is an answer', async () => {
    const { token } = await created({ capabilities: DOCS })
    const body = {
      subject: { context_token: token },
      ...READ,
      evaluations: [{}, RUN, { subject: alice, ...RUN }, { subject: { context_token: 'x' } }, {}],
    }
    const { status, body: answer } = await verdict.ask('POST /v1/authorize/batch', { key: decider, body })
    expect(status).toBe(200)
    const told = answer.evaluations.map(({ decision, context }: typeof answer) => [decision, context.reason])
    expect(told).toEqual([
      [true, 'allowed_by_rule'],
      [false, 'context_exceeded'],
      [true, 'allowed_by_rule'],
      [false, 'context_invalid'],
      [true, 'allowed_by_rule'],
    ])
    expect(answer.evaluations[3].context.subject).toBeUndefined()
  })

  test('is the subject of an operation and of a record to be masked, and what is no good denies there too', async () => {
    const operations = { 'doc.read': { action: 'doc:read', resource_type: 'doc', normalize: 'path' } }
    await verdict.ask('PUT /v1/settings', { body: { operations } })
    const capabilities = [{ actions: ['doc:*'], resources: [{ type: 'doc', id: '/a/**' }] }]
    const { token } = await created({ capabilities })
    const needs = async (context_token: string, ...targets: string[]) => {
      const permissions = targets.map((target) => ({ kind: 'doc.read', target }))
      const body = { subject: { context_token }, permissions }
      const answer = (await verdict.ask('POST /v1/authorize/operation', { key: decider, body })).body
      return [answer.decision, answer.context.reason]
    }
    expect(await needs(token, '/a/1', '/a//b/../2')).toEqual([true, 'allowed_by_rule'])
    expect(await needs(token, '/a/1', '/a/../b')).toEqual([false, 'context_exceeded'])
    expect(await needs('x', '/a/1')).toEqual([false, 'context_invalid'])
    const shown = async (context_token: string, id: string) => {
      const body = {
        subject: { context_token },
        ...READ,
        resource: { type: 'doc', id },
        record: { x: 1 },
        others: 'keep',
      }
      const answer = (await verdict.ask('POST /v1/mask', { key: decider, body })).body
      return [answer.record, answer.context.reason]
    }
    expect(await shown(token, '/a/1')).toEqual([{ x: 1 }, 'allowed_by_rule'])
    expect(await shown(token, '/b')).toEqual([undefined, 'context_exceeded'])
    expect(await shown('x', '/a/1')).toEqual([undefined, 'context_invalid'])
    await verdict.ask('PUT /v1/settings', { body: {} })
  })

  test('is explained as it is decided', async () => {
    const { token } = await created({ capabilities: DOCS, level: 'read_only' })
    for (const question of [READ, RUN, { ...READ, resource: { type: 'doc', id: 'b' } }]) {
      const { body } = await verdict.ask('POST /v1/authorize/explain', {
        body: { subject: { context_token: token }, ...question },
      })
      const decision = (await decide(token, question)).body
      expect([body.decision, body.context.reason]).toEqual([decision.decision, decision.context.reason])
    }
    const { body } = await verdict.ask('POST /v1/authorize/explain', {
      body: { subject: { context_token: 'x' }, ...READ },
    })
    expect([body.decision, body.context.reason]).toEqual([false, 'context_invalid'])
  })

  test('is nothing to AuthZEN, where a subject has a name', async () => {
    const { token } = await created()
    const subject = { type: 'user', id: 'bob', context_token: token }
    const { body } = await verdict.ask('POST /access/v1/evaluation', { key: decider, body: { subject, ...READ } })
    expect(body.decision).toBe(false)
  })

  test('says nothing about Verdict once it names capabilities', async () => {
    await verdict.ask('POST /v1/assignments', { body: { subject: { type: 'user', id: 'root' }, role: 'pdp:auditor' } })
    const question = { action: { name: 'pdp:read' }, resource: { type: 'pdp:audit', id: '*' } }
    const subject = { type: 'user', id: 'root' }
    expect(await reasonOf((await created({ subject })).token, question)).toBe('allowed_by_rule')
    const capabilities = [{ actions: ['*'], resources: [{ type: '*' }] }]
    expect(await reasonOf((await created({ subject, capabilities })).token, question)).toBe('context_exceeded')
  })

  test('ends by the second', async () => {
    const { token } = await created({ expires_in: 1 })
    expect(
      await eventually(
        () => reasonOf(token),
        (reason) => reason !== 'allowed_by_rule',
      ),
    ).toBe('context_expired')
    expect((await receive(token)).body.detail).toMatch('context_expired')
    expect((await attenuate(token)).status).toBe(422)
  })

  test('is encrypted for a key on request', async () => {
    for (const pair of [
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('x25519'),
    ]) {
      const { status, body } = await create({ encrypt_for: jwkOf(pair.publicKey) })
      expect(status).toBe(201)
      expect(body.token.split('.')).toHaveLength(5)
      const { plaintext } = await compactDecrypt(
        body.token,
        createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' })),
      )
      const token = Buffer.from(plaintext).toString()
      expect(await reasonOf(token)).toBe('allowed_by_rule')
      expect(await reasonOf(body.token)).toBe('context_invalid')
    }
  })

  test('has another audience beside Verdict, if it is asked for', async () => {
    const { token, audience } = await created({ audience: 'https://node-7.test' })
    expect(audience).toEqual(['https://verdict.test', 'https://node-7.test'])
    expect(await reasonOf(token)).toBe('allowed_by_rule')
    expect((await attenuate(token)).body.audience).toEqual(audience)
  })
})

describe('of what is asked for it refuses', () => {
  const rsa = jwkOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  test.each([
    ['a quota of zero', { quotas: { cpu: 0 } }, 400, '/quotas/cpu'],
    ['a negative quota', { quotas: { cpu: -1 } }, 400, '/quotas/cpu'],
    ['a quota beyond 2⁵³', { quotas: { cpu: 2 ** 53 + 2 } }, 400, ''],
    ['a quota without a name', { quotas: { '': 1 } }, 400, '/quotas/'],
    ['no capability', { capabilities: [] }, 400, '/capabilities'],
    ['obligations', { capabilities: [{ ...DOCS[0], obligations: [] }] }, 400, '/capabilities/0/obligations'],
    [
      'a condition that is none',
      { capabilities: [{ ...DOCS[0], condition: 'a b' }] },
      422,
      '/capabilities/0/condition',
    ],
    [
      'what is Verdict’s',
      { capabilities: [{ actions: ['pdp:read'], resources: [{ type: '*' }] }] },
      422,
      '/capabilities/0/actions/0',
    ],
    [
      'too much',
      {
        capabilities: Array.from({ length: 80 }, () => DOCS[0]).flatMap((one) => [
          { ...one, condition: 'x'.repeat(99) },
        ]),
      },
      422,
      '/capabilities',
    ],
    [
      'patterns without end',
      { capabilities: [{ actions: ['*a'.repeat(201)], resources: [doc] }] },
      422,
      '/capabilities',
    ],
    ['a level that is none', { level: 'god' }, 422, '/level'],
    ['a life of more than a quarter of an hour', { expires_in: 901 }, 422, '/expires_in'],
    ['no life', { expires_in: 0 }, 400, '/expires_in'],
    ['a subject of Verdict’s own', { subject: { type: 'pdp:context', id: 'refused' } }, 422, '/subject/type'],
    ['a private key', { encrypt_for: jwkOf(ec.privateKey) }, 400, '/encrypt_for/d'],
    ['a short key', { encrypt_for: rsa }, 422, '/encrypt_for'],
    ['a point that is on no curve', { encrypt_for: { ...jwkOf(ec.publicKey), y: 'AAAA' } }, 422, '/encrypt_for'],
    ['a secret key', { encrypt_for: { kty: 'oct', k: 'AAAA' } }, 400, '/encrypt_for/k'],
  ])('%s', async (_what, more, status, pointer) => {
    const answer = await create(more)
    expect([answer.status, answer.body.errors?.map((each: { pointer: string }) => each.pointer)]).toEqual([
      status,
      expect.arrayContaining([pointer]),
    ])
  })

  test('a subject in two ways, or in none', async () => {
    const { token } = await created()
    for (const subject of [{ ...alice, context_token: token }, { token, context_token: token }, {}]) {
      const { status } = await verdict.ask('POST /v1/authorize', { key: decider, body: { subject, ...READ } })
      expect(status).toBe(400)
    }
  })

  test('who is no issuer of contexts, and gives the right to them apart', async () => {
    expect((await create({}, { key: decider })).status).toBe(403)
    const issuer = await verdict.keyWith(['pdp:context_issuer'])
    expect((await create({}, { key: issuer })).status).toBe(201)
    expect((await verdict.ask('POST /v1/authorize', { key: issuer, body: { subject: alice, ...READ } })).status).toBe(
      403,
    )
  })
})

test('a setting says how long contexts may live', async () => {
  await verdict.ask('PUT /v1/settings', { body: { context_lifetime_seconds: 3600 } })
  const { issued_at, expires_at } = await created({ expires_in: 3600 })
  expect(Date.parse(expires_at) - Date.parse(issued_at)).toBe(3_600_000)
  await verdict.ask('PUT /v1/settings', { body: { context_lifetime_seconds: 60 } })
  const short = await created()
  expect(Date.parse(short.expires_at) - Date.parse(short.issued_at)).toBe(60_000)
  expect((await verdict.ask('PUT /v1/settings', { body: { context_lifetime_seconds: 86_401 } })).status).toBe(400)
  await verdict.ask('PUT /v1/settings', { body: {} })
})

describe('narrowing', () => {
  test('makes another context, of the one that it is of', async () => {
    const { id, token, expires_at } = await created({ level: 'admin', capabilities: DOCS })
    const capabilities = [{ actions: ['doc:read'], resources: [{ type: 'doc', id: 'a/1' }] }]
    const { status, body } = await attenuate(token, { level: 'read_only', capabilities, quotas: { cpu: 2 } })
    expect([status, body.parents, body.level, body.expires_at]).toEqual([201, [id], 'read_only', expires_at])
    expect(body.capabilities).toEqual([DOCS, capabilities])
    expect(await reasonOf(body.token)).toBe('allowed_by_rule')
    expect(await reasonOf(body.token, { ...READ, resource: { type: 'doc', id: 'a/2' } })).toBe('context_exceeded')
    expect(await reasonOf(token, { ...READ, resource: { type: 'doc', id: 'a/2' } })).toBe('allowed_by_rule')
    const further = (await attenuate(body.token, { expires_in: 10 })).body
    expect(further.parents).toEqual([id, body.id])
    expect(further.level).toBe('read_only')
  })

  test.each([
    ['a capability', { capabilities: [{ actions: ['doc:*'], resources: [{ type: 'doc' }] }] }, '/capabilities/0'],
    ['a level', { level: 'admin' }, '/level'],
    ['a quota', { quotas: { memory: 11 } }, '/quotas/memory'],
    ['a later end', { expires_in: 901 }, '/expires_in'],
    ['a level that is none', { level: 'god' }, '/level'],
  ])('never widens: %s', async (_what, more, pointer) => {
    const { token } = await created({ level: 'read_write', capabilities: DOCS, quotas: { memory: 10 } })
    const { status, body } = await attenuate(token, more)
    expect([status, body.errors[0].pointer]).toEqual([422, pointer])
  })
})

describe('a context that is revoked', () => {
  test('is worth nothing, nor is what was narrowed from it; what it was narrowed from is', async () => {
    const first = await created()
    const second = (await attenuate(first.token)).body
    const third = (await attenuate(second.token)).body
    expect((await verdict.ask(`DELETE /v1/contexts/${second.id}`)).status).toBe(204)
    expect(await reasonOf(first.token)).toBe('allowed_by_rule')
    for (const { token, id } of [second, third]) {
      expect(await reasonOf(token)).toBe('context_revoked')
      expect((await receive(token)).body.detail).toMatch('context_revoked')
      expect((await attenuate(token)).status).toBe(422)
      expect((await verdict.ask(`GET /v1/contexts/${id}`)).body.revoked_at).toEqual(expect.any(String))
    }
    expect((await verdict.ask(`DELETE /v1/contexts/${second.id}`)).status).toBe(204)
  })

  test('is so at another replica at once', async () => {
    const { VERDICT_MASTER_KEY = '', VERDICT_ROOT_KEY = '', VERDICT_ADMIN_KEY = verdict.adminKey } = verdict.env
    const env = { VERDICT_MASTER_KEY, VERDICT_ROOT_KEY, VERDICT_ADMIN_KEY }
    const other = await startService({ database: verdict.database, env })
    try {
      const first = await created()
      const second = (await attenuate(first.token)).body
      const body = { subject: { context_token: second.token }, ...READ }
      const elsewhere = async () => (await other.ask('POST /v1/authorize', { body })).body.context.reason
      expect(await elsewhere()).toBe('allowed_by_rule')
      await verdict.ask(`DELETE /v1/contexts/${first.id}`)
      expect(await eventually(elsewhere, (reason) => reason !== 'allowed_by_rule', 3_000)).toBe('context_revoked')
    } finally {
      await other.close()
    }
  })

  test('ends when a bundle leaves its subject out, as when it is deleted', async () => {
    const bundle = (entities: object[]) => verdict.ask('PUT /v1/bundle', { body: { verdict: 1, entities } })
    const kept = { type: 'user', id: 'kept' }
    const bundled = { type: 'user', id: 'bundled' }
    await bundle([kept, bundled])
    const { token } = await created({ subject: bundled })
    const narrower = (await attenuate(token, { quotas: { memory: 1 } })).body.token
    expect((await bundle([kept])).status).toBe(200)
    await bundle([kept, bundled])
    const isEnded = (reason: string) => reason === 'context_revoked'
    await eventually(() => reasonOf(token), isEnded, 3_000)
    await eventually(() => reasonOf(narrower), isEnded, 3_000)
  })

  test('are all of a subject that is deleted: created again, it inherits none', async () => {
    const subject = { type: 'user', id: 'brief' }
    const put = () => verdict.ask('PUT /v1/entities/user/brief', { body: {} })
    await put()
    const { token } = await created({ subject })
    expect(await reasonOf(token)).toBe('no_applicable_rule')
    await verdict.ask('DELETE /v1/entities/user/brief')
    await put()
    expect(await reasonOf(token)).toBe('context_revoked')
  })
})

test('contexts are listed, the newest first, by page and by subject', async () => {
  const subject = { type: 'user', id: 'listed' }
  const ids: string[] = []
  for (let at = 0; at < 3; at++) ids.unshift((await created({ subject })).id)
  const query = 'subject_type=user&subject_id=listed&limit=2'
  const first = (await verdict.ask(`GET /v1/contexts?${query}`)).body
  const second = (await verdict.ask(`GET /v1/contexts?${query}&cursor=${first.next_cursor}`)).body
  const listed = [...first.items, ...second.items]
  expect(listed.map(({ id }: { id: string }) => id)).toEqual(ids)
  expect(second.next_cursor).toBeNull()
  expect(JSON.stringify(listed)).not.toContain('eyJ')
})

describe('in the audit', () => {
  const recordsOf = async (id: string, count: number) => {
    const path = `GET /v1/audit?from=2020-01-01T00:00:00Z&resource_type=pdp:context&resource_id=${id}&order=asc`
    const find = async () => (await verdict.ask(path)).body.items
    return eventually(find, (items) => items.length >= count)
  }

  test('a context has a trail of its own, without its token', async () => {
    const first = await created({ capabilities: DOCS, quotas: { cpu: 1 } })
    const short = await created({ expires_in: 1 })
    const second = (await attenuate(first.token, { level: 'none' })).body
    await receive(second.token)
    await verdict.ask(`DELETE /v1/contexts/${second.id}`)
    await receive(second.token)
    await eventually(
      () => reasonOf(short.token),
      (reason) => reason === 'context_expired',
    )
    await receive(short.token)
    const told = (items: { context: { event: string; status: number } }[]) =>
      items.map(({ context }) => [context.event, context.status])
    const ofShort = await recordsOf(short.id, 2)
    expect(told(ofShort)).toEqual([
      ['created', 201],
      ['expired', 422],
    ])
    const ofSecond = await recordsOf(second.id, 4)
    expect(told(ofSecond)).toEqual([
      ['propagated', 201],
      ['received', 200],
      ['revoked', 204],
      ['refused', 422],
    ])
    expect(ofSecond[0].context).toMatchObject({ of: alice, parents: [first.id], level: 'none', capabilities: [DOCS] })
    expect(ofSecond[3].context.refused).toBe('context_revoked')
    expect(JSON.stringify([ofShort, ofSecond])).not.toMatch(/eyJ|redacted/)
  })

  test('a decision names the context, or nobody, and never has the token', async () => {
    const { id, token } = await created()
    const find = async (request: string) => {
      const page = await eventually(
        async () => (await verdict.ask(`GET /v1/audit?from=2020-01-01T00:00:00Z&request_id=${request}`)).body,
        ({ items }) => items.length > 0,
      )
      return page.items[0]
    }
    const headers = { 'x-request-id': 'with-context' }
    await verdict.ask('POST /v1/authorize', { body: { subject: { context_token: token }, ...READ }, headers })
    const record = await find('with-context')
    expect(record).toMatchObject({ type: 'decision', decision: true, subject: { ...alice, context_id: id } })
    expect(JSON.stringify(record)).not.toMatch(/eyJ|redacted/)
    const body = { subject: { context_token: `${token}x` }, ...READ }
    await verdict.ask('POST /v1/authorize', { body, headers: { 'x-request-id': 'without' } })
    expect(await find('without')).toMatchObject({
      type: 'decision',
      decision: false,
      reason: 'context_invalid',
      subject: null,
    })
  })

  test('a narrowing that would have widened is refused, and says where', async () => {
    const { id, token } = await created({ level: 'none' })
    await attenuate(token, { level: 'admin' })
    const [, refused] = await recordsOf(id, 2)
    expect(refused).toMatchObject({
      decision: true,
      context: { event: 'refused', status: 422, at: ['/level'], of: alice },
    })
  })

  test('whom it is about goes through redaction', async () => {
    await verdict.ask('PUT /v1/settings', { body: { redaction: { 'subject.id': 'keyed_hash' } } })
    const { id, token } = await created()
    await decide(token)
    const [record] = await recordsOf(id, 1)
    await verdict.ask('PUT /v1/settings', { body: {} })
    expect(JSON.stringify(record)).not.toContain('alice')
  })
})
