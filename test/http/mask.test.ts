import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_MASK_FIELDS } from '../../src/policy/mask-obligation.ts'
import { leavesOf, pathInTree, secretRecord, valuesAt } from '../support/secret-records.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

let named = 0
/** A rule for a resource of its own, whose allow carries these masks. */
async function masked(...masks: readonly object[]) {
  const type = `r${named++}`
  for (const [place, properties] of masks.entries()) {
    const body = {
      effect: 'allow',
      subjects: [{ type: 'user', id: 'ann' }],
      actions: ['see'],
      resources: [{ type }],
      obligations: [{ id: `m${place}`, type: 'mask', properties }],
    }
    const written = await verdict.ask(`PUT /v1/rules/${type}-${place}`, { body })
    expect([written.status, written.body.errors]).toEqual([201, undefined])
  }
  return { subject: { type: 'user', id: 'ann' }, action: { name: 'see' }, resource: { type, id: '1' } }
}

const ask = (body: unknown, more = {}) => verdict.ask('POST /v1/mask', { body, ...more })

const RECORD = {
  email: 'alice@example.com',
  card: '4111 1111 1111 1234',
  ssn: '123-45-6789',
  people: [{ name: 'Bo', phone: '555 0100 2222' }],
  notes: 'nobody names these',
}

describe('an allow shows of a record what its masks let be seen', () => {
  test('of every kind, nested and in lists, and says where something was masked', async () => {
    const question = await masked({
      fields: { email: 'email', card: 'credit_card', 'people.phone': 'partial' },
    })
    const { status, body } = await ask({ ...question, record: RECORD })
    expect(status).toBe(200)
    expect(body).toEqual({
      decision: true,
      record: {
        email: 'a***e@example.com',
        card: '**** **** **** 1234',
        people: [{ phone: '**********222' }],
      },
      masked: ['email', 'card', 'people.phone'],
      context: expect.objectContaining({ reason: 'allowed_by_rule', obligations: [expect.anything()] }),
    })
  })

  test('fields that no mask names are removed, or kept where the caller says so', async () => {
    const question = await masked({ fields: { email: 'email' } })
    const kept = await ask({ ...question, record: RECORD, others: 'keep' })
    expect(kept.body.record).toEqual({ ...RECORD, email: 'a***e@example.com' })
    expect((await ask({ ...question, record: RECORD, others: 'remove' })).body.record).toEqual({
      email: 'a***e@example.com',
    })
  })

  test('an allow without a mask shows nothing but what the caller keeps', async () => {
    const question = await masked({ fields: {} })
    expect((await ask({ ...question, record: RECORD })).body).toMatchObject({ decision: true, record: {}, masked: [] })
    expect((await ask({ ...question, record: RECORD, others: 'keep' })).body.record).toEqual(RECORD)
  })

  test('what one of several masks removes is gone, and the strictest kind counts', async () => {
    const question = await masked(
      { fields: { email: 'clear', ssn: 'ssn', card: 'clear' } },
      { fields: { email: 'email', ssn: 'clear' }, others: 'remove' },
    )
    const { body } = await ask({ ...question, record: RECORD, others: 'keep' })
    expect(body.record).toEqual({ email: 'a***e@example.com', ssn: '***-**-6789' })
    expect(body.context.obligations).toHaveLength(2)
  })

  test('a path that leads nowhere masks nothing, and is not told', async () => {
    const question = await masked({ fields: { 'no.such.field': 'null', '*.x': 'email' } })
    const { body } = await ask({ ...question, record: { a: 1 }, others: 'keep' })
    expect(body).toMatchObject({ decision: true, record: { a: 1 }, masked: [] })
  })

  test('a hash is the same for the same value of a tenant, another elsewhere, and none of those in the audit', async () => {
    const question = await masked({ fields: { id: 'hash' } })
    const hash = async () => (await ask({ ...question, record: { id: 'alice' } })).body.record.id
    const first = await hash()
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect(await hash()).toBe(first)
    await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
    const subject = { type: 'user', id: 'wile' }
    const { body } = await verdict.ask('POST /v1/api-keys', {
      key: verdict.rootKey,
      body: { name: 'a', subject, roles: ['pdp:admin'] },
      headers: { 'verdict-tenant': 'acme' },
    })
    const rule = {
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['see'],
      resources: [{ type: question.resource.type }],
      obligations: [{ id: 'm', type: 'mask', properties: { fields: { id: 'hash' } } }],
    }
    await verdict.ask('PUT /v1/rules/see', { key: body.key, body: rule })
    const other = (await ask({ ...question, record: { id: 'alice' } }, { key: body.key })).body.record.id
    expect(other).toMatch(/^[0-9a-f]{64}$/)
    expect(other).not.toBe(first)
  })
})

describe('a deny shows nothing', () => {
  test('of the record', async () => {
    const question = await masked({ fields: {} })
    const { status, body } = await ask({
      ...question,
      action: { name: 'other' },
      record: { a: 'sEcret' },
      others: 'keep',
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      decision: false,
      masked: [],
      context: expect.objectContaining({ reason: 'no_applicable_rule' }),
    })
  })

  test('nor does a rule whose mask a hand has made unreadable: it never allows', async () => {
    const question = await masked({ fields: { a: 'null' } })
    const name = `${question.resource.type}-0`
    await sql`
      update rules set body = jsonb_set(body, '{obligations,0,properties,fields}', '{"a..b": "null"}')
      where name = ${name}`.execute(verdict.database.db)
    const { VERDICT_DATA_DIR: _, ...env } = verdict.env
    const other = await startService({ database: verdict.database, env })
    try {
      const { body } = await other.ask('POST /v1/mask', { body: { ...question, record: { a: 'x' }, others: 'keep' } })
      expect(body).toMatchObject({ decision: false, masked: [] })
      expect(body).not.toHaveProperty('record')
      expect((await other.ask(`GET /v1/rules/${name}`)).body.quarantined).toMatch(/obligations\/0\/properties: a\.\.b/)
    } finally {
      await other.close()
    }
  })
})

describe('what is no mask is refused when it is written', () => {
  const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['a'], resources: [{ type: 't' }] }
  const fieldsOf = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, 'null']))

  test.each([
    ['a path that is none', { fields: { 'a..b': 'null' } }],
    ['an unknown kind', { fields: { a: 'rot13' } }],
    ['a list of fields', { fields: ['a'] }],
    ['no fields', {}],
    ['nothing at all', undefined],
    ['too many fields', { fields: fieldsOf(MAX_MASK_FIELDS + 1) }],
  ])('%s', async (_title, properties) => {
    const obligations = [
      { id: 'l', type: 'log' },
      { id: 'm', type: 'mask', properties },
    ]
    const byRule = await verdict.ask('PUT /v1/rules/bad', { body: { ...rule, obligations } })
    expect([byRule.status, byRule.body.errors[0].pointer]).toEqual([422, '/obligations/1/properties'])
    const { subjects: _, effect: __, ...permission } = rule
    const byRole = await verdict.ask('PUT /v1/roles/bad', { body: { permissions: [{ ...permission, obligations }] } })
    expect([byRole.status, byRole.body.errors[0].pointer]).toEqual([422, '/permissions/0/obligations/1/properties'])
    const bundle = { verdict: 1, rules: [{ name: 'bad', ...rule, obligations }] }
    const byBundle = await verdict.ask('PUT /v1/bundle', { body: bundle })
    expect([byBundle.status, byBundle.body.errors[0].pointer]).toEqual([422, '/rules/0/obligations/1/properties'])
  })
})

describe('bad input', () => {
  const question = { subject: { type: 'user', id: 'a' }, action: { name: 'a' }, resource: { type: 't', id: '1' } }
  test.each([
    ['no record', {}, '/record'],
    ['a record that is a list', { record: ['sEcret'] }, '/record'],
    ['a record that is text', { record: 'sEcret' }, '/record'],
    ['others that are neither kept nor removed', { record: {}, others: 'hide' }, '/others'],
    ['no subject', { record: { a: 'sEcret' }, subject: undefined }, '/subject'],
  ])('%s is a 400 that says where', async (_title, more, pointer) => {
    const { status, body } = await ask({ ...question, ...more })
    expect([status, body.errors[0].pointer]).toEqual([400, pointer])
    expect(JSON.stringify(body)).not.toContain('sEcret')
  })

  test('half a body is a 400 that repeats nothing of it', async () => {
    const { status, body } = await ask(`{"record": {"a": "sEcret"}, sEcret`)
    expect(status).toBe(400)
    expect(JSON.stringify(body)).not.toMatch(/sEcr/)
  })

  test('a record that would take long to mask is a 413, and its decision is in the audit', async () => {
    const fields = Object.fromEntries(Array.from({ length: MAX_MASK_FIELDS }, (_, at) => [`*.f${at}`, 'null']))
    const large = await masked({ fields })
    const record = Object.fromEntries(Array.from({ length: 9_000 }, (_, at) => [`m${at}`, { f1: at }]))
    const headers = { 'x-request-id': 'long-mask' }
    const { status, body } = await ask({ ...large, record }, { headers })
    expect([status, body.detail]).toEqual([413, expect.stringContaining('more work')])
    const { items } = await eventually(
      async () => (await verdict.ask('GET /v1/audit?request_id=long-mask')).body,
      (page) => page.items.length > 0,
    )
    expect(items).toMatchObject([{ type: 'decision', decision: true }])
  })
})

const path = pathInTree.map((names) => names.join('.'))
const hiding = fc.constantFrom('email', 'credit_card', 'ssn', 'partial', 'hash', 'null', 'remove')
const fields = fc.dictionary(path, hiding, { minKeys: 1, maxKeys: 4 })

test('of random records no masked value is anywhere in the answer, and no value at all in audit and journal', async () => {
  const [masks] = fc.sample(fc.array(fields, { minLength: 25, maxLength: 25 }), { numRuns: 1, seed: 7 })
  const questions = []
  for (const one of masks ?? []) questions.push({ question: await masked({ fields: one }), fields: one })
  const told: string[] = []
  await fc.assert(
    fc.asyncProperty(secretRecord, fc.constantFrom(...questions), fc.boolean(), async (given, asked, keeps) => {
      const others = keeps ? 'keep' : 'remove'
      const { status, body } = await ask({ ...asked.question, record: given, others })
      expect(status).toBe(200)
      const shown = JSON.stringify(body)
      const hidden = new Set(Object.keys(asked.fields).flatMap((at) => valuesAt(given, at.split('.'))))
      for (const value of leavesOf(given)) {
        expect(shown.includes(JSON.stringify(value))).toBe(keeps && !hidden.has(value))
        told.push(String(value))
      }
    }),
    { numRuns: 400 },
  )
  const { items } = await eventually(
    async () => (await verdict.ask('GET /v1/audit?limit=1&type=decision')).body,
    (page) => page.items.length > 0,
  )
  expect(items).toHaveLength(1)
  const kept = (await everythingKept()).join('\n')
  expect(kept).toContain('"name":"see"')
  expect(told.length).toBeGreaterThan(500)
  expect(told.filter((value) => kept.includes(value))).toEqual([])
})

/** What the audit's table and the journal's files hold, as text. */
async function everythingKept(): Promise<string[]> {
  const { rows } = await sql<{ text: string }>`
    select convert_from(record, 'UTF8') as text from audit`.execute(verdict.database.db)
  const files = readdirSync(verdict.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return [
    ...rows.map(({ text }) => text),
    ...files.map(({ parentPath, name: file }) => readFileSync(join(parentPath, file), 'latin1')),
  ]
}
