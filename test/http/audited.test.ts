import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import { type Ask, eventually, type Reply, startService, type TestService } from '../support/service.ts'

// Every route of the contract is called so that it succeeds, is refused and fails; each call leaves one record.

let verdict: TestService
const keys = new Map<string, string>()

beforeAll(async () => {
  verdict = await startService()
  keys.set('pdp:decider', await verdict.keyWith(['pdp:decider']))
  keys.set('pdp:auditor', await verdict.keyWith(['pdp:auditor']))
  const { body } = await verdict.ask('POST /v1/api-keys', {
    key: verdict.rootKey,
    headers: { 'verdict-tenant': 'default' },
    body: { ...apiKey(), roles: ['pdp:requester'] },
  })
  keys.set('pdp:requester', body.key)
})
afterAll(() => verdict.close())

const audited = ROUTES.filter(({ config }) => config.unaudited !== true && config.permission !== 'anyone')
const title = ({ method, url }: Route) => `${method} ${url}`
const titled = (routes: readonly Route[]) => routes.map((route) => [title(route), route] as const)

interface Call extends Ask {
  readonly path: string
}

/** How a route succeeds, where a call of its bare path does not. What it needs to be there is made first. */
const CALLS: Readonly<Record<string, () => Promise<Call>>> = {
  authorize: async () => ({ path: '/v1/authorize', body: QUESTION }),
  authorizeBatch: async () => ({ path: '/v1/authorize/batch', body: QUESTION_IN_BATCH }),
  accessEvaluation: async () => ({ path: '/access/v1/evaluation', body: QUESTION }),
  accessEvaluations: async () => ({ path: '/access/v1/evaluations', body: QUESTION_IN_BATCH }),
  accessSubjectSearch: async () => ({
    path: '/access/v1/search/subject',
    body: { ...QUESTION, subject: { type: 'user' } },
  }),
  accessResourceSearch: async () => ({
    path: '/access/v1/search/resource',
    body: { ...QUESTION, resource: { type: 'r' } },
  }),
  accessActionSearch: async () => ({ path: '/access/v1/search/action', body: QUESTION }),
  authorizeOperation: async () => ({
    path: '/v1/authorize/operation',
    body: { subject: QUESTION.subject, permissions: [{ kind: 'k', target: 't' }] },
  }),
  maskRecord: async () => ({ path: '/v1/mask', body: { ...QUESTION, record: {} } }),
  createContext: async () => ({ path: '/v1/contexts', body: CONTEXT }),
  attenuateContext: async () => ({ path: '/v1/contexts/attenuate', body: { token: (await context()).token } }),
  receiveContext: async () => ({ path: '/v1/contexts/receive', body: { token: (await context()).token } }),
  getContext: async () => ({ path: `/v1/contexts/${(await context()).id}` }),
  deleteContext: async () => ({ path: `/v1/contexts/${(await context()).id}` }),
  explain: async () => ({ path: '/v1/authorize/explain', body: QUESTION }),
  revoke: async () => ({ path: '/v1/authenticate/revoke', key: await accessToken() }),
  getType: async () => ({ path: await put('/v1/types/', {}) }),
  putType: async () => ({ path: `/v1/types/${name()}`, body: {} }),
  deleteType: async () => ({ path: await put('/v1/types/', {}) }),
  getPolicy: async () => ({ path: await put('/v1/policies/', {}) }),
  putPolicy: async () => ({ path: `/v1/policies/${name()}`, body: {} }),
  deletePolicy: async () => ({ path: await put('/v1/policies/', {}) }),
  createRole: async () => ({ path: '/v1/roles', body: { name: name() } }),
  getRole: async () => ({ path: await put('/v1/roles/', {}) }),
  putRole: async () => ({ path: `/v1/roles/${name()}`, body: {} }),
  deleteRole: async () => ({ path: await put('/v1/roles/', {}) }),
  listRoleMembers: async () => ({ path: `${await put('/v1/roles/', {})}/members` }),
  createRule: async () => ({ path: '/v1/rules', body: { ...RULE, name: name() } }),
  getRule: async () => ({ path: await put('/v1/rules/', RULE) }),
  putRule: async () => ({ path: `/v1/rules/${name()}`, body: RULE }),
  deleteRule: async () => ({ path: await put('/v1/rules/', RULE) }),
  getQuota: async () => ({ path: await put('/v1/quotas/', QUOTA) }),
  putQuota: async () => ({ path: `/v1/quotas/${name()}`, body: QUOTA }),
  deleteQuota: async () => ({ path: await put('/v1/quotas/', QUOTA) }),
  getQuotaUsage: async () => ({ path: `${await put('/v1/quotas/', QUOTA)}/usage` }),
  refundQuota: async () => refund(),
  getEntity: async () => ({ path: await put('/v1/entities/user/', {}) }),
  putEntity: async () => ({ path: `/v1/entities/user/${name()}`, body: {} }),
  deleteEntity: async () => ({ path: await put('/v1/entities/user/', {}) }),
  getEntityByQuery: async () => ({ path: await put('/v1/entity?type=user&id=', {}) }),
  putEntityByQuery: async () => ({ path: `/v1/entity?type=user&id=${name()}`, body: {} }),
  deleteEntityByQuery: async () => ({ path: await put('/v1/entity?type=user&id=', {}) }),
  putEntities: async () => ({
    path: '/v1/entities/bulk',
    body: `${JSON.stringify({ type: 'user', id: name() })}\n`,
    headers: { 'content-type': 'application/x-ndjson' },
  }),
  createAssignment: async () => ({ path: '/v1/assignments', body: await assignment() }),
  deleteAssignment: async () => ({ path: `/v1/assignments/${(await made('/v1/assignments', await assignment())).id}` }),
  createCapability: async () => ({ path: '/v1/capabilities', body: capability() }),
  getCapability: async () => ({ path: `/v1/capabilities/${(await made('/v1/capabilities', capability())).id}` }),
  deleteCapability: async () => ({ path: `/v1/capabilities/${(await made('/v1/capabilities', capability())).id}` }),
  createPermissionRequest: async () => ({ path: '/v1/permission-requests', body: permission() }),
  getPermissionRequest: async () => ({ path: `/v1/permission-requests/${await request()}` }),
  approvePermissionRequest: async () => ({ path: `/v1/permission-requests/${await request()}/approve`, body: {} }),
  refusePermissionRequest: async () => ({
    path: `/v1/permission-requests/${await request()}/refuse`,
    body: { reason: 'r' },
  }),
  withdrawPermissionRequest: async () => ({
    path: `/v1/permission-requests/${await request(verdict.adminKey)}/withdraw`,
  }),
  applyBundle: async () => ({ path: '/v1/bundle', body: { verdict: 1, types: [{ name: name() }] } }),
  putSettings: async () => ({ path: '/v1/settings', body: { rules_in_answers: false } }),
  createApiKey: async () => ({ path: '/v1/api-keys', body: apiKey() }),
  rotateApiKey: async () => ({ path: `/v1/api-keys/${(await made('/v1/api-keys', apiKey())).id}/rotate`, body: {} }),
  deleteApiKey: async () => ({ path: `/v1/api-keys/${(await made('/v1/api-keys', apiKey())).id}` }),
  getIssuer: async () => ({ path: await issuer() }),
  putIssuer: async () => ({ path: `/v1/issuers/${name()}`, body: issuerOf() }),
  deleteIssuer: async () => ({ path: await issuer() }),
  putPassword: async () => ({ path: `/v1/credentials/user/${name()}/password`, body: { password: PASSWORD } }),
  deletePassword: async () => ({ path: await password() }),
  putTotp: async () => ({ path: (await password()).replace('password', 'totp') }),
  deleteTotp: async () => ({ path: await totp() }),
  getCredentials: async () => ({ path: `/v1/credentials/user/${name()}` }),
  listSessions: async () => ({ path: `/v1/credentials/user/${name()}/sessions` }),
  deleteSession: async () => ({ path: await session() }),
  deleteSessions: async () => ({ path: `/v1/credentials/user/${name()}/sessions` }),
  getAuditProof: async () => ({ path: await proof() }),
  getAuditConsistency: async () => ({ path: `/v1/audit/checkpoints/consistency?${await sizes()}` }),
  createTenant: async () => ({ path: '/v1/tenants', body: { id: name(), name: 'T' } }),
  getTenant: async () => ({ path: await tenant() }),
  patchTenant: async () => ({ path: await tenant(), body: { name: 'Other' } }),
  deleteTenant: async () => ({ path: await tenant() }),
}

const QUESTION = { subject: { type: 'user', id: 'a' }, action: { name: 'x' }, resource: { type: 'r', id: '1' } }
const QUESTION_IN_BATCH = { ...QUESTION, evaluations: [{}] }
const CONTEXT = { subject: { type: 'user', id: 'a' } }
const context = () => made('/v1/contexts', CONTEXT)
const RULE = { effect: 'allow', subjects: [{ any: true }], actions: ['a'], resources: [{ type: 't' }] }
const QUOTA = {
  subjects: [{ any: true }],
  actions: ['a'],
  resources: [{ type: 't' }],
  per: 'tenant',
  limit: 1e9,
  window_seconds: 86_400,
}

/** Of a decision that took something, and is in the database by now. */
async function refund(): Promise<Call> {
  await put('/v1/rules/', RULE)
  const path = await put('/v1/quotas/', QUOTA)
  const body = { subject: { type: 'user', id: 'a' }, action: { name: 'a' }, resource: { type: 't', id: '1' } }
  const { decision_id } = (await verdict.ask('POST /v1/authorize', { body })).body.context
  await eventually(
    () => verdict.ask(`GET /v1/audit/${decision_id}`),
    ({ status }) => status === 200,
  )
  return { path: `${path}/refund`, body: { decision_id } }
}

const name = () => `n-${randomUUID().slice(0, 13)}`
const capability = () => ({
  subject: { type: 'user', id: name() },
  actions: ['a'],
  resources: [{ type: 't' }],
  expires_at: '2999-01-01T00:00:00Z',
})
const permission = () => ({ actions: ['a'], resources: [{ type: 't' }], duration_seconds: 60, justification: 'j' })

/** One that the admin may decide: asked by a key that it has not made. */
async function request(key = keys.get('pdp:requester') ?? ''): Promise<string> {
  return (await made('/v1/permission-requests', permission(), key)).id
}

const apiKey = () => ({ name: 'k', subject: { type: 'user', id: name() } })

const PASSWORD = 'a horse, a battery and a staple'

async function password(): Promise<string> {
  const path = `/v1/credentials/user/${name()}/password`
  expect((await verdict.ask(`PUT ${path}`, { body: { password: PASSWORD } })).status).toBe(201)
  return path
}

async function totp(): Promise<string> {
  const path = (await password()).replace('password', 'totp')
  expect((await verdict.ask(`PUT ${path}`)).status).toBe(200)
  return path
}

async function session(): Promise<string> {
  const path = await password()
  const username = path.split('/').at(-2)
  const body = { method: 'password', tenant: 'default', username, password: PASSWORD }
  const { body: opened } = await verdict.ask('POST /v1/authenticate', { key: null, body })
  const me = await verdict.ask('GET /v1/authenticate/me', { key: opened.access_token })
  return path.replace('password', `sessions/${me.body.session_id}`)
}

async function accessToken(): Promise<string> {
  const body = { method: 'api_key', api_key: verdict.adminKey }
  return (await verdict.ask('POST /v1/authenticate', { key: null, body })).body.access_token
}

const issuerOf = () => ({
  issuer: `https://${name()}.test`,
  audiences: ['verdict'],
  claims: { subject: { type: 'user' } },
})
const issuer = () => put('/v1/issuers/', issuerOf())

async function made(path: string, body: unknown, key = verdict.adminKey): Promise<Reply['body']> {
  const answer = await verdict.ask(`POST ${path}`, { body, key })
  expect(answer.status).toBe(201)
  return answer.body
}

async function put(prefix: string, body: unknown): Promise<string> {
  const path = prefix + name()
  expect((await verdict.ask(`PUT ${path}`, { body })).status).toBe(201)
  return path
}

async function assignment() {
  const role = (await put('/v1/roles/', {})).split('/').at(-1)
  return { subject: { type: 'user', id: name() }, role }
}

async function tenant(): Promise<string> {
  return `/v1/tenants/${(await made('/v1/tenants', { id: name(), name: 'T' }, verdict.rootKey)).id}`
}

/** Of a record that a checkpoint covers by now. */
async function proof(): Promise<string> {
  const { items } = (await verdict.ask('GET /v1/audit?limit=1')).body
  const path = `/v1/audit/${items[0].id}/proof`
  await eventually(
    () => verdict.ask(`GET ${path}`),
    ({ status }) => status === 200,
  )
  return path
}

async function sizes(): Promise<string> {
  const { body } = await eventually(
    () => verdict.ask('GET /v1/audit/checkpoints?limit=1'),
    (answer) => answer.body.items.length > 0,
  )
  const [{ writer, size }] = body.items
  return new URLSearchParams({ writer, from_size: '1', to_size: String(size) }).toString()
}

async function successOf({ method, url, schema }: Route): Promise<Call> {
  const call = CALLS[schema.operationId]
  if (call !== undefined) return call()
  if (method === 'GET' && url.startsWith('/v1/audit/:id')) {
    const { items } = (await verdict.ask('GET /v1/audit?limit=1')).body
    return { path: url.replace(':id', items[0].id) }
  }
  if (method === 'GET' && !url.includes(':')) return { path: url }
  throw new Error(`say in CALLS how ${method} ${url} succeeds`)
}

const isOperators = ({ config }: Route) =>
  typeof config.permission === 'object' && config.permission.type === 'pdp:tenant'
const keyOf = (route: Route) => (isOperators(route) ? verdict.rootKey : verdict.adminKey)

/** The records of a request, all that there are: what was recorded after it is there already. */
async function recordsOf(requestId: string): Promise<Reply['body'][]> {
  const last = randomUUID()
  await verdict.ask('GET /v1/authenticate/me', { headers: { 'x-request-id': last } })
  const find = async (id: string) => {
    const { rows } = await sql<{ text: string }>`
      select convert_from(record, 'UTF8') as text from audit where request_id = ${id}`.execute(verdict.database.db)
    return rows.map(({ text }) => JSON.parse(text))
  }
  await eventually(
    () => find(last),
    (found) => found.length > 0,
  )
  return find(requestId)
}

async function called(route: Route, { path, headers = {}, ...more }: Call) {
  const id = randomUUID()
  const answer = await verdict.ask(`${route.method} ${path}`, {
    key: keyOf(route),
    ...more,
    headers: { ...headers, 'x-request-id': id },
  })
  return { answer, records: await recordsOf(id) }
}

function typeOf({ config: { permission }, schema }: Route): string {
  if (schema.operationId === 'revoke') return 'authentication'
  if (typeof permission === 'string') return 'administration'
  if (permission.type === 'pdp:audit') return 'audit_access'
  return permission.action === 'pdp:decide' ? 'decision' : 'administration'
}

describe('a call that succeeds leaves one record', () => {
  test.each(titled(audited))('%s', async (_title, route) => {
    const { answer, records } = await called(route, await successOf(route))
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
    expect(records).toHaveLength(1)
    expect(records[0]).toMatchObject({
      type: typeOf(route),
      actor: { type: 'service', id: isOperators(route) ? 'root' : 'admin' },
      ip: '127.0.0.1',
      ...(typeOf(route) !== 'decision' && { decision: true }),
    })
  })
})

describe('a call that the guard refuses leaves one record, with the caller as its subject', () => {
  const guarded = audited.filter(({ config }) => config.permission !== 'caller')

  test.each(titled(guarded))('%s', async (_title, route) => {
    const { permission } = route.config
    const isDeciders = typeof permission === 'object' && /^pdp:(decide|refund)$/.test(permission.action)
    const key = keys.get(isDeciders ? 'pdp:auditor' : 'pdp:decider') ?? ''
    const { answer, records } = await called(route, { ...(await successOf(route)), key })
    expect(answer.status).toBe(403)
    expect(records).toHaveLength(1)
    const [{ actor, subject, ...record }] = records
    expect([actor.type, actor.id]).toEqual([subject.type, subject.id])
    expect(record).toMatchObject({
      type: 'administration',
      decision: false,
      action: { name: typeof permission === 'object' ? permission.action : '' },
      resource: { type: typeof permission === 'object' ? permission.type : '' },
      context: { status: 403 },
    })
  })
})

describe('a call that fails leaves one record, with its status', () => {
  const failing = audited.filter(({ url, config, schema }) => {
    return (
      'querystring' in schema || 'consumes' in schema || 'body' in schema || url.includes(':') || config.acting === true
    )
  })

  test('only a call that takes nothing cannot fail', () => {
    const others = audited.filter((route) => !failing.includes(route))
    expect(others.filter(({ config }) => config.permission !== 'caller').map(title)).toEqual([])
  })

  test.each(titled(failing))('%s', async (_title, route) => {
    const { answer, records } = await called(route, failureOf(route))
    expect([400, 404, 422]).toContain(answer.status)
    expect(records).toMatchObject([{ decision: true, context: { status: answer.status } }])
  })

  function failureOf({ url, config, schema }: Route): Call {
    const path = url.replace(/:\w+/g, () => randomUUID())
    if (schema.operationId === 'putEntities') return { path, ...NO_LINES }
    // Who has no session has none left.
    if (schema.operationId === 'deleteSessions' || schema.operationId === 'getCredentials')
      return { path: path.replace('credentials/', 'credentials/%01') }
    if ('querystring' in schema) return { path: `${path}?nonsense=1`, ...('body' in schema && { body: {} }) }
    if ('body' in schema) return { path, body: { nonsense: 1 } }
    if (url.includes(':')) return { path }
    // Nothing of it can be wrong but whose tenant it is to be in.
    return { path, key: verdict.rootKey, headers: { 'verdict-tenant': config.acting === true ? 'nobody' : '' } }
  }

  const NO_LINES = { body: 'nonsense\n', headers: { 'content-type': 'application/x-ndjson' } }
})

describe('a call for a token leaves one record', () => {
  const authenticate = ROUTES.find(({ schema }) => schema.operationId === 'authenticate')
  test.each([
    [
      'that is given',
      () => verdict.adminKey,
      200,
      { decision: true, tenant: 'default', context: { method: 'api_key' } },
    ],
    ['that is refused', () => `${verdict.adminKey}x`, 401, { decision: false, reason: 'invalid_credential' }],
    ['that is malformed', () => 7, 400, { decision: false, reason: 'invalid_request', context: { status: 400 } }],
  ])('%s', async (_title, api_key, status, wanted) => {
    if (authenticate === undefined) throw new Error('there is no such route')
    const body = { method: 'api_key', api_key: api_key() }
    const { answer, records } = await called(authenticate, { path: authenticate.url, key: null, body })
    expect(answer.status).toBe(status)
    expect(records).toMatchObject([{ type: 'authentication', ...wanted }])
  })
})

test('the documentation lists exactly the routes that leave no record', () => {
  const text = readFileSync(new URL('../../docs/audit-events.md', import.meta.url), 'utf8')
  const [, section = ''] = /## What is not recorded\n([\s\S]*?)(?=\n## |$)/.exec(text) ?? []
  const listed = [...section.matchAll(/^\| (GET|POST|PUT|PATCH|DELETE) `([^`]+)`/gm)].map(
    ([, method, url]) => `${method} ${url}`,
  )
  const unaudited = ROUTES.filter(({ config }) => config.unaudited === true)
  expect(listed.sort()).toEqual(unaudited.map(title).sort())
  expect(unaudited.filter(({ config }) => config.permission !== 'anyone').map(title)).toEqual([])
})

test('of the routes that leave no record, a call leaves none', async () => {
  for (const route of ROUTES.filter(({ config }) => config.unaudited === true)) {
    const { answer, records } = await called(route, { path: route.url.replace(':tenant', 'acme'), key: null })
    expect([title(route), answer.status, records]).toEqual([title(route), 200, []])
  }
})

test('every open route that is recorded says so by itself', () => {
  const open = ROUTES.filter(({ config }) => config.permission === 'anyone' && config.unaudited !== true)
  expect(open.map(title)).toEqual(['POST /v1/authenticate'])
})
