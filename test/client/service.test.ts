import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, createClient, VerdictError, verifyContext } from '../../src/client/index.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

// The client against a real service: every call that it has, and that types and paths are the contract's.

let service: TestService
let client: Client
let root: Client

const alice = { type: 'user', id: 'alice' }
const question = { subject: alice, action: { name: 'document:read' }, resource: { type: 'document', id: '1' } }

beforeAll(async () => {
  service = await startService()
  client = createClient({ url: service.url, apiKey: service.adminKey })
  root = createClient({ url: service.url, apiKey: service.rootKey })
})

afterAll(() => service.close())

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'answered',
    (error: unknown) => (error instanceof VerdictError ? error.code : error),
  )

test('what is written is decided by at once, and what is taken away is gone', async () => {
  expect(await client.can(question)).toBe(false)
  const permissions = [{ actions: ['document:read'], resources: [{ type: 'document' }] }]
  const role = await client.roles.create({ name: 'reader', permissions }, { reason: 'needed' })
  expect(await client.roles.get('reader')).toMatchObject({ name: 'reader', version: role.version })
  const { id } = await client.assignments.create({ subject: alice, role: 'reader' })
  const { decision, context } = await client.authorize(question)
  expect([decision, context.reason, context.revision]).toEqual([true, 'allowed_by_rule', client.revision])
  expect((await client.explain(question)).trace.roles).toMatchObject([{ role: 'reader' }])
  expect(await client.roles.members('reader').all()).toMatchObject([{ id }])
  expect(await client.assignments.list({ role: 'reader' }).all()).toMatchObject([{ id }])
  await client.assignments.delete(id)
  expect(await client.can(question)).toBe(false)
})

test('many questions at once, and searches, see what this client has just written', async () => {
  const permissions = [{ actions: ['plan:read'], resources: [{ type: 'plan' }] }]
  await client.roles.create({ name: 'planner', permissions })
  for (const id of ['1', '2', '3']) await client.entities.put({ type: 'plan', id })
  await client.entities.put(alice)
  await client.assignments.create({ subject: alice, role: 'planner' })
  const action = { name: 'plan:read' }
  const resource = { type: 'plan', id: '1' }

  const asked = {
    subject: alice,
    action,
    evaluations: [{ resource }, { resource, subject: { type: 'user', id: 'bob' } }, {}],
  }
  const { decision, evaluations } = await client.batch(asked)
  expect([decision, evaluations.map((each) => each.decision)]).toEqual([false, [true, false, false]])
  expect(evaluations.map(({ context }) => context.reason)).toEqual([
    'allowed_by_rule',
    'no_applicable_rule',
    'invalid_request',
  ])
  const options = { evaluations_semantic: 'permit_on_first_permit' } as const
  expect((await client.batch({ ...asked, options })).evaluations).toHaveLength(1)

  const plans = { subject: alice, action, resource: { type: 'plan' } }
  expect(await client.search.resources(plans, { limit: 2 }).all()).toEqual(
    ['1', '2', '3'].map((id) => ({ type: 'plan', id })),
  )
  expect(await client.search.subjects({ subject: { type: 'user' }, action, resource }).all()).toEqual([alice])
  expect(await client.search.actions({ subject: alice, resource }).all()).toEqual([action])
})

test('a record is shown as its masks say', async () => {
  await client.rules.put('customers', {
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['view'],
    resources: [{ type: 'customer' }],
    obligations: [{ id: 'pii', type: 'mask', properties: { fields: { email: 'email' } } }],
  })
  const asked = {
    subject: alice,
    action: { name: 'view' },
    resource: { type: 'customer', id: '1' },
    record: { email: 'bob@example.com', note: 'x' },
  }
  const { decision, record, masked } = await client.mask(asked)
  expect([decision, record, masked]).toEqual([true, { email: 'b*b@example.com' }, ['email']])
  expect((await client.mask({ ...asked, others: 'keep' })).record).toEqual({ email: 'b*b@example.com', note: 'x' })
  expect(await client.mask({ ...asked, action: { name: 'other' } })).not.toHaveProperty('record')
})

test('of branches the first that is allowed is taken, and an operation needs all its permissions', async () => {
  const settings = await client.settings.get()
  await client.settings.put({
    operations: { 'file.read': { action: 'file:read', resource_type: 'disk', normalize: 'path' } },
  })
  await client.rules.put('files', {
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['file:read'],
    resources: [{ type: 'disk', id: '/srv/**' }],
  })
  const read = (...targets: string[]) =>
    client.operation({ subject: alice, permissions: targets.map((target) => ({ kind: 'file.read', target })) })
  const { decision, permissions } = await read('/srv/a', '/srv//b/../c')
  expect([decision, permissions.map(({ resource }) => resource?.id)]).toEqual([true, ['/srv/a', '/srv/c']])
  expect((await read('/srv/a', '/etc/b')).decision).toBe(false)

  const evaluations = ['/etc/a', '/srv/b', '/srv/c'].map((id) => ({ resource: { type: 'disk', id } }))
  const asked = { subject: alice, action: { name: 'file:read' }, fallback: 0 }
  expect(await client.route({ ...asked, evaluations })).toMatchObject({ index: 1, evaluation: { decision: true } })
  expect(await client.route({ ...asked, evaluations: evaluations.slice(0, 1) })).toEqual({ fallback: 0 })
  const { version: _, updated_at: __, ...before } = settings
  await client.settings.put(before)
})

test('a quota is made, used up, looked at and given back to', async () => {
  const permissions = [{ actions: ['job:run'], resources: [{ type: 'job' }] }]
  await client.roles.create({ name: 'runner', permissions })
  await client.assignments.create({ subject: alice, role: 'runner' })
  const about = { subjects: [{ role: 'runner' }], actions: ['job:run'], resources: [{ type: 'job' }] }
  await client.quotas.put('jobs', { ...about, limit: 1, window_seconds: 86_400 })
  expect(await client.quotas.get('jobs')).toMatchObject({ name: 'jobs', per: 'subject', limit: 1 })
  const job = { subject: alice, action: { name: 'job:run' }, resource: { type: 'job', id: '1' } }
  const { context } = await client.authorize(job)
  expect(context.quotas).toMatchObject([{ name: 'jobs', remaining: 0 }])
  expect((await client.authorize(job)).context.reason).toBe('quota_exceeded')
  const of = { subject_type: 'user', subject_id: 'alice' }
  expect(await client.quotas.usage('jobs', of)).toMatchObject({ limit: 1, used: 1, remaining: 0 })
  const { decision_id } = context
  expect(await client.quotas.refund('jobs', { decision_id })).toMatchObject({ units: 1 })
  expect(await codeOf(client.quotas.refund('jobs', { decision_id }))).toBe('conflict')
  expect(await client.can(job)).toBe(true)
  await client.quotas.delete('jobs')
  expect(await client.quotas.list().all()).toEqual([])
})

test('a lost update is refused, and so are other mistakes, with what is wrong', async () => {
  const { version } = await client.roles.put('guest', {})
  await client.roles.put('guest', { description: 'changed' }, { ifMatch: version })
  expect(await codeOf(client.roles.put('guest', { description: 'mine' }, { ifMatch: version }))).toBe(
    'version_mismatch',
  )
  expect(await codeOf(client.roles.create({ name: 'guest' }))).toBe('conflict')
  expect(await codeOf(client.roles.get('nobody'))).toBe('not_found')
  const given = {
    name: 'x',
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['a'],
    resources: [{ type: 't' }],
  } as const
  const error = await client.rules.create({ ...given, condition: '1 +' }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'unprocessable', status: 422, problem: { errors: [{ pointer: '/condition' }] } })
  await client.rules.create(given)
  await client.rules.delete('x')
  expect(await codeOf(client.rules.delete('x'))).toBe('not_found')
  await client.roles.delete('guest')
})

test.each(['a/b', '..', '.', '?x=1&y', 'ü ✓', '%2f', 'a'.repeat(512)])('an entity can be called %j', async (id) => {
  const entity = { type: 'document', id, properties: { n: 1 }, parents: [{ type: 'folder', id: 'f' }] }
  expect(await client.entities.put(entity)).toMatchObject(entity)
  expect(await client.entities.get({ type: 'document', id })).toMatchObject(entity)
  await client.entities.delete({ type: 'document', id })
  expect(await codeOf(client.entities.get({ type: 'document', id }))).toBe('not_found')
})

test.each(['..', '.', ''])('a name like %j is never made a path of', async (name) => {
  expect(await codeOf(client.roles.delete(name))).toBe('bad_request')
})

test('many entities are written at once and read page by page', async () => {
  const all = Array.from({ length: 120 }, (_, n) => ({ type: 'item', id: `i${String(n).padStart(3, '0')}` }))
  expect(await client.entities.putAll(all)).toMatchObject({ created: 120 })
  const found = await client.entities.list({ type: 'item' }, { limit: 50 }).all()
  expect(found.map(({ id }) => id)).toEqual(all.map(({ id }) => id))
})

test('types, policies, settings, issuers and bundles are read as they were written', async () => {
  await client.types.put('file', { actions: ['file:read'] })
  expect(await client.types.list().all()).toMatchObject([{ name: 'file', actions: ['file:read'] }])
  await client.policies.put('acl', { combining: 'first_applicable' })
  expect(await client.policies.get('acl')).toMatchObject({ combining: 'first_applicable' })
  await client.settings.put({ rules_in_answers: true })
  expect(await client.settings.get()).toMatchObject({ rules_in_answers: true })
  expect(await client.issuers.list().all()).toEqual([])
  const bundle = await client.bundle.get()
  expect(bundle.types).toMatchObject([{ name: 'file' }])
  expect(await client.bundle.apply(bundle)).toMatchObject({ dry_run: false, added: 0, changed: 0, removed: 0 })
  const yaml = 'verdict: 1\ntypes: []\n'
  expect(await client.bundle.apply(yaml, { dryRun: true })).toMatchObject({ dry_run: true, removed: 1 })
  expect(await client.types.get('file')).toMatchObject({ name: 'file' })
  await client.policies.delete('acl')
})

test('capabilities, and asking for them', async () => {
  const what = { actions: ['task:run'], resources: [{ type: 'task' }] } as const
  const expires_at = new Date(Date.now() + 60_000).toISOString()
  const granted = await client.capabilities.grant({ ...what, subject: alice, expires_at, constraints: { cpu: 1 } })
  const asked = { subject: alice, action: { name: 'task:run' }, resource: { type: 'task', id: '1' } }
  expect(await client.can(asked, { obligations: ['limits'] })).toBe(true)
  expect(await client.can(asked)).toBe(false)
  expect(await client.capabilities.get(granted.id)).toMatchObject({ id: granted.id, active: true })
  expect(await client.capabilities.list({ subject_id: 'alice', active: 'true' }).all()).toHaveLength(1)
  await client.capabilities.revoke(granted.id)
  expect(await client.can(asked, { obligations: ['limits'] })).toBe(false)

  // Who made the key of whoever asks must not approve it.
  const { key = '' } = await root.apiKeys.create(
    { name: 'plugin', subject: { type: 'plugin', id: 'p' }, roles: ['pdp:requester'] },
    { tenant: 'default' },
  )
  const plugin = createClient({ url: service.url, apiKey: key })
  const wish = { ...what, duration_seconds: 60, justification: 'to run' }
  const [one, two, three] = [
    await plugin.permissionRequests.ask(wish),
    await plugin.permissionRequests.ask(wish),
    await plugin.permissionRequests.ask(wish),
  ]
  expect(await client.permissionRequests.list({ waiting_for: 'me' }).all()).toHaveLength(3)
  expect(await codeOf(plugin.permissionRequests.approve(one.id))).toBe('forbidden')
  const approved = await client.permissionRequests.approve(one.id, { duration_seconds: 30 })
  expect(approved).toMatchObject({ state: 'approved', decision: { granted: { duration_seconds: 30 } } })
  expect(await client.permissionRequests.refuse(two.id, { reason: 'no' })).toMatchObject({ state: 'refused' })
  expect(await plugin.permissionRequests.withdraw(three.id)).toMatchObject({ state: 'withdrawn' })
  expect(await plugin.permissionRequests.get(one.id)).toMatchObject({ state: 'approved' })
})

test('keys, people and sessions', async () => {
  const subject = { type: 'service', id: 'shop' }
  const { key = '', id } = await client.apiKeys.create({ name: 'shop', subject, roles: ['pdp:decider'] })
  const shop = createClient({ url: service.url, apiKey: key })
  expect(await shop.me()).toMatchObject({ subject, roles: ['pdp:decider'] })
  expect(await codeOf(shop.roles.list().all())).toBe('forbidden')
  expect(await codeOf(shop.authorize(question))).toBe('answered')
  const rotated = await client.apiKeys.rotate(id, { overlap_s: 0 })
  expect(await codeOf(createClient({ url: service.url, apiKey: rotated.key ?? '' }).authorize(question))).toBe(
    'answered',
  )
  await client.apiKeys.delete(rotated.id)
  expect((await client.apiKeys.list().all()).map((found) => found.id)).toContain(id)

  await client.entities.put({ type: 'user', id: 'carol' })
  const carol = { type: 'user', id: 'carol' }
  await client.credentials.putPassword(carol, { password: 'a long enough phrase 42' })
  const credentials = {
    method: 'password',
    tenant: 'default',
    username: 'carol',
    password: 'a long enough phrase 42',
  } as const
  const person = createClient({ url: service.url, credentials })
  expect(await person.me()).toMatchObject({ subject: carol, method: 'access_token' })
  await client.credentials.endSessions(carol)
  // The token that it holds is refused, and so is its refresh token: it logs in again.
  expect(await person.me()).toMatchObject({ subject: carol })
  await client.credentials.deletePassword(carol)
  expect(await codeOf(createClient({ url: service.url, credentials }).me())).toBe('unauthenticated')
})

test('tenants, and acting in one', async () => {
  await root.tenants.create({ id: 'acme', name: 'Acme' })
  const own = root.revision
  const admin = { name: 'a', subject: { type: 'service', id: 'a' }, roles: ['pdp:admin'] }
  const { key = '' } = await root.apiKeys.create(admin, { tenant: 'acme' })
  expect(root.revision).toBe(own)
  expect(await createClient({ url: service.url, apiKey: key }).me()).toMatchObject({ tenant: 'acme' })
  await root.tenants.patch('acme', { status: 'suspended' })
  expect(await root.tenants.get('acme')).toMatchObject({ status: 'suspended' })
  expect((await root.tenants.list().all()).map(({ id }) => id)).toContain('acme')
  await root.tenants.delete('acme')
})

describe('the audit', () => {
  test('is listed, exported, proven and counted', async () => {
    const { context } = await client.authorize(question)
    const record = await eventually(
      () => client.audit.get(context.decision_id).catch(() => undefined),
      (found) => found !== undefined,
    )
    expect(record).toMatchObject({ id: context.decision_id, type: 'decision' })
    expect(await client.audit.list({ type: 'decision', subject_id: 'alice' }, { limit: 2 }).all()).toContainEqual(
      record,
    )
    const lines = []
    for await (const line of client.audit.export({ type: 'decision' })) lines.push(line)
    expect(lines).toContainEqual(record)
    expect(lines.at(-1)).toHaveProperty('complete')
    let csv = ''
    const decoder = new TextDecoder()
    for await (const chunk of client.audit.exportBytes({ type: 'decision' }, { format: 'csv' }))
      csv += decoder.decode(chunk)
    expect(csv).toContain(context.decision_id)
    expect((await client.audit.stats({ by: 'decision' })).total).toBeGreaterThan(0)
    const { id } = await eventually(
      () => client.audit.proof(context.decision_id).catch(() => ({ id: '' })),
      (proof) => proof.id !== '',
    )
    expect(id).toBe(context.decision_id)
    expect((await client.audit.checkpoints({}, { limit: 1 }).all()).length).toBeGreaterThan(0)
    expect(await client.audit.verify()).toMatchObject({ integrity: { ok: true } })
  })

  test('the change log is read in pages, oldest first', async () => {
    const changes = await client.changes({}, { limit: 3 }).all()
    expect(changes[0]).toMatchObject({ operation: 'create' })
    expect(changes.map(({ revision }) => revision)).toEqual(
      [...changes.map(({ revision }) => revision)].sort((a, b) => a - b),
    )
  })
})

test('security contexts are made, narrowed, verified without Verdict, decided by and revoked', async () => {
  const context = await client.contexts.create({ subject: alice, quotas: { cpu: 2 } })
  const capabilities = [{ actions: ['document:read'], resources: [{ type: 'document' }] }]
  const { token, ...said } = await client.contexts.attenuate({ token: context.token, capabilities })
  expect(await client.contexts.receive(token)).toEqual(said)
  expect(await verifyContext(token, await client.contexts.jwks(), { tenant: 'default' })).toEqual(said)
  await client.rules.put('alice-reads', {
    effect: 'allow',
    subjects: [alice],
    actions: ['document:*'],
    resources: [{ type: 'document' }],
  })
  const asked = { ...question, subject: { context_token: token } }
  expect(await client.can(asked)).toBe(true)
  expect((await client.authorize({ ...asked, action: { name: 'document:edit' } })).context.reason).toBe(
    'context_exceeded',
  )
  expect((await client.contexts.list({ subject_id: 'alice' }).all()).map(({ id }) => id)).toEqual([said.id, context.id])
  await client.contexts.revoke(context.id)
  expect((await client.authorize(asked)).context.reason).toBe('context_revoked')
  expect((await client.contexts.get(said.id)).revoked_at).toEqual(expect.any(String))
  await client.rules.delete('alice-reads')
})
