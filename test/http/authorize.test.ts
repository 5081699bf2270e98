import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
  await verdict.ask('PUT /v1/roles/editor', {
    body: { permissions: [{ actions: ['document:edit'], resources: [{ type: 'document' }] }] },
  })
  const alice = { type: 'user', id: 'alice' }
  await verdict.ask('POST /v1/assignments', { body: { subject: alice, role: 'editor' } })
})

afterAll(() => verdict.close())

const question = (id: string, more: object = {}) => ({
  subject: { type: 'user', id },
  action: { name: 'document:edit' },
  resource: { type: 'document', id: 'plan' },
  ...more,
})

describe('a decision', () => {
  test('allows what a role of the subject permits, and names it', async () => {
    const { status, body, headers } = await verdict.ask('POST /v1/authorize', { body: question('alice') })
    expect(status).toBe(200)
    expect(body).toMatchObject({ decision: true, context: { reason: 'allowed_by_rule', rules: ['roles/editor'] } })
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test('denies by default', async () => {
    const { status, body } = await verdict.ask('POST /v1/authorize', { body: question('bob') })
    expect(status).toBe(200)
    expect(body).toMatchObject({ decision: false, context: { reason: 'no_applicable_rule', rules: [] } })
  })

  test('is in the audit with all that it was made of, once', async () => {
    const headers = {
      'x-request-id': 'call-1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      'user-agent': 'test/1',
    }
    const body = question('carol', { context: { ip: '10.0.0.1' }, unknown: 1 })
    const { body: answer } = await verdict.ask('POST /v1/authorize', { body, headers })
    const { decision_id, revision } = answer.context
    const { items } = await eventually(
      async () => (await verdict.ask('GET /v1/audit?subject_type=user&subject_id=carol')).body,
      (page) => page.items.length > 0,
    )
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({
      id: decision_id,
      type: 'decision',
      tenant: 'default',
      actor: { type: 'service', id: 'admin' },
      subject: { type: 'user', id: 'carol' },
      action: { name: 'document:edit' },
      resource: { type: 'document', id: 'plan' },
      context: { ip: '10.0.0.1' },
      decision: false,
      reason: 'no_applicable_rule',
      revision,
      request_id: 'call-1',
      trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      user_agent: 'test/1',
      ip: '127.0.0.1',
    })
    const one = await verdict.ask(`GET /v1/audit/${decision_id}`)
    expect(one.body).toEqual(items[0])
  })

  test('sees a write that was answered before it, by the revision of the write', async () => {
    const dave = { type: 'user', id: 'dave' }
    const given = await verdict.ask('POST /v1/assignments', { body: { subject: dave, role: 'editor' } })
    const min_revision = Number(given.headers.get('verdict-revision'))
    const asked = await verdict.ask('POST /v1/authorize', { body: question('dave', { options: { min_revision } }) })
    expect(asked.body.decision).toBe(true)
    expect(asked.body.context.revision).toBeGreaterThanOrEqual(min_revision)
    const taken = await verdict.ask(`DELETE /v1/assignments/${given.body.id}`)
    expect(taken.status).toBe(204)
    const again = await verdict.ask('POST /v1/authorize', { body: question('dave') })
    expect(again.body.decision).toBe(false)
  })

  test('of a revision that does not exist is refused at once', async () => {
    const { status, body } = await verdict.ask('POST /v1/authorize', {
      body: question('alice', { options: { min_revision: 1_000_000 } }),
    })
    expect(status).toBe(400)
    expect(body.type).toBe('urn:verdict:problem:revision_unknown')
    expect(body.errors[0].pointer).toBe('/options/min_revision')
  })

  test('names no rules where the tenant does not want that', async () => {
    await verdict.ask('PUT /v1/settings', { body: { rules_in_answers: false } })
    const { body } = await verdict.ask('POST /v1/authorize', { body: question('alice') })
    expect(body.context).not.toHaveProperty('rules')
    await verdict.ask('PUT /v1/settings', { body: {} })
  })

  test('compares levels in the order that the tenant set, from the next decision on', async () => {
    await verdict.ask('PUT /v1/rules/vault', {
      body: {
        effect: 'allow',
        subjects: [{ any: true }],
        actions: ['vault:open'],
        resources: [{ type: 'vault' }],
        condition: 'level(subject) >= level("admin")',
      },
    })
    const subject = { type: 'user', id: 'lea', properties: { level: 'read_only' } }
    const body = { subject, action: { name: 'vault:open' }, resource: { type: 'vault', id: '1' } }
    const decision = async () => (await verdict.ask('POST /v1/authorize', { body })).body.decision
    expect(await decision()).toBe(false)
    await verdict.ask('PUT /v1/settings', { body: { levels: ['admin', 'read_only'] } })
    expect(await decision()).toBe(true)
    await verdict.ask('PUT /v1/settings', { body: { levels: ['admin'] } })
    expect(await decision()).toBe(false)
    const { body: settings } = await verdict.ask('PUT /v1/settings', { body: {} })
    expect(settings.levels).toEqual(['none', 'read_only', 'read_write', 'admin', 'system'])
  })

  test('waits for Postgres where the tenant wants that, so that its record is there with the answer', async () => {
    await verdict.ask('PUT /v1/settings', { body: { audit_mode: 'commit' } })
    const { body } = await verdict.ask('POST /v1/authorize', { body: question('alice') })
    const { rows } = await verdict.database.db
      .selectFrom('audit')
      .select('id')
      .where('id', '=', body.context.decision_id)
      .execute()
      .then((found) => ({ rows: found }))
    expect(rows).toHaveLength(1)
    await verdict.ask('PUT /v1/settings', { body: {} })
  })
})

describe('a question that is not well-formed is refused with a pointer to what is wrong', () => {
  const alice = question('alice')
  test.each([
    ['nothing', undefined, ''],
    ['half a body', '{"subject":', ''],
    ['a list', '[]', ''],
    ['null', 'null', ''],
    ['no subject', { ...alice, subject: undefined }, '/subject'],
    ['a subject without id', { ...alice, subject: { type: 'user' } }, '/subject/id'],
    ['a subject with a number as id', { ...alice, subject: { type: 'user', id: 5 } }, '/subject/id'],
    ['a subject with null as id', { ...alice, subject: { type: 'user', id: null } }, '/subject/id'],
    ['a subject with a list as id', { ...alice, subject: { type: 'user', id: ['alice'] } }, '/subject/id'],
    ['an empty id', { ...alice, subject: { type: 'user', id: '' } }, '/subject/id'],
    ['an id of 513 characters', { ...alice, subject: { type: 'user', id: 'x'.repeat(513) } }, '/subject/id'],
    ['an id with a line break', { ...alice, subject: { type: 'user', id: 'a\nb' } }, '/subject/id'],
    ['an id with NUL', { ...alice, subject: { type: 'user', id: 'a\u0000b' } }, ''],
    ['an id with a lone surrogate', '{"subject":{"type":"user","id":"\\ud800"}}', ''],
    ['an action as text', { ...alice, action: 'document:edit' }, '/action'],
    ['a context that is a list', { ...alice, context: [] }, '/context'],
    ['a min_revision as text', { ...alice, options: { min_revision: '1' } }, '/options/min_revision'],
    ['a member twice', '{"subject":{"type":"user","id":"a","id":"b"}}', ''],
    ['a thousand levels', `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`, ''],
  ])('%s', async (_what, body, pointer) => {
    const {
      status,
      headers,
      body: problem,
    } = await verdict.ask('POST /v1/authorize', {
      ...(body !== undefined && { body }),
      headers: { 'content-type': 'application/json' },
    })
    expect(status).toBe(400)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(problem.errors[0].pointer).toBe(pointer)
  })

  test('300 KiB', async () => {
    const body = { ...alice, context: { text: 'x'.repeat(300 * 1024) } }
    expect((await verdict.ask('POST /v1/authorize', { body })).status).toBe(413)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml'])('a body in %s', async (type) => {
    const { status } = await verdict.ask('POST /v1/authorize', {
      body: JSON.stringify(alice),
      headers: { 'content-type': type },
    })
    expect(status).toBe(415)
  })
})
