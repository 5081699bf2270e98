import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES } from '../../src/contract/routes.ts'
import { newKey, startService, type TestService } from '../support/service.ts'

// The header Verdict-Min-Revision, at every door that answers questions.

let one: TestService
let other: TestService

beforeAll(async () => {
  const env = {
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: newKey(),
    VERDICT_MASTER_KEY: Buffer.alloc(32, 'min revision').toString('base64'),
  }
  one = await startService({ env })
  other = await startService({ env, database: one.database })
  await one.ask('PUT /v1/roles/reader', {
    body: { permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] },
  })
})

afterAll(async () => {
  await other.close()
  await one.close()
})

const question = (id: string) => ({
  subject: { type: 'user', id },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
})

const DOORS = [
  '/v1/authorize',
  '/v1/authorize/batch',
  '/v1/authorize/explain',
  '/access/v1/evaluation',
  '/access/v1/evaluations',
  '/access/v1/search/subject',
  '/access/v1/search/resource',
  '/access/v1/search/action',
]
const BATCHES = ['/v1/authorize/batch', '/access/v1/evaluations']

const ask = (path: string, min: string, more: object = {}) =>
  other.ask(`POST ${path}`, { body: { ...question('ann'), ...more }, headers: { 'verdict-min-revision': min } })

test('every route that asks for decisions documents the header', () => {
  const asking = ROUTES.filter(
    ({ config: { permission } }) => typeof permission === 'object' && permission.type === 'pdp:decision',
  )
  expect(asking.map(({ url }) => url)).toEqual(expect.arrayContaining(DOORS))
  for (const { schema } of asking) expect(JSON.stringify(schema)).toContain('"verdict-min-revision"')
})

describe.each(DOORS)('%s', (path) => {
  test('refuses a revision that does not exist at once, and says that the header asks for it', async () => {
    const { status, body } = await ask(path, '1000000')
    expect([status, body.type]).toEqual([400, 'urn:verdict:problem:revision_unknown'])
    expect(body.errors).toEqual([
      { pointer: '/verdict-min-revision', detail: "header: is ahead of the tenant's revision" },
    ])
  })

  test.each(['-1', '1.5', '1e3', '007', '', 'latest', '1, 2', '9999999999999999'])('takes no %j', async (text) => {
    const { status, body } = await ask(path, text)
    expect([status, body.type]).toEqual([400, 'urn:verdict:problem:invalid_request'])
    expect(body.errors).toEqual([{ pointer: '/verdict-min-revision', detail: expect.stringContaining('whole number') }])
  })

  test('where the body asks too, the larger counts, wherever it stands', async () => {
    const { headers } = await one.ask('PUT /v1/entities/user/ann', { body: { properties: { path } } })
    const there = headers.get('verdict-revision') ?? ''
    expect((await ask(path, there, { options: { min_revision: 0 } })).status).toBe(200)
    const byHeader = await ask(path, '1000000', { options: { min_revision: Number(there) } })
    expect(byHeader.body.errors[0].pointer).toBe('/verdict-min-revision')
    const byBody = await ask(path, there, { options: { min_revision: 1_000_000 } })
    expect(byBody.body.errors[0].pointer).toBe('/options/min_revision')
  })
})

test.each(BATCHES)('%s asks it of all its items', async (path) => {
  const { status } = await ask(path, '1000000', { evaluations: [{}, {}] })
  expect(status).toBe(400)
})

test('what one replica was told is decided by at the other', async () => {
  for (let round = 0; round < 10; round++) {
    const subject = { type: 'user', id: `bob-${round}` }
    const given = await one.ask('POST /v1/assignments', { body: { subject, role: 'reader' } })
    const min = given.headers.get('verdict-revision') ?? ''
    const { body } = await ask('/v1/authorize', min, { subject })
    expect(body.decision).toBe(true)
    expect(body.context.revision).toBeGreaterThanOrEqual(Number(min))
  }
})

test('who may not ask is told nothing of revisions', async () => {
  const key = await one.keyWith(['pdp:auditor'])
  const headers = { 'verdict-min-revision': 'latest' }
  expect((await one.ask('POST /v1/authorize', { key, body: question('ann'), headers })).status).toBe(403)
})

test('other routes read the database itself: the header changes nothing there', async () => {
  const headers = { 'verdict-min-revision': '1000000' }
  expect((await other.ask('GET /v1/roles/reader', { headers })).status).toBe(200)
})
