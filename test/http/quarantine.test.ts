import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { startService, type TestService } from '../support/service.ts'

let database: FreshDatabase
let verdict: TestService

const QUESTION = {
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
}
const OPEN = { effect: 'allow', subjects: [{ any: true }], actions: ['read'], resources: [{ type: 'doc' }] }

/** What stands in the database is changed by hand, while nobody looks. */
async function spoil(
  table: 'settings' | 'types' | 'policies' | 'roles' | 'rules' | 'issuers',
  name: string,
  body: unknown,
) {
  const where = table === 'settings' ? sql`` : sql`and name = ${name}`
  const { db } = database
  const { numAffectedRows } = await sql`
    update ${sql.table(table)} set body = ${JSON.stringify(body)}::jsonb where tenant_id = 'default' ${where}`.execute(
    db,
  )
  expect(numAffectedRows).toBe(1n)
}

async function decided(): Promise<unknown> {
  const { body } = await verdict.ask('POST /v1/authorize', { body: QUESTION })
  return body
}

const read = async (route: string) => (await verdict.ask(`GET ${route}`)).body

beforeAll(async () => {
  database = await freshDatabase()
  verdict = await startService({ database })
  const put = async (path: string, body: object) =>
    expect((await verdict.ask(`PUT ${path}`, { body })).status).toBeLessThan(300)
  await put('/v1/rules/open', OPEN)
  await put('/v1/rules/narrow', { ...OPEN, effect: 'deny', condition: 'context.x == 1' })
  await put('/v1/roles/r', { inherits: [] })
  await put('/v1/policies/p', { target: { resource_types: ['never'] } })
  await put('/v1/types/t', { schema: { type: 'object' } })
  await put('/v1/settings', { levels: ['a', 'b'] })
})
afterAll(async () => {
  await verdict.close()
  await database.close()
})

/** A new start finds what was spoiled when it first needs it. */
async function restart(): Promise<void> {
  const { env } = verdict
  await verdict.close()
  verdict = await startService({ database, env })
  await decided()
}

const readyz = async () => (await verdict.ask('GET /readyz', { key: null })).body

test('a rule that does not compile says why, wherever it is read; its tenant is loaded, and nothing is allowed by it', async () => {
  await spoil('rules', 'narrow', { ...OPEN, name: 'narrow', effect: 'deny', condition: 'context.' })
  await restart()
  expect(await decided()).toMatchObject({
    decision: false,
    context: { reason: 'condition_error', rules: ['default/narrow'] },
  })
  expect(await read('/v1/rules/narrow')).toMatchObject({
    effect: 'deny',
    condition: 'context.',
    quarantined: expect.stringMatching(/^\/condition: line 1, column \d+: /),
  })
  const { items } = await read('/v1/rules')
  expect(items.map((rule: { quarantined?: string }) => rule.quarantined !== undefined)).toEqual([true, false])
  expect(await read('/v1/rules/open')).not.toHaveProperty('quarantined')
  expect(await readyz()).toMatchObject({ status: 'degraded', problems: ['rules_quarantined'], quarantined_rules: 1 })
  expect(await read('/metrics')).toContain('verdict_rules_quarantined 1')
})

test.each([null, 'rule', [], 7, {}, { name: 'other' }])(
  'a rule that is %j denies everything, and can be read',
  async (body) => {
    await spoil('rules', 'narrow', body)
    await restart()
    expect(await decided()).toMatchObject({ decision: false, context: { rules: ['?/narrow'] } })
    expect(await read('/v1/rules/narrow')).toMatchObject({ name: 'narrow', quarantined: expect.any(String) })
    expect((await read('/v1/rules')).items).toHaveLength(2)
    expect((await verdict.ask('GET /v1/bundle')).status).toBe(200)
  },
)

test('what is put right is in force at once, and no longer quarantined', async () => {
  await spoil('rules', 'narrow', null)
  await restart()
  const { status } = await verdict.ask('PUT /v1/rules/narrow', {
    body: { ...OPEN, effect: 'deny', condition: 'has(context.x)' },
  })
  expect(status).toBe(200)
  expect(await decided()).toMatchObject({ decision: true })
  expect(await read('/v1/rules/narrow')).not.toHaveProperty('quarantined')
  expect(await readyz()).toMatchObject({ quarantined_rules: 0 })
})

test('nor do roles, policies, types and settings keep a tenant from being loaded, or show nothing', async () => {
  for (const [table, name] of [
    ['roles', 'r'],
    ['policies', 'p'],
    ['types', 't'],
    ['settings', ''],
  ] as const) {
    for (const body of [null, 'x', { name, stranger: 1 }]) {
      await spoil(table, name, body)
      await restart()
      expect(await readyz(), table).toMatchObject({ quarantined_rules: 1 })
      const at = table === 'settings' ? '/v1/settings' : `/v1/${table}/${name}`
      expect(await read(at)).toMatchObject({ quarantined: expect.any(String) })
      if (table !== 'settings') expect((await read(`/v1/${table}`)).items.length).toBeGreaterThan(0)
      if (table === 'policies') expect(await decided()).toMatchObject({ decision: false })
    }
    if (table === 'settings') await verdict.ask('PUT /v1/settings', { body: {} })
    else await verdict.ask(`PUT /v1/${table}/${name}`, { body: {} })
    expect(await readyz(), table).toMatchObject({ quarantined_rules: 0 })
  }
})

test('an issuer that cannot be read is not trusted, and says why; what refers to roles still finds its way', async () => {
  const body = { issuer: 'https://corp.test', audiences: ['verdict'], claims: { subject: { type: 'user' } } }
  await verdict.ask('PUT /v1/issuers/corp', { body })
  for (const spoilt of [null, 'x', [], { name: 'corp', ...body, audiences: [] }, { ...body, allowed_roles: 7 }]) {
    await spoil('issuers', 'corp', spoilt)
    await restart()
    expect(await readyz()).toMatchObject({ quarantined_rules: 1 })
    expect(await read('/v1/issuers/corp')).toMatchObject({ name: 'corp', quarantined: expect.any(String) })
    expect((await read('/v1/issuers')).items).toHaveLength(1)
    await verdict.ask('PUT /v1/roles/passing', { body: {} })
    expect((await verdict.ask('DELETE /v1/roles/passing')).status).toBe(204)
  }
  expect((await verdict.ask('PUT /v1/issuers/corp', { body })).status).toBe(200)
  expect(await readyz()).toMatchObject({ quarantined_rules: 0 })
  expect(await read('/v1/issuers/corp')).not.toHaveProperty('quarantined')
})

test("settings of which a session's length cannot be read end sessions as soon as any do", async () => {
  await spoil('settings', '', { session_idle_seconds: 'long', session_lifetime_seconds: 7_200 })
  await restart()
  const settings = await read('/v1/settings')
  expect(settings).toMatchObject({ session_idle_seconds: 900, session_lifetime_seconds: 7_200 })
  expect(settings.quarantined).toMatch('/session_idle_seconds')
  await verdict.ask('PUT /v1/settings', { body: {} })
})

test('a cycle of roles is told of each of them', async () => {
  await verdict.ask('PUT /v1/roles/s', { body: { inherits: ['r'] } })
  await spoil('roles', 'r', { name: 'r', inherits: ['s'] })
  await restart()
  for (const role of ['r', 's']) expect((await read(`/v1/roles/${role}`)).quarantined).toMatch('builds on itself')
  expect(await readyz()).toMatchObject({ quarantined_rules: 2 })
})
