import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, type Reply, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let auditor: string

const REDACTION = {
  'subject.id': 'keyed_hash',
  'resource.id': 'keyed_hash',
  'subject.properties.email': 'keyed_hash',
  'subject.properties.ssn': 'drop',
  'resource.properties.secret': 'drop',
  'action.properties.note': 'drop',
  context: 'drop',
  'context.channel': 'clear',
  ip: 'keyed_hash',
  user_agent: 'drop',
}

beforeAll(async () => {
  verdict = await startService()
  auditor = await verdict.keyWith(['pdp:auditor'])
  const owners = 'resource.properties.secret == subject.properties.ssn && subject.properties.email != ""'
  const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
  await verdict.ask('PUT /v1/rules/owners', { body: { ...rule, condition: owners } })
  expect((await verdict.ask('PUT /v1/settings', { body: { redaction: REDACTION } })).status).toBe(200)
})

afterAll(() => verdict.close())

const CANARIES = [
  'canary-alice',
  'canary-doc',
  'canary@mail',
  'canary-ssn',
  'canary-secret',
  'canary-note',
  'canary-ip',
]

const question = {
  subject: { type: 'user', id: 'canary-alice', properties: { email: 'canary@mail', ssn: 'canary-ssn', n: 1 } },
  action: { name: 'read', properties: { note: 'canary-note' } },
  resource: { type: 'document', id: 'canary-doc', properties: { secret: 'canary-secret', size: 2 } },
  context: { device: { serial: 'canary-ip' }, channel: 'web' },
}

async function recordOf(request_id: string, more = ''): Promise<Reply['body']> {
  const { items } = await eventually(
    async () => (await verdict.ask(`GET /v1/audit?request_id=${request_id}${more}`)).body,
    (page) => page.items.length > 0,
  )
  expect(items).toHaveLength(1)
  return items[0]
}

test('what the tenant hides of a decision never reaches its record, and what it hashes can be found by its value', async () => {
  await verdict.ask('POST /v1/authorize', { body: question, headers: { 'x-request-id': 'd1' } })
  const record = await recordOf('d1', '&subject_id=canary-alice&resource_id=canary-doc&ip=127.0.0.1')
  for (const canary of CANARIES) expect(JSON.stringify(record)).not.toContain(canary)
  expect(record).toMatchObject({
    subject: { type: 'user', id: expect.stringMatching(/^hmac:/), properties: { n: 1 } },
    action: { name: 'read', properties: {} },
    resource: { properties: { size: 2 } },
    context: { channel: 'web' },
    ip: expect.stringMatching(/^hmac:/),
    user_agent: null,
  })
  expect(record.subject.properties).toEqual({ n: 1, email: expect.stringMatching(/^hmac:/) })
  await recordOf('d1', `&subject_id=${record.subject.id}`)
})

test('a value is found in both forms, from before the tenant hashed it and since, in the order of time', async () => {
  const put = (redaction: object) => verdict.ask('PUT /v1/settings', { body: { redaction } })
  const body = { ...question, subject: { type: 'user', id: 'twice' } }
  const ask = (id: string) => verdict.ask('POST /v1/authorize', { body, headers: { 'x-request-id': id } })
  await put({})
  await ask('both-1')
  await put(REDACTION)
  await ask('both-2')
  await put({})
  await ask('both-3')
  await put(REDACTION)
  await Promise.all(['both-1', 'both-2', 'both-3'].map((id) => recordOf(id)))
  const seen: string[] = []
  let cursor = ''
  do {
    const page = (await verdict.ask(`GET /v1/audit?subject_id=twice&resource_id=canary-doc&order=asc&limit=1${cursor}`))
      .body
    seen.push(...page.items.map((item: { request_id: string }) => item.request_id))
    cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
  } while (cursor !== '')
  expect(seen).toEqual(['both-1', 'both-2', 'both-3'])
})

test('an actor is found by id, and by type and id, also where it is hashed', async () => {
  await verdict.ask('PUT /v1/settings', { body: { redaction: { 'actor.id': 'keyed_hash' } } })
  await verdict.ask('POST /v1/authorize', { body: question, headers: { 'x-request-id': 'act' } })
  await verdict.ask('PUT /v1/settings', { body: { redaction: REDACTION } })
  expect((await recordOf('act')).actor.id).toMatch(/^hmac:/)
  for (const actor of ['admin', 'service:admin']) await recordOf('act', `&actor=${actor}`)
})

describe('an explanation', () => {
  const explain = (key: string, id: string) =>
    verdict.ask('POST /v1/authorize/explain', { key, body: question, headers: { 'x-request-id': id } })
  const valuesOf = ({ body }: Reply) => body.trace.nearest_misses[0].parts.condition

  test('shows an auditor values as they are recorded, and says which are hidden', async () => {
    const { values } = valuesOf(await explain(auditor, 'e1'))
    expect(values).toEqual([
      { path: 'resource.properties.secret', hidden: true },
      { path: 'subject.properties.ssn', hidden: true },
    ])
  })

  test('shows a policy admin the values', async () => {
    const { values } = valuesOf(await explain(verdict.adminKey, 'e2'))
    expect(values).toContainEqual({ path: 'resource.properties.secret', value: 'canary-secret' })
    const key = await verdict.keyWith(['pdp:policy_admin'])
    expect(valuesOf(await explain(key, 'e3')).values).toEqual(values)
  })

  test('is recorded through the redaction, whoever asked', async () => {
    await explain(verdict.adminKey, 'e4')
    const record = await recordOf('e4')
    for (const canary of CANARIES) expect(JSON.stringify(record)).not.toContain(canary)
    expect(record.context.explained.subject.properties).toEqual({ n: 1, email: expect.stringMatching(/^hmac:/) })
  })
})

test('the change log shows auditors entities through the redaction, and policy admins as they are', async () => {
  const properties = { email: 'canary@mail', ssn: 'canary-ssn', n: 1 }
  const put = await verdict.ask('PUT /v1/entities/user/canary-alice', { body: { properties } })
  await verdict.ask('PUT /v1/roles/reader', { body: {} })
  const subject = { type: 'user', id: 'canary-alice' }
  await verdict.ask('POST /v1/assignments', { body: { subject, role: 'reader' } })
  const path = `GET /v1/changes?after_revision=${Number(put.headers.get('verdict-revision')) - 1}`
  const clear = JSON.stringify((await verdict.ask(path)).body)
  const shown = await verdict.ask(path, { key: auditor })
  for (const canary of ['canary-alice', 'canary@mail', 'canary-ssn']) {
    expect(clear).toContain(canary)
    expect(JSON.stringify(shown.body)).not.toContain(canary)
  }
  const hashed = { id: expect.stringMatching(/^hmac:/) }
  expect(shown.body.items[0]).toMatchObject({ kind: 'entity', key: hashed, after: { ...hashed, properties: { n: 1 } } })
})

test('what a context carries, a capability gives and somebody asks for is told as a question about it would be', async () => {
  const given = {
    actions: ['read'],
    resources: [{ type: 'document', id: 'canary-doc', within: { type: 'ward', id: 'canary-secret' } }],
    condition: 'context.ssn == "canary-ssn"',
  }
  const subject = { type: 'user', id: 'canary-alice' }
  const headers = { 'x-request-id': 'carried' }
  const { body } = await verdict.ask('POST /v1/contexts', { body: { subject, capabilities: [given] }, headers })
  await verdict.ask('POST /v1/contexts/attenuate', {
    body: { token: body.token, capabilities: [given] },
    headers: { 'x-request-id': 'narrowed' },
  })
  for (const id of ['carried', 'narrowed']) {
    const record = await recordOf(id)
    expect(record.context.capabilities[0][0]).toMatchObject({ actions: ['read'], resources: [{ type: 'document' }] })
    for (const canary of CANARIES) expect(JSON.stringify(record)).not.toContain(canary)
  }

  const expires_at = '2999-01-01T00:00:00Z'
  const granted = await verdict.ask('POST /v1/capabilities', { body: { ...given, subject, expires_at } })
  const asked = await verdict.ask('POST /v1/permission-requests', {
    body: { ...given, subject, duration_seconds: 60, justification: 'for the ward' },
  })
  expect([granted.status, asked.status]).toEqual([201, 201])
  const after_revision = Number(granted.headers.get('verdict-revision')) - 1
  const { body: log } = await verdict.ask(`GET /v1/changes?after_revision=${after_revision}`, { key: auditor })
  expect(log.items.map(({ kind }: { kind: string }) => kind)).toEqual(['capability', 'permission_request'])
  for (const canary of CANARIES) expect(JSON.stringify(log)).not.toContain(canary)
})

test('whose password was set is told to who may not read entities as the settings say, and so is the username', async () => {
  const headers = { 'x-request-id': 'p1' }
  const body = { password: 'a horse, a battery and a staple', username: 'canary@login' }
  const put = await verdict.ask('PUT /v1/credentials/user/canary-bob/password', { body, headers })
  const path = `GET /v1/changes?after_revision=${Number(put.headers.get('verdict-revision')) - 1}`
  const clear = JSON.stringify((await verdict.ask(path)).body)
  const shown = JSON.stringify((await verdict.ask(path, { key: auditor })).body)
  const record = JSON.stringify(await recordOf('p1'))
  for (const canary of ['canary-bob', 'canary@login'])
    expect([clear.includes(canary), shown.includes(canary)]).toEqual([true, false])
  expect(record).not.toContain('canary')
})

test('the record of a change names entities as the settings of that very revision say', async () => {
  const headers = { 'x-request-id': 'c1' }
  await verdict.ask('PUT /v1/entities/user/canary-doc', { body: {}, headers })
  const record = await recordOf('c1')
  expect(JSON.stringify(record)).not.toContain('canary-doc')
  expect((await recordOf('c1', '&resource_id=user/canary-doc')).id).toBe(record.id)
})

test('a filter that names somebody is recorded as its value would be', async () => {
  const headers = { 'x-request-id': 'r1' }
  await verdict.ask('GET /v1/audit?subject_id=canary-alice&decision=false', { headers })
  expect((await recordOf('r1')).context.query).toEqual({
    subject_id: expect.stringMatching(/^hmac:/),
    decision: 'false',
  })
})

test.each([
  [{ nobody: 'drop' }, 422, '/redaction/nobody'],
  [{ 'subject.id': 'drop' }, 422, '/redaction/subject.id'],
  [{ context: 'hide' }, 400, '/redaction/context'],
])('%j is refused with its place, and nothing is changed', async (redaction, status, pointer) => {
  const before = (await verdict.ask('GET /v1/settings')).body
  const refused = await verdict.ask('PUT /v1/settings', { body: { redaction } })
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([status, pointer])
  const bundle = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, settings: { redaction } } })
  expect([bundle.status, bundle.body.errors[0].pointer]).toEqual([422, `/settings${pointer}`])
  expect((await verdict.ask('GET /v1/settings')).body).toEqual(before)
})

test('a bundle carries it', async () => {
  const { body } = await verdict.ask('GET /v1/bundle')
  expect(body.settings.redaction).toEqual(REDACTION)
  const again = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, settings: body.settings } })
  expect(again.body).toMatchObject({ changed: 0, unchanged: 1 })
})
