import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { eventually, newKey, startService, type TestService } from '../support/service.ts'
import { timed } from '../support/stopwatch.ts'

let database: FreshDatabase
let one: TestService
let other: TestService

beforeAll(async () => {
  database = await freshDatabase()
  const env = {
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: newKey(),
    VERDICT_MASTER_KEY: Buffer.alloc(32, 'two replicas').toString('base64'),
  }
  one = await startService({ database, env })
  other = await startService({ database, env })
  await one.ask('PUT /v1/roles/reader', {
    body: { permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] },
  })
})

afterAll(async () => {
  await one.close()
  await other.close()
  await database.close()
})

const question = (id: string, options: object = {}) => ({
  subject: { type: 'user', id },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
  options,
})

async function grant(id: string) {
  const body = { subject: { type: 'user', id }, role: 'reader' }
  const { body: given, headers } = await one.ask('POST /v1/assignments', { body })
  return { assignment: given.id as string, revision: Number(headers.get('verdict-revision')) }
}

test('a revocation at one replica is seen by the other within 1.2 s', async () => {
  const { assignment, revision } = await grant('ann')
  const asked = question('ann', { min_revision: revision })
  expect((await other.ask('POST /v1/authorize', { body: asked })).body.decision).toBe(true)
  await one.ask(`DELETE /v1/assignments/${assignment}`)
  const { ms } = await timed(() =>
    eventually(
      async () => (await other.ask('POST /v1/authorize', { body: question('ann') })).body.decision,
      (decision) => decision === false,
    ),
  )
  expect(ms).toBeLessThan(1200)
})

test('with the revision of the revocation, the other replica is never asked in vain', async () => {
  for (let round = 0; round < 10; round++) {
    const { assignment } = await grant(`bob-${round}`)
    const taken = await one.ask(`DELETE /v1/assignments/${assignment}`)
    const min_revision = Number(taken.headers.get('verdict-revision'))
    const { body } = await other.ask('POST /v1/authorize', { body: question(`bob-${round}`, { min_revision }) })
    expect(body.decision).toBe(false)
    expect(body.context.revision).toBeGreaterThanOrEqual(min_revision)
  }
})

test('an API key made at one replica opens the other, and one revoked at one is refused at the other', async () => {
  const key = await one.keyWith(['pdp:decider'])
  expect((await other.ask('GET /v1/authenticate/me', { key })).status).toBe(200)
  const { key_id } = (await one.ask('GET /v1/authenticate/me', { key })).body
  await one.ask(`DELETE /v1/api-keys/${key_id}`)
  await eventually(
    async () => (await other.ask('GET /v1/authenticate/me', { key })).status,
    (status) => status === 401,
  )
})

test('a tenant suspended at one replica is suspended at the other', async () => {
  const root = one.rootKey
  await one.ask('POST /v1/tenants', { key: root, body: { id: 'acme', name: 'Acme' } })
  const { key } = (
    await one.ask('POST /v1/api-keys', {
      key: root,
      headers: { 'verdict-tenant': 'acme' },
      body: { name: 'd', subject: { type: 'service', id: 'd' }, roles: ['pdp:decider'] },
    })
  ).body
  expect((await other.ask('POST /v1/authorize', { key, body: question('x') })).body.context.reason).toBe(
    'no_applicable_rule',
  )
  await one.ask('PATCH /v1/tenants/acme', { key: root, body: { status: 'suspended' } })
  await eventually(
    async () => (await other.ask('POST /v1/authorize', { key, body: question('x') })).body.context.reason,
    (reason) => reason === 'tenant_suspended',
  )
  await one.ask('DELETE /v1/tenants/acme', { key: root })
  await eventually(
    async () => (await other.ask('POST /v1/authorize', { key, body: question('x') })).status,
    (status) => status === 401,
  )
})

test('each replica has a log of its own, and both are in one audit', async () => {
  await one.ask('POST /v1/authorize', { body: question('logged') })
  await other.ask('POST /v1/authorize', { body: question('logged') })
  const { items } = await eventually(
    async () => (await one.ask('GET /v1/audit?subject_type=user&subject_id=logged')).body,
    (page) => page.items.length === 2,
  )
  expect(new Set(items.map(({ writer }: { writer: string }) => writer)).size).toBe(2)
})
