import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../../support/service.ts'
import { ALICE, ALLOWED, aliceReads, DENIED, MASK, PLAN, READ, recordsOf, SECRET } from './support.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
  await aliceReads(verdict)
})
afterAll(() => verdict.close())

const ask = (body: unknown, more = {}) => verdict.ask('POST /access/v1/evaluation', { body, ...more })

describe('an answer', () => {
  test('to what is allowed is a decision that is true, and nothing else', async () => {
    const { status, body, headers } = await ask(ALLOWED)
    expect([status, body]).toEqual([200, { decision: true }])
    expect(headers.get('content-type')).toMatch(/^application\/json/)
  })

  test('to what is denied is a 200, never an error', async () => {
    const { status, body } = await ask(DENIED)
    expect([status, body]).toEqual([200, { decision: false }])
  })

  test('holds the obligations, unasked, of an allow and of a deny', async () => {
    expect((await ask({ ...ALLOWED, resource: SECRET })).body).toEqual({
      decision: true,
      context: { obligations: [MASK] },
    })
    expect((await ask({ ...ALLOWED, resource: { type: 'grave', id: '1' } })).body).toEqual({
      decision: false,
      context: { obligations: [{ id: 'tell', type: 'notify' }] },
    })
  })

  test('holds reasons only where they are asked for', async () => {
    expect((await ask({ ...DENIED, options: { reasons: true } })).body).toEqual({
      decision: false,
      context: { reason: 'no_applicable_rule', rules: [] },
    })
    expect((await ask({ ...ALLOWED, options: { reasons: false } })).body).toEqual({ decision: true })
    const told = (await ask({ ...ALLOWED, resource: SECRET, options: { reasons: true } })).body
    expect(told.context).toEqual({ obligations: [MASK], reason: 'allowed_by_rule', rules: ['default/secrets'] })
  })

  test('to an equal request is equal in every byte', async () => {
    for (const options of [undefined, { reasons: true }]) {
      const question = { ...ALLOWED, resource: SECRET, options }
      const texts = await Promise.all([1, 2, 3].map(() => raw(question).then((response) => response.text())))
      expect(new Set(texts).size).toBe(1)
      expect(texts[0]).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}|\d{4}-\d\d-\d\d|revision/)
    }
  })

  test('names the revision that it was made at in Verdict-Revision', async () => {
    const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['y'], resources: [{ type: 'doc' }] }
    const written = await verdict.ask('PUT /v1/rules/of-a-revision', { body: rule })
    const revision = written.headers.get('verdict-revision')
    const item = { subject: { type: 'user', id: 'a' }, action: { name: 'x' }, resource: { type: 'doc', id: '1' } }
    const one = await verdict.ask('POST /access/v1/evaluation', { body: item })
    const many = await verdict.ask('POST /access/v1/evaluations', { body: { evaluations: [item, item] } })
    expect([one, many].map(({ headers }) => headers.get('verdict-revision'))).toEqual([revision, revision])
  })

  test('names its decision in X-Decision-Id, which is the id of its record', async () => {
    const { headers } = await ask(ALLOWED, { headers: { 'x-request-id': 'evaluated-1' } })
    const id = headers.get('x-decision-id')
    const found = await eventually(
      () => verdict.ask(`GET /v1/audit/${id}`),
      ({ status }) => status === 200,
    )
    expect(found.body).toMatchObject({ id, type: 'decision', request_id: 'evaluated-1', ...ALLOWED, decision: true })
    expect(await recordsOf(verdict, 'evaluated-1')).toHaveLength(1)
  })

  test('is the one that /v1/authorize gives', async () => {
    for (const question of [ALLOWED, DENIED, { ...ALLOWED, resource: SECRET }]) {
      const own = (await verdict.ask('POST /v1/authorize', { body: question })).body
      const theirs = (await ask({ ...question, options: { reasons: true } })).body
      expect(theirs.decision).toBe(own.decision)
      expect(theirs.context.reason).toBe(own.context.reason)
      expect(theirs.context.obligations ?? []).toEqual(own.context.obligations)
    }
  })

  test('sees properties and context as they were sent', async () => {
    const diary = { type: 'diary', id: '1', properties: { owner: 'alice' } }
    const question = { subject: ALICE, action: { ...READ, properties: { method: 'GET' } }, resource: diary }
    expect((await ask({ ...question, context: { hour: 9 } })).body.decision).toBe(true)
    expect((await ask({ ...question, context: { hour: '9' } })).body.decision).toBe(false)
    expect((await ask(question)).body.decision).toBe(false)
  })

  test('is at least as fresh as options.min_revision asks', async () => {
    const written = await verdict.ask('PUT /v1/rules/fresh', {
      body: { effect: 'allow', subjects: [{ any: true }], actions: ['fresh'], resources: [{ type: 'document' }] },
    })
    const min_revision = Number(written.headers.get('verdict-revision'))
    expect((await ask({ ...DENIED, action: { name: 'fresh' }, options: { min_revision } })).body.decision).toBe(true)
    const ahead = await ask({ ...ALLOWED, options: { min_revision: 1_000_000 } })
    expect([ahead.status, ahead.body.type]).toEqual([400, 'urn:verdict:problem:revision_unknown'])
  })
})

test('members that are not known are ignored, at every level', async () => {
  const extra = { unknown: { deep: [1, null] } }
  const question = {
    ...extra,
    subject: { ...ALICE, ...extra, token: 'eyJ.no.token' },
    action: { ...READ, ...extra, type: 'http', id: 1 },
    resource: { ...PLAN, ...extra, token: 7 },
    context: { ...extra },
    evaluations: 'nothing that this endpoint knows',
    page: null,
    options: { ...extra, evaluations_semantic: 'no such', explain_errors: 'x' },
  }
  const { status, body } = await ask(question)
  expect([status, body]).toEqual([200, { decision: true }])
})

function raw(question: unknown): Promise<Response> {
  return fetch(`${verdict.url}/access/v1/evaluation`, {
    method: 'POST',
    headers: { authorization: `Bearer ${verdict.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(question),
  })
}
