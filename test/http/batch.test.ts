import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'
import { ALICE, ALLOWED, aliceReads, MASK, PLAN, READ, recordsOf, SECRET } from './access/support.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
  await aliceReads(verdict)
})
afterAll(() => verdict.close())

const ask = (body: unknown, more = {}) => verdict.ask('POST /v1/authorize/batch', { body, ...more })
const OTHER = { type: 'other', id: '1' }

test('each answer is what /v1/authorize would have answered, but for its id', async () => {
  const items = [{}, { resource: SECRET }, { resource: OTHER }, { resource: { type: 'grave', id: '1' } }]
  const { evaluations } = (await ask({ ...ALLOWED, evaluations: items })).body
  const ids = new Set<string>()
  for (const [at, item] of items.entries()) {
    const single = (await verdict.ask('POST /v1/authorize', { body: { ...ALLOWED, ...item } })).body
    const { decision_id } = evaluations[at].context
    ids.add(decision_id)
    expect(evaluations[at]).toEqual({ ...single, context: { ...single.context, decision_id } })
  }
  expect(ids.size).toBe(items.length)
  expect(evaluations[1].context.obligations).toEqual([MASK])
})

describe('the decision at the top is true only if every item was evaluated and allowed', () => {
  const [yes, no, error] = [{}, { resource: OTHER }, { subject: null }]
  test.each([
    ['all allowed', 'execute_all', [yes, yes], true, 2],
    ['one denied', 'execute_all', [yes, no, yes], false, 3],
    ['one in error', 'execute_all', [yes, error], false, 2],
    ['all allowed, with deny_on_first_deny', 'deny_on_first_deny', [yes, yes], true, 2],
    ['stopped at an allow, with others left', 'permit_on_first_permit', [yes, yes], false, 1],
    ['stopped at an allow, which was the last', 'permit_on_first_permit', [yes], true, 1],
  ])('%s', async (_title, evaluations_semantic, evaluations, decision, answers) => {
    const { body } = await ask({ ...ALLOWED, evaluations, options: { evaluations_semantic } })
    expect([body.decision, body.evaluations.length]).toEqual([decision, answers])
  })
})

test('an item in error says what is wrong with it', async () => {
  const { body } = await ask({ ...ALLOWED, evaluations: [{ subject: { type: 'user' } }] })
  expect(body.evaluations[0]).toEqual({
    decision: false,
    context: {
      decision_id: expect.any(String),
      reason: 'invalid_request',
      obligations: [],
      error: { status: 400, message: expect.any(String), errors: [{ pointer: '/subject/id', detail: 'is required' }] },
    },
  })
})

test('without items it is a single question', async () => {
  const { body } = await ask(ALLOWED)
  expect(body).toMatchObject({
    decision: true,
    context: { reason: 'allowed_by_rule', decision_id: expect.any(String) },
  })
  expect((await ask({ subject: ALICE, evaluations: [] })).status).toBe(400)
})

test('every item is found in the audit by itself: by its subject, by its id, and with a proof', async () => {
  const people = ['ann', 'ben', 'cem'].map((id) => ({ type: 'user', id }))
  const { body } = await ask({ ...ALLOWED, evaluations: people.map((subject) => ({ subject })) })
  for (const [at, subject] of people.entries()) {
    const { decision_id } = body.evaluations[at].context
    const found = await eventually(
      () => verdict.ask(`GET /v1/audit?subject_type=user&subject_id=${subject.id}`),
      (answer) => answer.body.items.length > 0,
    )
    expect(found.body.items).toHaveLength(1)
    expect(found.body.items[0]).toMatchObject({ id: decision_id, subject, decision: false })
    expect((await verdict.ask(`GET /v1/audit/${decision_id}`)).body).toEqual(found.body.items[0])
    const proof = await eventually(
      () => verdict.ask(`GET /v1/audit/${decision_id}/proof`),
      ({ status }) => status === 200,
    )
    expect(proof.status).toBe(200)
  }
  expect((await verdict.ask('GET /v1/audit/verify')).body).toMatchObject({
    integrity: { ok: true },
    completeness: { ok: true },
  })
})

test('records pass through the redaction of the tenant, those of items in error too', async () => {
  await verdict.ask('PUT /v1/settings', { body: { redaction: { 'subject.id': 'keyed_hash', context: 'drop' } } })
  const headers = { 'x-request-id': 'hidden-1' }
  await ask({ ...ALLOWED, context: { secret: 'abc' }, evaluations: [{}, { resource: 1 }] }, { headers })
  const records = await eventually(
    () => recordsOf(verdict, 'hidden-1'),
    (found) => found.length > 0,
  )
  await verdict.ask('PUT /v1/settings', { body: {} })
  expect(records).toHaveLength(2)
  for (const { subject, context } of records) expect([subject.id.slice(0, 5), context]).toEqual(['hmac:', null])
})

test('all items draw on one budget for conditions', async () => {
  await verdict.ask('PUT /v1/rules/costly', {
    body: {
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['burn'],
      resources: [{ type: 'document' }],
      condition: 'context.l.all(a, context.l.all(b, a + b >= 0.0))',
    },
  })
  const burning = { ...ALLOWED, action: { name: 'burn' }, context: { l: Array.from({ length: 150 }, (_, n) => n) } }
  const single = await verdict.ask('POST /v1/authorize', { body: burning })
  expect(single.body.decision).toBe(true)
  const { body } = await ask({ ...burning, evaluations: Array.from({ length: 40 }, () => ({})) })
  const reasons = body.evaluations.map(({ context }: { context: { reason: string } }) => context.reason)
  expect(reasons[0]).toBe('allowed_by_rule')
  expect(reasons.at(-1)).toBe('condition_error')
})

test("a tenant's limit of decisions a second counts every item", async () => {
  await verdict.ask('PUT /v1/settings', { body: { decisions_per_second: 50 } })
  const batch = (items: number) => ({ ...ALLOWED, evaluations: Array.from({ length: items }, () => ({})) })
  const refused = await ask(batch(51))
  const taken = await eventually(
    () => ask(batch(50)),
    ({ status }) => status === 200,
  )
  await verdict.ask('PUT /v1/settings', { body: {} })
  expect([refused.status, taken.status]).toEqual([429, 200])
  expect(refused.headers.get('retry-after')).not.toBeNull()
})

test('a default that would be repeated into more than 8 MiB of records is refused', async () => {
  const subject = { ...ALICE, properties: { text: 'x'.repeat(20_000) } }
  const evaluations = Array.from({ length: 1000 }, () => ({}))
  const { status, body } = await ask({ subject, action: READ, resource: PLAN, evaluations })
  expect([status, body.type]).toEqual([413, 'urn:verdict:problem:payload_too_large'])
  expect((await ask({ subject, action: READ, resource: PLAN, evaluations: evaluations.slice(0, 10) })).status).toBe(200)
})

test('a body of 2 MiB is taken, and none that is larger', async () => {
  const text = (bytes: number) => ({ ...ALLOWED, evaluations: [{ context: { text: 'x'.repeat(bytes) } }] })
  expect((await ask(text(2 * 1024 * 1024 - 300))).status).toBe(200)
  expect((await ask(text(2 * 1024 * 1024))).status).toBe(413)
})

test('waits for Postgres where the tenant wants that: every record is there with the answer', async () => {
  await verdict.ask('PUT /v1/settings', { body: { audit_mode: 'commit' } })
  const { body } = await ask({ ...ALLOWED, evaluations: [{}, { resource: OTHER }, { subject: 1 }] })
  const ids = body.evaluations.map(({ context }: { context: { decision_id: string } }) => context.decision_id)
  const rows = await verdict.database.db.selectFrom('audit').select('id').where('id', 'in', ids).execute()
  await verdict.ask('PUT /v1/settings', { body: {} })
  expect(rows).toHaveLength(3)
})

test('is at least as fresh as options.min_revision asks', async () => {
  const written = await verdict.ask('PUT /v1/rules/fresh', {
    body: { effect: 'allow', subjects: [{ any: true }], actions: ['fresh'], resources: [{ type: 'document' }] },
  })
  const min_revision = Number(written.headers.get('verdict-revision'))
  const body = { ...ALLOWED, action: { name: 'fresh' }, evaluations: [{}], options: { min_revision } }
  const fresh = await ask(body)
  expect(fresh.body.decision).toBe(true)
  expect(fresh.body.evaluations[0].context.revision).toBeGreaterThanOrEqual(min_revision)
  expect((await ask({ ...body, options: { min_revision: 1_000_000 } })).status).toBe(400)
})

describe('with a fallback, alternatives are asked in their order', () => {
  const [no, error] = [{ resource: OTHER }, { subject: null }]
  const fallback = { go: ['to', 'the', 'queue'] }
  const route = (evaluations: readonly object[], options: object = { fallback }) =>
    ask({ ...ALLOWED, evaluations, options })

  test.each([
    ['the first', [{}, no, {}], { index: 0 }, 1],
    ['the first that is allowed, and no later one', [no, no, {}, {}], { index: 2 }, 3],
    ['none in error', [error, { action: 7 }, {}], { index: 2 }, 3],
    ['the fallback where all are denied', [no, no], { fallback }, 2],
    ['the fallback where all are in error', [error], { fallback }, 1],
  ])('and the answer selects %s', async (_title, evaluations, selected, answers) => {
    const { status, body } = await route(evaluations)
    expect(status).toBe(200)
    expect([body.selected, body.evaluations.length]).toEqual([selected, answers])
  })

  test.each([null, false, 0, '', [], { index: 0 }])('the fallback may be anything: %j', async (given) => {
    expect((await route([no], { fallback: given })).body.selected).toEqual({ fallback: given })
  })

  test('nothing is selected without one', async () => {
    const { body } = await route([no, {}], { evaluations_semantic: 'permit_on_first_permit' })
    expect(body).not.toHaveProperty('selected')
  })

  test.each([
    ['another semantic', [{}], { fallback, evaluations_semantic: 'execute_all' }, '/options/evaluations_semantic'],
    ['no item', [], { fallback }, '/evaluations'],
    ['a fallback of more than 16 KiB', [{}], { fallback: 'x'.repeat(16_384) }, '/options/fallback'],
  ])('%s is a 400 that says where', async (_title, evaluations, options, pointer) => {
    const { status, body } = await route(evaluations, options)
    expect([status, body.errors[0].pointer]).toEqual([400, pointer])
  })

  test('each that was asked is in the audit, and the fallback is not', async () => {
    const headers = { 'x-request-id': 'route-1' }
    await ask({ ...ALLOWED, evaluations: [no, {}, {}], options: { fallback: 'qUeue' } }, { headers })
    const records = await eventually(
      () => recordsOf(verdict, 'route-1'),
      (found) => found.length > 0,
    )
    expect(records.map(({ decision }: { decision: boolean }) => decision)).toEqual([false, true])
    expect(JSON.stringify(records)).not.toContain('qUeue')
  })
})

test('the branches of the preset workflow are taken as its page says', async () => {
  const preset = readFileSync(new URL('../../presets/workflow.yaml', import.meta.url), 'utf8')
  const headers = { 'content-type': 'application/yaml' }
  expect((await verdict.ask('PUT /v1/bundle', { body: preset, headers })).status).toBe(200)
  const branches = ['process_fast', 'process_standard'].map((id) => ({ resource: { type: 'node', id } }))
  const selected = async (id: string, rows: number) =>
    (
      await ask({
        subject: { type: 'user', id },
        action: { name: 'execute' },
        context: { rows },
        evaluations: branches,
        options: { fallback: 'process_later' },
      })
    ).body.selected
  expect(await selected('ana', 20_000)).toEqual({ index: 0 })
  expect(await selected('bob', 10_000)).toEqual({ index: 1 })
  expect(await selected('bob', 20_000)).toEqual({ fallback: 'process_later' })
})
