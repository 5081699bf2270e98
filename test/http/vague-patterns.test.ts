import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Rule } from '../../src/policy/model.ts'
import { type Reply, startService, type TestService } from '../support/service.ts'

// The second one learns of what the first wrote from the database alone.
let service: TestService
let replica: TestService
beforeAll(async () => {
  service = await startService()
  const { VERDICT_DATA_DIR: _own, ...env } = service.env
  replica = await startService({ database: service.database, env })
  await service.ask('PUT /v1/bundle', { body: { verdict: 1, rules: numbered(990) } })
})
afterAll(async () => {
  await replica.close()
  await service.close()
})

const vague = (name: string, more: Partial<Rule> = {}): Rule => ({
  name,
  effect: 'allow',
  subjects: [{ type: 'user', id: name }],
  actions: ['read'],
  resources: [{ type: 'doc' }, { type: 'doc', id: '*/?b' }],
  ...more,
})

const numbered = (count: number): Rule[] => Array.from({ length: count }, (_, at) => vague(`v${at}`))

/** Tries again where the tenant was busy, as clients do. */
async function put(body: Rule, to = service): Promise<Reply> {
  const answer = await to.ask(`PUT /v1/rules/${body.name}`, { body })
  return answer.status === 503 ? put(body, to) : answer
}

const DETAIL =
  'has no run of 3 plain characters by which it could be found, and 1,000 rules about the type doc and the action read ' +
  'have none already'

test('of writes at once, through several replicas, no more are taken than the limit allows', async () => {
  const writes = Array.from({ length: 24 }, (_, at) => put(vague(`w${at}`), at % 2 === 0 ? service : replica))
  const answers = await Promise.all(writes)
  expect(answers.map(({ status }) => status).sort()).toEqual([...Array(10).fill(201), ...Array(14).fill(422)])
  const refused = answers.find(({ status }) => status === 422)
  expect(refused?.body.errors).toEqual([{ pointer: '/resources/1/id', detail: DETAIL }])
})

test.each<[string, Partial<Rule>]>([
  ['that have a literal', { resources: [{ type: 'doc', id: '*/abc?' }] }],
  ['of one id', { resources: [{ type: 'doc', id: 'ab' }] }],
  ['of every id', { resources: [{ type: 'doc', id: '**' }, { type: 'doc' }] }],
  ['of another type', { resources: [{ type: 'file', id: '*' }] }],
  ['of another action', { actions: ['read*'] }],
  ['that are off', { enabled: false }],
])('rules %s are not counted', async (_which, more) => {
  expect((await put(vague('other', more))).status).toBe(201)
  expect((await service.ask('DELETE /v1/rules/other')).status).toBe(204)
})

test('what is counted may be changed, and what goes makes room', async () => {
  expect((await put(vague('v0', { priority: 1 }))).status).toBe(200)
  expect((await put(vague('one-more'))).status).toBe(422)
  expect((await service.ask('DELETE /v1/rules/v0')).status).toBe(204)
  expect((await put(vague('one-more'), replica)).status).toBe(201)
  expect((await put(vague('v0'))).status).toBe(422)
})

test('permissions of roles count too', async () => {
  const permissions = [
    { actions: ['write'], resources: [{ type: 'doc', id: '?' }] },
    { actions: ['list', 'read'], resources: [{ type: 'doc', id: '?' }] },
  ]
  const { status, body } = await service.ask('PUT /v1/roles/reader', { body: { name: 'reader', permissions } })
  expect(status).toBe(422)
  expect(body.errors).toEqual([{ pointer: '/permissions/1/resources/0/id', detail: DETAIL }])
  const roles = [{ name: 'reader', permissions }]
  const bundle = await service.ask('PUT /v1/bundle?dry_run=true', { body: { verdict: 1, roles } })
  expect(bundle.body.errors).toEqual([{ pointer: '/roles/0/permissions/1/resources/0/id', detail: DETAIL }])
})

test('a bundle with more is refused, also when it is only tried', async () => {
  const body = { verdict: 1, rules: numbered(1002) }
  for (const path of ['/v1/bundle?dry_run=true', '/v1/bundle']) {
    const { status, body: answer } = await service.ask(`PUT ${path}`, { body })
    expect(status).toBe(422)
    expect(answer.errors).toEqual(
      [1000, 1001].map((place) => ({ pointer: `/rules/${place}/resources/1/id`, detail: DETAIL })),
    )
  }
  expect((await service.ask('PUT /v1/bundle', { body: { verdict: 1, rules: numbered(1000) } })).status).toBe(200)
})
