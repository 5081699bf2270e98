import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import { BUILT_IN_ROLES } from '../../src/policy/built-in.ts'
import { eventually, newKey, startService, type TestService } from '../support/service.ts'

let verdict: TestService
const keys = new Map<string, string>()
let stranger: string

beforeAll(async () => {
  verdict = await startService()
  for (const role of BUILT_IN_ROLES) {
    if (role !== 'pdp:operator') keys.set(role, await verdict.keyWith([role]))
  }
  keys.set('pdp:operator', await operatorKey())
  stranger = await strangersKey()
})

afterAll(() => verdict.close())

async function operatorKey(): Promise<string> {
  const body = { name: 'operator', subject: { type: 'service', id: 'operator' }, roles: ['pdp:operator'] }
  return (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body })).body.key
}

/** The admin of another tenant. */
async function strangersKey(): Promise<string> {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  const body = { name: 'admin', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': 'acme' }
  return (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body, headers })).body.key
}

const guarded = ROUTES.filter(({ config }) => config.permission !== 'anyone')
const title = ({ method, url }: Route) => `${method} ${url}`

/** The route with something in the place of each parameter. */
function pathOf({ method, url }: Route, id = randomUUID()): string {
  const path = url.replace(':type', 'user').replace(/:\w+/g, id.slice(0, 36))
  return `${method} ${path}${url === '/v1/entity' ? `?type=user&id=${id}` : ''}`
}

const issuerOf = (issuer: string) => ({ issuer, audiences: ['verdict'], claims: { subject: { type: 'user' } } })

const bodyOf = (route: Route) => (route.schema.body === undefined ? {} : { body: {} })

describe('every guarded route refuses who has no valid credential', () => {
  const tampered = () => `${verdict.adminKey.slice(0, -1)}${verdict.adminKey.endsWith('x') ? 'y' : 'x'}`
  test.each(guarded.map((route) => [title(route), route] as const))('%s', async (_title, route) => {
    for (const key of [null, 'nonsense', newKey(), tampered(), 'eyJhbGciOiJub25lIn0.e30.', '']) {
      const { status, headers, body } = await verdict.ask(pathOf(route), { key, ...bodyOf(route) })
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(body).toMatchObject({ type: 'urn:verdict:problem:unauthenticated', detail: expect.any(String) })
    }
  })
})

// What each built-in role may do, said a second time and in another form than in the code.
const MAY: Record<string, RegExp> = {
  'pdp:decider': /^pdp:decision pdp:decide$|^pdp:quota pdp:refund$/,
  'pdp:entity_writer': /^pdp:entity /,
  'pdp:auditor': /^(pdp:audit|pdp:change) pdp:read$|^pdp:decision pdp:explain$/,
  'pdp:grantor': /^pdp:capability /,
  'pdp:requester': /^pdp:permission_request pdp:(read|write)$/,
  'pdp:approver': /^pdp:permission_request pdp:(read|approve)$/,
  'pdp:context_issuer': /^pdp:context /,
  'pdp:policy_admin':
    /^pdp:(type|policy|role|rule|entity|assignment|capability|permission_request|bundle) |^pdp:quota pdp:(read|write)$|^pdp:change pdp:read$|^pdp:decision pdp:explain$/,
  'pdp:admin': /^pdp:(?!tenant )/,
  'pdp:operator': /^pdp:tenant /,
}

describe('every guarded route refuses who lacks its permission, and lets pass who has it', () => {
  test.each(guarded.map((route) => [title(route), route] as const))('%s', async (_title, route) => {
    const { permission } = route.config
    for (const role of BUILT_IN_ROLES) {
      const key = keys.get(role) ?? ''
      const may = typeof permission === 'string' || MAY[role]?.test(`${permission.type} ${permission.action}`) === true
      const { status, body } = await verdict.ask(pathOf(route), { key, ...bodyOf(route) })
      expect([role, status === 403], JSON.stringify(body)).toEqual([role, !may])
    }
  })
})

test('a refused call leaves one record: of type administration, about the permission, decided false', async () => {
  const key = keys.get('pdp:decider') ?? ''
  const refused = await verdict.ask('GET /v1/rules', { key, headers: { 'x-request-id': 'refused-1' } })
  expect(refused.status).toBe(403)
  const { items } = await eventually(
    async () => (await verdict.ask('GET /v1/audit?request_id=refused-1')).body,
    (page) => page.items.length > 0,
  )
  expect(items).toHaveLength(1)
  expect(items[0]).toMatchObject({
    type: 'administration',
    decision: false,
    action: { name: 'pdp:read' },
    resource: { type: 'pdp:rule' },
    reason: 'no_applicable_rule',
  })
  expect(items[0].subject.id).toBe(items[0].actor.id)
})

test('a right that does not reach this very thing is recorded as refused', async () => {
  const admin = (
    await verdict.ask('POST /v1/api-keys', {
      key: verdict.rootKey,
      body: { name: 'a', subject: { type: 'service', id: 'a' }, roles: ['pdp:admin'] },
    })
  ).body.key
  const refused = await verdict.ask('POST /v1/api-keys', {
    key: admin,
    body: { name: 'b', subject: { type: 'service', id: 'b' }, roles: ['pdp:operator'] },
    headers: { 'x-request-id': 'escalation-1' },
  })
  expect(refused.status).toBe(403)
  const { items } = await eventually(
    async () => (await verdict.ask('GET /v1/audit?request_id=escalation-1', { key: verdict.rootKey })).body,
    (page) => page.items.length > 0,
  )
  expect(items).toMatchObject([{ decision: false, resource: { type: 'pdp:api_key' }, context: { status: 403 } }])
})

test('a read of the audit says what was asked of it', async () => {
  const headers = { 'x-request-id': 'reading-1' }
  await verdict.ask('GET /v1/audit?subject_id=ann&decision=false', { headers })
  const { items } = await eventually(
    async () => (await verdict.ask('GET /v1/audit?request_id=reading-1')).body,
    (page) => page.items.length > 0,
  )
  expect(items).toMatchObject([{ type: 'audit_access', context: { query: { subject_id: 'ann', decision: 'false' } } }])
})

const SESSION = randomUUID()

describe('what belongs to another tenant answers exactly as what does not exist', () => {
  const named = guarded.filter(
    ({ url, config }) => /:(name|id|type)|^\/v1\/entity$/.test(url) && config.permission !== 'caller',
  )

  test.each(named.map((route) => [title(route), route] as const))('%s', async (_title, route) => {
    const own = await existing(route)
    const absent = randomUUID()
    const body = (id: string) =>
      route.schema.body === undefined ? {} : { body: VALID[route.schema.operationId]?.(id) ?? {} }
    const theirs = await verdict.ask(pathTo(route, own), { key: stranger, ...body(own) })
    const nothing = await verdict.ask(pathTo(route, absent), { key: stranger, ...body(absent) })
    expect(theirs.status).toBe(nothing.status)
    expect(normal(theirs.body, own)).toEqual(normal(nothing.body, absent))
  })

  const pathTo = (route: Route, id: string) =>
    `${route.method} ${route.url.replace(':type', 'user').replace(':session', SESSION).replace(/:\w+/g, id)}${route.url === '/v1/entity' ? `?type=user&id=${id}` : ''}`

  const asking = () => ({ actions: ['a'], resources: [{ type: 't' }], duration_seconds: 60, justification: 'j' })
  const VALID: Record<string, (id: string) => object> = {
    refusePermissionRequest: () => ({ reason: 'r' }),
    putIssuer: (id) => issuerOf(`https://${id}.test`),
    putRule: () => ({ effect: 'allow', subjects: [{ any: true }], actions: ['a'], resources: [{ type: 't' }] }),
  }

  // Without what names it and when, since both differ as a matter of course.
  const normal = (body: unknown, id: string) =>
    JSON.parse(
      JSON.stringify(body)
        .replaceAll(id, 'ID')
        .replaceAll(/"[^"]*_at":"[^"]*"|"version":\d+/g, '"":0'),
    )

  async function existing({ url }: Route): Promise<string> {
    const name = `own-${randomUUID().slice(0, 8)}`
    const subject = { type: 'user', id: name }
    if (url.startsWith('/v1/policies')) await made('PUT', `/v1/policies/${name}`, {})
    else if (url.startsWith('/v1/roles')) await made('PUT', `/v1/roles/${name}`, {})
    else if (url.startsWith('/v1/rules')) await made('PUT', `/v1/rules/${name}`, VALID['putRule']?.(name))
    else if (url.startsWith('/v1/issuers')) await made('PUT', `/v1/issuers/${name}`, issuerOf(`https://${name}.test`))
    else if (url.startsWith('/v1/entit')) await made('PUT', `/v1/entities/user/${name}`, {})
    else if (url.startsWith('/v1/api-keys')) return (await made('POST', '/v1/api-keys', { name, subject })).id
    else if (url.startsWith('/v1/contexts')) return (await made('POST', '/v1/contexts', { subject })).id
    else if (url.startsWith('/v1/assignments')) {
      await made('PUT', `/v1/roles/${name}`, {})
      return (await made('POST', '/v1/assignments', { subject, role: name })).id
    } else if (url.startsWith('/v1/capabilities')) {
      const more = { actions: ['a'], resources: [{ type: 't' }], expires_at: '2999-01-01T00:00:00Z' }
      return (await made('POST', '/v1/capabilities', { subject, ...more })).id
    } else if (url.startsWith('/v1/permission-requests')) {
      return (await made('POST', '/v1/permission-requests', asking())).id
    } else if (url.startsWith('/v1/audit')) {
      return (await verdict.ask('GET /v1/audit?limit=1')).body.items[0].id
    }
    return name
  }

  async function made(method: string, path: string, body: unknown) {
    const answer = await verdict.ask(`${method} ${path}`, { body })
    expect(answer.status).toBeLessThan(300)
    return answer.body
  }
})

describe('Verdict-Tenant', () => {
  test.each(guarded.map((route) => [title(route), route] as const))(
    'from no operator is refused: %s',
    async (_t, route) => {
      const headers = { 'verdict-tenant': 'acme' }
      const { status } = await verdict.ask(pathOf(route), { headers, ...bodyOf(route) })
      expect(status).toBe(403)
    },
  )

  const acting = (route: Route) => route.config.acting === true

  test.each(guarded.filter((route) => !acting(route)).map((route) => [title(route), route] as const))(
    'opens nothing but keys, settings and assignments to an operator: %s',
    async (_title, route) => {
      const headers = { 'verdict-tenant': 'acme' }
      const { status } = await verdict.ask(pathOf(route), { key: verdict.rootKey, headers, ...bodyOf(route) })
      expect(status).toBe(403)
    },
  )

  test('lets an operator act in another tenant, recorded in both', async () => {
    const headers = { 'verdict-tenant': 'acme', 'x-request-id': 'acting-1' }
    const body = { name: 'k', subject: { type: 'user', id: 'road' }, roles: ['pdp:auditor'] }
    const created = await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, headers, body })
    expect(created.status).toBe(201)
    for (const key of [stranger, verdict.rootKey]) {
      const page = await eventually(
        async () => (await verdict.ask('GET /v1/audit?request_id=acting-1', { key })).body,
        ({ items }) => items.length > 0,
      )
      expect(page.items).toHaveLength(1)
      expect(page.items[0].actor).toMatchObject({ type: 'service', id: 'root' })
    }
  })

  test('opens to an operator of assignments those of built-in roles, and no others', async () => {
    const headers = { 'verdict-tenant': 'default' }
    const subject = { type: 'user', id: 'ann' }
    await verdict.ask('PUT /v1/roles/hidden', { body: {} })
    await verdict.ask('POST /v1/assignments', { body: { subject, role: 'hidden' } })
    const { body } = await verdict.ask('POST /v1/assignments', { body: { subject, role: 'pdp:auditor' } })
    const listed = await verdict.ask('GET /v1/assignments', { key: verdict.rootKey, headers })
    expect(listed.body.items.map(({ id }: { id: string }) => id)).toEqual([body.id])
    const same = { key: verdict.rootKey, headers, body: { subject, role: 'hidden' } }
    expect((await verdict.ask('POST /v1/assignments', same)).status).toBe(403)
  })

  const recordsOf = (request_id: string, key: string) =>
    eventually(
      async () => (await verdict.ask(`GET /v1/audit?request_id=${request_id}`, { key })).body.items,
      (items) => items.length > 0,
    )

  test('leaves the records of reads and of refusals in both tenants, and says whose operator it was', async () => {
    const body = { subject: { type: 'user', id: 'x' }, role: 'hidden' }
    for (const [route, more, decision] of [
      ['GET /v1/assignments', {}, true],
      ['POST /v1/assignments', { body }, false],
    ] as const) {
      const id = `acting-${decision}`
      const headers = { 'verdict-tenant': 'acme', 'x-request-id': id }
      await verdict.ask(route, { key: verdict.rootKey, headers, ...more })
      const [theirs] = await recordsOf(id, stranger)
      const [ours] = await recordsOf(id, verdict.rootKey)
      expect(theirs).toMatchObject({ tenant: 'acme', decision, actor: { id: 'root', tenant: 'system' } })
      expect(ours).toMatchObject({ tenant: 'system', decision, context: { tenant: 'acme' } })
    }
  })

  test('of a tenant that does not exist is a 404 for an operator, and recorded', async () => {
    const headers = { 'verdict-tenant': 'nobody', 'x-request-id': 'nobody-1' }
    expect((await verdict.ask('GET /v1/settings', { key: verdict.rootKey, headers })).status).toBe(404)
    expect(await recordsOf('nobody-1', verdict.rootKey)).toMatchObject([{ tenant: 'system', context: { status: 404 } }])
  })

  test('of a tenant that does not exist is a 404 for an operator of settings', async () => {
    const { status } = await verdict.ask('GET /v1/settings', {
      key: verdict.rootKey,
      headers: { 'verdict-tenant': 'nobody' },
    })
    expect(status).toBe(404)
  })
})

describe('a suspended tenant', () => {
  test('gets denies from decisions and 403 from everything else, and comes back', async () => {
    const decider = (
      await verdict.ask('POST /v1/api-keys', {
        key: stranger,
        body: { name: 'd', subject: { type: 'service', id: 'd' }, roles: ['pdp:decider'] },
      })
    ).body.key
    const question = { subject: { type: 'u', id: 'a' }, action: { name: 'x' }, resource: { type: 'r', id: '1' } }
    const set = (status: string) => verdict.ask('PATCH /v1/tenants/acme', { key: verdict.rootKey, body: { status } })
    expect((await set('suspended')).status).toBe(200)
    const denied = await verdict.ask('POST /v1/authorize', { key: decider, body: question })
    expect(denied.status).toBe(200)
    expect(denied.body).toMatchObject({ decision: false, context: { reason: 'tenant_suspended' } })
    expect((await verdict.ask('GET /v1/rules', { key: stranger })).status).toBe(403)
    const exchange = { key: null, body: { method: 'api_key', api_key: stranger } }
    expect((await verdict.ask('POST /v1/authenticate', exchange)).status).toBe(401)
    expect((await set('active')).status).toBe(200)
    expect((await verdict.ask('GET /v1/rules', { key: stranger })).status).toBe(200)
  })
})
