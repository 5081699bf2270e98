import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

const alice = { type: 'user', id: 'alice' }

beforeAll(async () => {
  verdict = await startService()
  await verdict.ask('PUT /v1/roles/editor', {
    body: { permissions: [{ actions: ['document:edit'], resources: [{ type: 'document' }], condition: OWNER }] },
  })
  await verdict.ask('PUT /v1/entities/user/alice', { body: { parents: [{ type: 'group', id: 'eng' }] } })
  await verdict.ask('PUT /v1/entities/document/plan', { body: { properties: { owner: 'alice' } } })
  await verdict.ask('POST /v1/assignments', { body: { subject: { type: 'group', id: 'eng' }, role: 'editor' } })
})

afterAll(() => verdict.close())

const OWNER = 'resource.properties.owner == subject.id'

const question = (id: string, more: object = {}) => ({
  subject: alice,
  action: { name: 'document:edit' },
  resource: { type: 'document', id },
  ...more,
})

async function recordOf(requestId: string) {
  const page = await eventually(
    async () => (await verdict.ask(`GET /v1/audit?request_id=${requestId}`)).body,
    ({ items }) => items.length > 0,
  )
  expect(page.items).toHaveLength(1)
  return page.items[0]
}

test.each([
  ['an allow', question('plan')],
  ['a deny', question('other', { resource: { type: 'document', id: 'other', properties: { owner: 'bob' } } })],
  ['an error', question('nobodys')],
  [
    'one about Verdict itself',
    question('x', { action: { name: 'pdp:write' }, resource: { type: 'pdp:rule', id: '*' } }),
  ],
])('%s is explained with the decision that authorize gives', async (_title, body) => {
  const decided = await verdict.ask('POST /v1/authorize', { body })
  const explained = await verdict.ask('POST /v1/authorize/explain', { body })
  expect(explained.status).toBe(200)
  const { decision_id: _one, ...context } = explained.body.context
  const { decision_id: _other, ...wanted } = decided.body.context
  expect([explained.body.decision, context]).toEqual([decided.body.decision, wanted])
})

test('an explanation tells the roles, the rules with their values, and the policies', async () => {
  const { body } = await verdict.ask('POST /v1/authorize/explain', { body: question('plan') })
  expect(body.trace).toMatchObject({
    roles: [{ role: 'editor', erred: false, through: [{ path: [alice, { type: 'group', id: 'eng' }] }] }],
    rules: [
      {
        rule: 'roles/editor',
        permission: 0,
        applies: true,
        parts: {
          subject: { outcome: 'holds', by: { role: 'editor' } },
          condition: {
            outcome: 'holds',
            text: OWNER,
            values: [
              { path: 'resource.properties.owner', value: 'alice' },
              { path: 'subject.id', value: 'alice' },
            ],
          },
        },
      },
    ],
    policies: [{ policy: 'roles', verdict: 'allow', rules: ['roles/editor'] }],
    nearest_misses: [],
    complete: true,
  })
})

test('a deny names the rules that would have allowed it, with the part that failed', async () => {
  const resource = { type: 'document', id: 'other', properties: { owner: 'bob' } }
  const { body } = await verdict.ask('POST /v1/authorize/explain', { body: question('other', { resource }) })
  expect(body.trace.nearest_misses).toMatchObject([{ rule: 'roles/editor', failed: 'condition' }])
})

test('an explanation is in the audit once, as what was called and never as a decision', async () => {
  const headers = { 'x-request-id': 'explain-1' }
  const body = question('plan', { context: { ip: '10.0.0.1' } })
  const { body: answer } = await verdict.ask('POST /v1/authorize/explain', { body, headers })
  const record = await recordOf('explain-1')
  expect(record).toMatchObject({
    id: answer.context.decision_id,
    type: 'administration',
    actor: { type: 'service', id: 'admin' },
    subject: { type: 'service', id: 'admin' },
    action: { name: 'pdp:explain' },
    resource: { type: 'pdp:decision', id: '*' },
    decision: true,
    rules: ['pdp/admin.decision'],
    revision: answer.context.revision,
    context: {
      status: 200,
      explained: {
        subject: alice,
        action: { name: 'document:edit' },
        resource: { type: 'document', id: 'plan' },
        context: { ip: '10.0.0.1' },
        decision: true,
        reason: 'allowed_by_rule',
        rules: ['roles/editor'],
        obligations: [],
      },
    },
  })
  const { body: decisions } = await verdict.ask('GET /v1/audit?type=decision&request_id=explain-1')
  expect(decisions.items).toEqual([])
})

test('a decider, who may ask, may not ask why', async () => {
  const key = await verdict.keyWith(['pdp:decider'])
  const headers = { 'x-request-id': 'explain-2' }
  const { status } = await verdict.ask('POST /v1/authorize/explain', { key, headers, body: question('plan') })
  expect(status).toBe(403)
  expect(await recordOf('explain-2')).toMatchObject({
    type: 'administration',
    action: { name: 'pdp:explain' },
    decision: false,
  })
})

test.each(['pdp:policy_admin', 'pdp:auditor', 'pdp:admin'])('%s may ask why', async (role) => {
  const key = await verdict.keyWith([role])
  const { status } = await verdict.ask('POST /v1/authorize/explain', { key, body: question('plan') })
  expect(status).toBe(200)
})

test('a malformed question is refused with its place, as authorize refuses it', async () => {
  const body = { ...question('plan'), subject: { type: 'user', id: 5 } }
  const refused = await verdict.ask('POST /v1/authorize/explain', { body })
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([400, '/subject/id'])
})

test('a revision that does not exist is refused at once', async () => {
  const body = question('plan', { options: { min_revision: 1_000_000 } })
  const { status, body: problem } = await verdict.ask('POST /v1/authorize/explain', { body })
  expect([status, problem.type]).toEqual([400, 'urn:verdict:problem:revision_unknown'])
})

test('explaining counts as no decision in the metrics', async () => {
  const count = async () => {
    const { body } = await verdict.ask('GET /metrics', { key: null })
    return String(body)
      .split('\n')
      .filter((line) => line.startsWith('verdict_decisions_total'))
  }
  const before = await count()
  await verdict.ask('POST /v1/authorize/explain', { body: question('plan') })
  expect(await count()).toEqual(before)
  expect(before.length).toBeGreaterThan(0)
})

test('in a suspended tenant the answer is the deny, and nothing of its policy', async () => {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  const admin = { name: 'admin', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const acting = { key: verdict.rootKey, headers: { 'verdict-tenant': 'acme' } }
  const { body: made } = await verdict.ask('POST /v1/api-keys', { ...acting, body: admin })
  await verdict.ask('PATCH /v1/tenants/acme', { key: verdict.rootKey, body: { status: 'suspended' } })
  const { status, body } = await verdict.ask('POST /v1/authorize/explain', { key: made.key, body: question('plan') })
  expect([status, body.decision, body.context.reason]).toEqual([200, false, 'tenant_suspended'])
  expect(body.trace).toEqual({
    roles: [],
    roles_missed: [],
    rules: [],
    policies: [],
    nearest_misses: [],
    complete: true,
  })
})
