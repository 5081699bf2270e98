import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../../support/service.ts'
import { ALICE, ALLOWED, aliceReads, BOB, DENIED, MASK, PLAN, READ, recordsOf, SECRET } from './support.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
  await aliceReads(verdict)
})
afterAll(() => verdict.close())

const ask = (body: unknown, more = {}) => verdict.ask('POST /access/v1/evaluations', { body, ...more })

/** The decisions of a batch. */
async function decisions(body: unknown): Promise<boolean[]> {
  const answer = await ask(body)
  expect([answer.status, Object.keys(answer.body)]).toEqual([200, ['evaluations']])
  return answer.body.evaluations.map(({ decision }: { decision: boolean }) => decision)
}

const OTHER = { type: 'other', id: '1' }

describe('defaults', () => {
  const diary = { type: 'diary', id: '1', properties: { owner: 'bob' } }
  test.each([
    ['an item takes what it lacks', { ...ALLOWED, evaluations: [{}, { resource: OTHER }] }, [true, false]],
    [
      'an item uses its own in the place of a default',
      { ...DENIED, evaluations: [{ subject: ALICE }, {}] },
      [true, false],
    ],
    ['an item may be whole', { evaluations: [ALLOWED, DENIED] }, [true, false]],
    ['an empty item is legal', { ...ALLOWED, evaluations: [{}, {}, {}] }, [true, true, true]],
    [
      'a default may be incomplete where each item brings its own',
      { subject: { type: 'user' }, resource: {}, action: READ, evaluations: [{ subject: ALICE, resource: PLAN }] },
      [true],
    ],
    [
      'nothing is merged into an item: an incomplete one is an error, whatever the default has',
      { ...ALLOWED, evaluations: [{ subject: { type: 'user' } }, { resource: { id: 'plan' } }, { action: {} }, {}] },
      [false, false, false, true],
    ],
    [
      "a default's properties are not merged into an item's own",
      {
        subject: BOB,
        action: READ,
        resource: diary,
        context: { hour: 9 },
        evaluations: [{}, { resource: { type: 'diary', id: '1' } }, { resource: { ...diary, properties: {} } }],
      },
      [true, false, false],
    ],
    [
      "an item's context takes the place of the default, whole",
      {
        subject: BOB,
        action: READ,
        resource: diary,
        context: { hour: 9 },
        evaluations: [{}, { context: {} }, { context: { hour: 9 } }, { context: { minute: 1 } }],
      },
      [true, false, true, false],
    ],
    [
      'null is a value of its own, not the lack of one',
      { ...ALLOWED, evaluations: [{ subject: null }, { context: null }, {}] },
      [false, false, true],
    ],
    [
      'members that are not known are ignored, in an item too',
      { ...ALLOWED, x: 1, evaluations: [{ x: [], options: 7, evaluations: [{}] }] },
      [true],
    ],
  ])('%s', async (_title, body, wanted) => {
    expect(await decisions(body)).toEqual(wanted)
  })

  test("an item's members are those that stand in it, not those of every object", async () => {
    expect(await decisions('{"evaluations":[{"constructor":{"name":"read"},"toString":{}}]}')).toEqual([false])
  })
})

describe('an item in error is false, and fails no other', () => {
  const ERRORS: [string, unknown][] = [
    ['an entity missing after the defaults', { evaluations: [{ subject: ALICE, action: READ }] }],
    ['an id as a number', { ...ALLOWED, evaluations: [{ subject: { type: 'user', id: 5 } }] }],
    ['a subject as text', { ...ALLOWED, evaluations: [{ subject: 'alice' }] }],
    ['an action without name', { ...ALLOWED, evaluations: [{ action: { id: 'read' } }] }],
    ['a context as a list', { ...ALLOWED, evaluations: [{ context: [] }] }],
    ['a subject that is a token', { ...ALLOWED, evaluations: [{ subject: { token: 'eyJ.a.b' } }] }],
    ['no object', { ...ALLOWED, evaluations: ['x'] }],
    ['null', { ...ALLOWED, evaluations: [null] }],
    ['a list', { ...ALLOWED, evaluations: [[]] }],
    ['an id that is empty', { ...ALLOWED, evaluations: [{ resource: { ...PLAN, id: '' } }] }],
  ]

  test.each(ERRORS)('alone: %s', async (_title, body) => {
    const { status, body: answer } = await ask(body)
    expect([status, answer]).toEqual([200, { evaluations: [{ decision: false }] }])
  })

  test('between others', async () => {
    const evaluations = [{}, { resource: 1 }, { resource: OTHER }, { subject: {} }, {}]
    expect(await decisions({ ...ALLOWED, evaluations })).toEqual([true, false, false, false, true])
  })

  test('what is wrong with it is told where that is asked for, in that item', async () => {
    const body = {
      ...ALLOWED,
      evaluations: [{}, { resource: { type: 'document' } }],
      options: { explain_errors: true },
    }
    const { evaluations } = (await ask(body)).body
    expect(evaluations[0]).toEqual({ decision: true })
    expect(evaluations[1]).toEqual({
      decision: false,
      context: {
        error: {
          status: 400,
          message: expect.any(String),
          errors: [{ pointer: '/resource/id', detail: 'is required' }],
        },
      },
    })
  })

  test('properties that do not fit their declared type are one', async () => {
    await verdict.ask('PUT /v1/types/invoice', {
      body: { schema: { type: 'object', properties: { total: { type: 'number' } } } },
    })
    const invoice = (total: unknown) => ({ resource: { type: 'invoice', id: '1', properties: { total } } })
    const body = { ...ALLOWED, evaluations: [invoice('much'), {}], options: { explain_errors: true } }
    const { evaluations } = (await ask(body)).body
    expect(evaluations[0].context.error.errors[0].pointer).toBe('/resource/properties/total')
    expect(evaluations[1]).toEqual({ decision: true })
    const single = await verdict.ask('POST /access/v1/evaluation', { body: { ...ALLOWED, ...invoice('much') } })
    expect(single.status).toBe(400)
  })
})

describe('semantics', () => {
  const [yes, no, error] = [{}, { resource: OTHER }, { subject: null }]
  test.each([
    ['execute_all is the default', undefined, [no, yes, error, yes], [false, true, false, true]],
    ['execute_all', 'execute_all', [no, yes, no], [false, true, false]],
    ['deny_on_first_deny', 'deny_on_first_deny', [yes, yes, no, yes, no], [true, true, false]],
    ['deny_on_first_deny, at an error', 'deny_on_first_deny', [yes, error, yes], [true, false]],
    ['deny_on_first_deny, at the first', 'deny_on_first_deny', [no, yes], [false]],
    ['deny_on_first_deny, without a deny', 'deny_on_first_deny', [yes, yes], [true, true]],
    ['permit_on_first_permit', 'permit_on_first_permit', [no, error, yes, no, yes], [false, false, true]],
    ['permit_on_first_permit, without a permit', 'permit_on_first_permit', [no, no], [false, false]],
  ])('%s', async (_title, evaluations_semantic, evaluations, wanted) => {
    const options = evaluations_semantic === undefined ? {} : { options: { evaluations_semantic, unknown: 1 } }
    expect(await decisions({ ...ALLOWED, evaluations, ...options })).toEqual(wanted)
  })

  test.each(['no_such', '', 'EXECUTE_ALL', null, 1, true, ['execute_all']])('%j is a 400', async (semantic) => {
    for (const evaluations of [[{}], undefined]) {
      const { status, body } = await ask({ ...ALLOWED, evaluations, options: { evaluations_semantic: semantic } })
      expect([status, body.errors[0].pointer]).toEqual([400, '/options/evaluations_semantic'])
    }
  })

  test('what comes after the item that ends a batch is neither decided nor recorded', async () => {
    const options = { evaluations_semantic: 'deny_on_first_deny' }
    const headers = { 'x-request-id': 'stopped-1' }
    await ask({ ...ALLOWED, evaluations: [yes, no, yes], options }, { headers })
    const records = await eventually(
      () => recordsOf(verdict, 'stopped-1'),
      (found) => found.length > 0,
    )
    expect(records.map(({ decision }: { decision: boolean }) => decision)).toEqual([true, false])
  })
})

describe('without items the request is a single evaluation', () => {
  test.each([
    ['absent', {}],
    ['empty', { evaluations: [] }],
  ])('%s', async (_title, more) => {
    expect((await ask({ ...ALLOWED, ...more })).body).toEqual({ decision: true })
    expect((await ask({ ...DENIED, ...more })).body).toEqual({ decision: false })
    const { subject, action } = ALLOWED
    const incomplete = await ask({ subject, action, ...more })
    expect([incomplete.status, incomplete.body.errors[0].pointer]).toEqual([400, '/resource'])
    const told = await ask({ ...ALLOWED, resource: SECRET, options: { reasons: true }, ...more })
    expect(told.body.context).toMatchObject({ obligations: [MASK], reason: 'allowed_by_rule' })
  })
})

describe('a batch that is malformed as a whole is a 400', () => {
  test.each([
    ['items as an object', { ...ALLOWED, evaluations: {} }, '/evaluations'],
    ['items that are null', { ...ALLOWED, evaluations: null }, '/evaluations'],
    ['items as text', { ...ALLOWED, evaluations: 'x' }, '/evaluations'],
    ['a default of the wrong type', { subject: 'alice', evaluations: [ALLOWED] }, '/subject'],
    ['a default with a number as its id', { subject: { type: 'user', id: 7 }, evaluations: [ALLOWED] }, '/subject/id'],
    ['a context as text', { context: 'x', evaluations: [ALLOWED] }, '/context'],
    ['options that are null', { ...ALLOWED, evaluations: [{}], options: null }, '/options'],
    [
      'explain_errors as text',
      { evaluations: [ALLOWED], options: { explain_errors: 'true' } },
      '/options/explain_errors',
    ],
    ['1,001 items', { ...ALLOWED, evaluations: Array.from({ length: 1001 }, () => ({})) }, '/evaluations'],
  ])('%s', async (_title, body, pointer) => {
    const { status, body: problem } = await ask(body)
    expect([status, problem.errors[0].pointer]).toEqual([400, pointer])
  })
})

test('1,000 items are answered in their order', async () => {
  const evaluations = Array.from({ length: 1000 }, (_, n) => (n % 3 === 0 ? {} : { resource: OTHER }))
  expect(await decisions({ ...ALLOWED, evaluations })).toEqual(evaluations.map((_, n) => n % 3 === 0))
})

test('there is no decision at the top, and obligations stand in the item that they are of', async () => {
  const { body } = await ask({ ...ALLOWED, evaluations: [{}, { resource: SECRET }, { subject: BOB }] })
  expect(body).toEqual({
    evaluations: [{ decision: true }, { decision: true, context: { obligations: [MASK] } }, { decision: false }],
  })
})

test('equal batches have answers that are equal in every byte', async () => {
  const body = JSON.stringify({
    ...ALLOWED,
    evaluations: [{}, { resource: SECRET }, { subject: 1 }],
    options: { reasons: true, explain_errors: true },
  })
  const headers = { authorization: `Bearer ${verdict.adminKey}`, 'content-type': 'application/json' }
  const texts = await Promise.all(
    [1, 2].map(async () =>
      (await fetch(`${verdict.url}/access/v1/evaluations`, { method: 'POST', headers, body })).text(),
    ),
  )
  expect(texts[0]).toBe(texts[1])
  expect(texts[0]).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}|revision/)
})

test('each item has a record of its own, which names the first: that is X-Decision-Id', async () => {
  const evaluations = [{}, { resource: OTHER }, { resource: 7 }]
  const { headers } = await ask({ ...ALLOWED, evaluations }, { headers: { 'x-request-id': 'batch-1' } })
  const id = headers.get('x-decision-id')
  const records = await eventually(
    () => recordsOf(verdict, 'batch-1'),
    (found) => found.length > 0,
  )
  expect(records).toHaveLength(3)
  expect(records).toMatchObject([
    { id, type: 'decision', ...ALLOWED, decision: true, reason: 'allowed_by_rule', batch: { id, item: 0 } },
    { type: 'decision', resource: OTHER, decision: false, reason: 'no_applicable_rule', batch: { id, item: 1 } },
    {
      type: 'decision',
      subject: ALICE,
      action: READ,
      resource: null,
      decision: false,
      reason: 'invalid_request',
      batch: { id, item: 2 },
    },
  ])
})
