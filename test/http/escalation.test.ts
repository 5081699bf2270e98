import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assemble, type Coalition } from '../../bench/soak/coalition/assemble.ts'
import { play, type Send } from '../../bench/soak/coalition/play.ts'
import { startService, type TestService } from '../support/service.ts'

// The ways to come to a right of Verdict itself that nobody gave. `npm run soak -- coalition` goes on for longer.

let verdict: TestService
let coalition: Coalition
const send: Send = ({ method, path, body, headers }, key) =>
  verdict.ask(`${method} ${path}`, { key, headers, ...(body !== undefined && { body }) })

beforeAll(async () => {
  verdict = await startService()
  coalition = await assemble(send, verdict.adminKey)
})
afterAll(() => verdict.close())

const keyOf = (id: string) => {
  const found = coalition.members.find(({ subject }) => subject.id === id)
  if (found === undefined) throw new Error(`nobody is called ${id}`)
  return found.key
}
const policyAdmin = () => keyOf('policy_admin-by-key')
const entityWriter = () => keyOf('entity_writer-by-assignment')
const me = { type: 'service', id: 'plain' }
const ada = { type: 'user', id: 'ada' }
const ANY = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }

describe('no way leads to a right of Verdict', () => {
  test.each<[string, number, () => string, string, unknown]>([
    ['an assignment to oneself', 403, policyAdmin, 'POST /v1/assignments', { subject: me, role: 'pdp:decider' }],
    [
      'an assignment to a group',
      422,
      () => verdict.adminKey,
      'POST /v1/assignments',
      { subject: me, role: 'pdp:admin', within: ada },
    ],
    [
      'an assignment of what only system has',
      422,
      () => verdict.adminKey,
      'POST /v1/assignments',
      { subject: me, role: 'pdp:operator' },
    ],
    [
      'an assignment of what an operator acts with',
      422,
      () => verdict.adminKey,
      'POST /v1/assignments',
      { subject: me, role: 'pdp:acting_operator' },
    ],
    ['a role that is named like one', 422, policyAdmin, 'PUT /v1/roles/pdp:mine', {}],
    ['a role that inherits one', 422, policyAdmin, 'PUT /v1/roles/heir', { inherits: ['pdp:admin'] }],
    [
      'a role derived from one',
      422,
      policyAdmin,
      'PUT /v1/roles/derived',
      { derived: { from: ['pdp:admin'], condition: 'true' } },
    ],
    [
      'a permission on what is Verdict’s',
      422,
      policyAdmin,
      'PUT /v1/roles/permitted',
      { permissions: [{ actions: ['*'], resources: [{ type: 'pdp:api_key' }] }] },
    ],
    [
      'a permission of an action of Verdict’s',
      422,
      policyAdmin,
      'PUT /v1/roles/permitted',
      { permissions: [{ actions: ['pdp:*'], resources: [{ type: 'x' }] }] },
    ],
    [
      'a rule about what is Verdict’s',
      422,
      policyAdmin,
      'PUT /v1/rules/mine',
      { ...ANY, resources: [{ type: 'pdp:api_key' }] },
    ],
    ['a rule for who holds one', 422, policyAdmin, 'PUT /v1/rules/mine', { ...ANY, subjects: [{ role: 'pdp:admin' }] }],
    ['a rule in the policy pdp', 422, policyAdmin, 'PUT /v1/rules/mine', { ...ANY, policy: 'pdp' }],
    ['a policy that is called pdp', 422, policyAdmin, 'PUT /v1/policies/pdp', {}],
    ['a type that is Verdict’s', 422, policyAdmin, 'PUT /v1/types/pdp:api_key', {}],
    [
      'a bundle that assigns one',
      422,
      policyAdmin,
      'PUT /v1/bundle',
      { verdict: 1, assignments: [{ subject: me, role: 'pdp:admin' }] },
    ],
    [
      'a bundle with settings',
      403,
      policyAdmin,
      'PUT /v1/bundle',
      { verdict: 1, settings: { rules_in_answers: false } },
    ],
    [
      'a bundle that writes who holds one',
      422,
      policyAdmin,
      'PUT /v1/bundle',
      { verdict: 1, entities: [{ ...ada, disabled: true }] },
    ],
    ['an API key', 403, policyAdmin, 'POST /v1/api-keys', { name: 'k', subject: me, roles: ['pdp:admin'] }],
    ['an API key that acts as who holds one', 403, policyAdmin, 'POST /v1/api-keys', { name: 'k', subject: ada }],
    ['the entity of who holds one', 403, entityWriter, 'PUT /v1/entities/user/ada', { parents: [] }],
    ['the same by a query', 403, entityWriter, 'PUT /v1/entity?type=user&id=ada', { parents: [] }],
    ['a group that who holds one is in, deleted', 404, entityWriter, 'DELETE /v1/entities/group/g0', undefined],
    ['a domain role for who holds one', 403, policyAdmin, 'POST /v1/assignments', { subject: ada, role: 'tester' }],
    ['acting in another tenant', 403, policyAdmin, 'GET /v1/settings', undefined],
  ])('%s: %i', async (what, status, key, route, body) => {
    await verdict.ask('PUT /v1/roles/tester', { body: {} })
    const headers = what.startsWith('acting') ? { 'verdict-tenant': 'system' } : {}
    const reply = await verdict.ask(route, { key: key(), headers, ...(body !== undefined && { body }) })
    expect([reply.status, reply.body]).toEqual([status, expect.objectContaining({ status })])
  })

  test('a wildcard that allows everything allows nothing of Verdict’s', async () => {
    await verdict.ask('PUT /v1/rules/everything', { key: policyAdmin(), body: ANY })
    const { status } = await verdict.ask('GET /v1/api-keys', { key: keyOf('plain') })
    expect(status).toBe(403)
    const question = { subject: me, action: { name: 'pdp:read' }, resource: { type: 'pdp:api_key', id: 'x' } }
    expect((await verdict.ask('POST /v1/authorize', { body: question })).body.decision).toBe(false)
    await verdict.ask('DELETE /v1/rules/everything', { key: policyAdmin() })
  })

  test('what an admin’s group, role or scope holds, its members do not', async () => {
    const group = { type: 'group', id: 'admins' }
    expect((await verdict.ask('POST /v1/assignments', { body: { subject: group, role: 'pdp:admin' } })).status).toBe(
      201,
    )
    await verdict.ask('PUT /v1/entities/service/plain', { body: { parents: [group] } })
    expect((await verdict.ask('GET /v1/authenticate/me', { key: keyOf('plain') })).body.roles).toEqual([])
    expect((await verdict.ask('GET /v1/settings', { key: keyOf('plain') })).status).toBe(403)
  })

  test('nor by some hundreds of random calls of a coalition', async () => {
    const { members, oracle, holders } = coalition
    const { statuses, reached } = await play(send, members, oracle, holders, { seed: 20_26, calls: 400, every: 200 })
    expect(reached).toEqual([])
    // What would be refused in any case proves little: a good part of it is done.
    expect((statuses[200] ?? 0) + (statuses[201] ?? 0) + (statuses[204] ?? 0)).toBeGreaterThan(30)
    expect(statuses[500]).toBeUndefined()
  })
})

describe('the last admin of a tenant', () => {
  test('stays, also where two requests at once take one of two each', async () => {
    const { rootKey } = verdict
    for (let round = 0; round < 10; round++) {
      const tenant = `pair-${round}`
      await verdict.ask('POST /v1/tenants', { key: rootKey, body: { id: tenant, name: tenant } })
      const as = { key: rootKey, headers: { 'verdict-tenant': tenant } }
      const given = await Promise.all(
        ['a', 'b'].map((id) =>
          verdict.ask('POST /v1/assignments', { ...as, body: { subject: { type: 'user', id }, role: 'pdp:admin' } }),
        ),
      )
      const taken = await Promise.all(given.map(({ body }) => verdict.ask(`DELETE /v1/assignments/${body.id}`, as)))
      expect(taken.map(({ status }) => status).sort()).toEqual([204, 409])
    }
  })
})

describe('an operator in another tenant', () => {
  test('manages its keys, settings and pdp: assignments, and no route more', async () => {
    const { ROUTES } = await import('../../src/contract/routes.ts')
    const acting = { key: verdict.rootKey, headers: { 'verdict-tenant': 'default' } }
    const open = []
    for (const { method, url, config, schema } of ROUTES) {
      if (config.permission === 'anyone') continue
      const path = url.replace(':type', 'user').replaceAll(/:\w+/g, '01990000-0000-7000-8000-000000000000')
      const route = `${method} ${path}${url === '/v1/entity' ? '?type=user&id=x' : ''}`
      const { status } = await verdict.ask(route, { ...acting, ...(schema.body !== undefined && { body: {} }) })
      if (status !== 403) open.push(`${method} ${url}`)
    }
    const ROOTS = /^\w+ \/v1\/(api-keys|settings|assignments)(\/|$)/
    expect(open.filter((route) => !ROOTS.test(route))).toEqual([])
    expect(open.length).toBeGreaterThanOrEqual(8)
  })
})
