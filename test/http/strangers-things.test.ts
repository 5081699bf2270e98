import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import { type Ask, eventually, type Reply, startService, type TestService } from '../support/service.ts'

// What belongs to another tenant answers exactly as what does not exist: every route that names a thing, asked for one's
// own, another tenant's, and one that nobody has.

type Whose = 'own' | 'other' | 'absent'

interface Things {
  /** The name of every type, policy, role, rule, entity: each tenant's its own. */
  readonly name: string
  readonly api_key: string
  readonly assignment: string
  readonly capability: string
  readonly request: string
  readonly audit: string
  readonly session: string
  /** One that took of the quota. */
  readonly decision: string
  readonly context: string
}

let verdict: TestService
let stranger: string
const things = new Map<string, Things>()

beforeAll(async () => {
  verdict = await startService()
  stranger = await adminOf('acme')
  // For each write a set of things of its own.
  for (const { method, url } of naming.filter(({ method }) => method !== 'GET')) {
    const having = {
      password: url.startsWith('/v1/credentials/'),
      quota: url.startsWith('/v1/quotas/'),
      asksItself: url.endsWith('/withdraw'),
    }
    const make = async (whose: Whose, key: string) => {
      things.set(`${method} ${url} ${whose}`, await makeThings(key, having))
    }
    await Promise.all([make('own', verdict.adminKey), make('other', stranger)])
  }
  things.set('own', await makeThings(verdict.adminKey, { password: true, quota: true }))
  for (const purpose of ['other', 'queried', 'named'])
    things.set(purpose, await makeThings(stranger, { password: purpose === 'other', quota: purpose === 'other' }))
}, 300_000)
afterAll(() => verdict.close())

async function adminOf(tenant: string): Promise<string> {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: tenant, name: tenant } })
  const body = { name: 'admin', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': tenant }
  return (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body, headers })).body.key
}

let made = 0
const newName = () => `thing-${++made}-${randomUUID().slice(0, 8)}`

interface Having {
  readonly password?: boolean
  readonly quota?: boolean
  /** For a permission, so that it can be withdrawn. */
  readonly asksItself?: boolean
}

async function makeThings(key: string, having: Having = {}): Promise<Things> {
  const name = newName()
  const write = async (route: string, body: unknown): Promise<Reply> => {
    const reply = await verdict.ask(route, { key, body })
    expect([route, reply.status, reply.body.detail]).toEqual([route, 201, undefined])
    return reply
  }
  await write(`PUT /v1/types/${name}`, { actions: ['read'] })
  await write(`PUT /v1/policies/${name}`, {})
  await write(`PUT /v1/roles/${name}`, {})
  await write(`PUT /v1/rules/${name}`, RULE)
  await write(`PUT /v1/entities/user/${name}`, {})
  if (having.quota) await write(`PUT /v1/quotas/${name}`, quotaOf(`of-${name}`))
  await write(`PUT /v1/issuers/${name}`, issuerOf(name))
  // Hashing a password takes its time.
  let session: string = randomUUID()
  if (having.password) {
    await write(`PUT /v1/credentials/user/${name}/password`, PASSWORD)
    expect((await verdict.ask(`PUT /v1/credentials/user/${name}/totp`, { key })).status).toBe(200)
    session = await sessionOf(name, key)
  }
  const held = `held-${name}`
  await write(`PUT /v1/roles/${held}`, {})
  const { body: assignment } = await write('POST /v1/assignments', { subject: { type: 'user', id: 'x' }, role: held })
  const { body: capability } = await write('POST /v1/capabilities', capabilityOf(name))
  // Where an approval is to succeed, somebody else has to have asked it.
  const asker = having.asksItself || key === stranger ? key : await requesterKey()
  const { body: request } = await verdict.ask('POST /v1/permission-requests', { key: asker, body: ASKED })
  const subject = { type: 'service', id: 'x' }
  const { body: api_key } = await write('POST /v1/api-keys', { name, subject, roles: ['pdp:auditor'] })
  const { body: context } = await write('POST /v1/contexts', { subject })
  const audit = await auditRecord(key)
  const decision = having.quota ? await decisionAbout(`of-${name}`, key) : randomUUID()
  return {
    name,
    api_key: api_key.id,
    assignment: assignment.id,
    capability: capability.id,
    request: request.id,
    audit,
    session,
    decision,
    context: context.id,
  }
}

async function decisionAbout(type: string, key: string): Promise<string> {
  const body = { subject: { type: 'user', id: 'x' }, action: { name: 'read' }, resource: { type, id: '1' } }
  const { decision, context } = (await verdict.ask('POST /v1/authorize', { key, body })).body
  expect(decision).toBe(true)
  return context.decision_id
}

async function sessionOf(username: string, key: string): Promise<string> {
  const tenant = key === stranger ? 'acme' : 'default'
  const body = { method: 'password', tenant, username, ...PASSWORD }
  const { body: opened } = await verdict.ask('POST /v1/authenticate', { key: null, body })
  return (await verdict.ask('GET /v1/authenticate/me', { key: opened.access_token })).body.session_id
}

const records = new Map<string, string>()
async function auditRecord(key: string): Promise<string> {
  const known = records.get(key)
  if (known !== undefined) return known
  const { body } = await eventually(
    () => verdict.ask('GET /v1/audit?limit=1', { key }),
    ({ body: page }) => page.items.length > 0,
  )
  // Until a checkpoint is over it, there is no proof of it.
  const [{ id }] = body.items
  await eventually(
    () => verdict.ask(`GET /v1/audit/${id}/proof`, { key }),
    ({ status }) => status === 200,
  )
  records.set(key, id)
  return id
}

const RULE = { effect: 'allow', subjects: [{ any: true }], actions: ['read'], resources: [{ type: '*' }] }
const ASKED = { actions: ['a'], resources: [{ type: 't' }], duration_seconds: 60, justification: 'j' }

async function requesterKey(): Promise<string> {
  const body = { name: newName(), subject: { type: 'service', id: newName() }, roles: ['pdp:requester'] }
  const headers = { 'verdict-tenant': 'default' }
  return (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body, headers })).body.key
}
const capabilityOf = (id: string) => ({
  subject: { type: 'user', id: `holder-of-${id}` },
  actions: ['a'],
  resources: [{ type: 't' }],
  expires_at: '2999-01-01T00:00:00Z',
})
const quotaOf = (type: string) => ({
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type }],
  per: 'tenant',
  limit: 10,
  window_seconds: 86_400,
})
const PASSWORD = { password: 'a horse, a battery and a staple' }
const issuerOf = (name: string) => ({
  issuer: `https://${name}.test`,
  audiences: ['verdict'],
  claims: { subject: { type: 'user' } },
})
const ABSENT = (): Things => ({
  name: newName(),
  api_key: randomUUID().replaceAll('-', '').slice(0, 16),
  assignment: randomUUID(),
  capability: randomUUID(),
  request: randomUUID(),
  audit: `${Date.now()
    .toString(16)
    .padStart(12, '0')
    .replace(/(.{8})/, '$1-')}-7000-8000-${randomUUID().slice(24)}`,
  session: randomUUID(),
  decision: '01890000-0000-7000-8000-000000000000',
  context: randomUUID(),
})

/** Tenants are the operators' own things: who is none is refused whatever it names. */
const naming = ROUTES.filter(({ url, config }) => /:|^\/v1\/entity$/.test(url) && config.permission !== 'anyone')

const BODIES: Readonly<Record<string, unknown>> = {
  putType: {},
  putPolicy: {},
  putRole: {},
  putRule: RULE,
  putQuota: quotaOf('t'),
  refundQuota: ({ decision }: Things) => ({ decision_id: decision }),
  putEntity: {},
  putEntityByQuery: {},
  patchTenant: { name: 'x' },
  rotateApiKey: {},
  approvePermissionRequest: {},
  refusePermissionRequest: { reason: 'r' },
  putIssuer: issuerOf('corp'),
  putPassword: PASSWORD,
  deletePassword: {},
  putTotp: {},
  deleteTotp: {},
}

function pathOf({ method, url }: Route, which: Things): string {
  const id = {
    '/v1/api-keys': which.api_key,
    '/v1/assignments': which.assignment,
    '/v1/capabilities': which.capability,
    '/v1/permission-requests': which.request,
    '/v1/audit': which.audit,
    '/v1/contexts': which.context,
  }
  const path = url
    .replace(':name', which.name)
    .replace(':tenant', which.name)
    .replace(':type/:id', `user/${which.name}`)
    .replace(':session', which.session)
    .replace(/^(\/v1\/[a-z-]+)\/:id/, (_, root: keyof typeof id) => `${root}/${id[root]}`)
  return `${method} ${path}${url === '/v1/entity' ? `?type=user&id=${which.name}` : ''}`
}

function which(route: Route, whose: Whose): Things {
  if (whose === 'absent') return ABSENT()
  return thingsFor(`${route.method} ${route.url} ${whose}`, whose)
}

function thingsFor(purpose: string, otherwise = purpose): Things {
  const found = things.get(purpose) ?? things.get(otherwise)
  if (found === undefined) throw new Error('made before the tests')
  return found
}

/** All that an answer tells, but for what the caller itself has sent and what differs from call to call. */
async function told(route: string, ask: Ask, sent: Things): Promise<unknown> {
  const { status, headers, body } = await verdict.ask(route, ask)
  const text = Object.values(sent).reduce<string>(
    (rest, said) => rest.replaceAll(said, '<sent>'),
    JSON.stringify({ status, headers: [...headers].filter(([name]) => !PER_CALL.has(name)), body }),
  )
  return JSON.parse(
    text.replaceAll(/"\d{4}-\d\d-\d\dT[^"]*"/g, '"<instant>"').replaceAll(/"version":\d+/g, '"version":0'),
  )
}
const PER_CALL = new Set([
  'date',
  'x-request-id',
  'x-decision-id',
  'etag',
  'verdict-revision',
  'content-length',
  'ratelimit-remaining',
  'ratelimit-reset',
])

describe('a thing of another tenant answers as one that does not exist', () => {
  test('and this test knows what to send to every route that names one', () => {
    expect(naming.length).toBeGreaterThan(20)
    const known = new Set(Object.keys(BODIES))
    const unknown = naming.filter(({ schema }) => schema.body !== undefined && !known.has(schema.operationId))
    expect(unknown.map(({ method, url }) => `${method} ${url}`)).toEqual([])
  })

  test.each(naming.map((route) => [`${route.method} ${route.url}`, route] as const))('%s', async (_title, route) => {
    const body = BODIES[route.schema.operationId]
    const askOf = (sent: Things) => {
      if (body === undefined) return {}
      return { body: typeof body === 'function' ? body(sent) : body }
    }
    const [own, other, absent] = (['own', 'other', 'absent'] as const).map((whose) => which(route, whose))
    if (own === undefined || other === undefined || absent === undefined) throw new Error('there are three')
    const first = await verdict.ask(pathOf(route, own), askOf(own))
    expect(first.status).toBe(route.url.startsWith('/v1/tenants') ? 403 : first.status < 300 ? first.status : 200)
    expect(await told(pathOf(route, other), askOf(other), other)).toEqual(
      await told(pathOf(route, absent), askOf(absent), absent),
    )
  })

  test('and what the other tenant has is still there', async () => {
    const { name, api_key } = thingsFor('other')
    for (const path of [
      `types/${name}`,
      `policies/${name}`,
      `roles/${name}`,
      `rules/${name}`,
      `quotas/${name}`,
      `entities/user/${name}`,
    ])
      expect((await verdict.ask(`GET /v1/${path}`, { key: stranger })).status).toBe(200)
    const { body } = await verdict.ask('GET /v1/api-keys?limit=1000', { key: stranger })
    expect(body.items.map(({ id }: { id: string }) => id)).toContain(api_key)
  })

  const queries = (name: string, { audit }: Things) => [
    `GET /v1/entities?type=${name}`,
    ...['policy', 'role', 'resource_type', 'action'].map((member) => `GET /v1/rules?${member}=${name}`),
    ...['subject_type', 'subject_id', 'role'].map((member) => `GET /v1/assignments?${member}=${name}`),
    ...['subject_type', 'subject_id', 'granted_by_id'].map((member) => `GET /v1/capabilities?${member}=${name}`),
    ...['subject_type', 'subject_id'].map((member) => `GET /v1/permission-requests?${member}=${name}`),
    ...['actor', 'subject_id', 'resource_id', 'rule', 'action', 'request_id'].flatMap((member) => [
      `GET /v1/audit?from=2020-01-01T00:00:00Z&${member}=${name}`,
      `GET /v1/audit/export?from=2020-01-01T00:00:00Z&${member}=${name}`,
    ]),
    `GET /v1/audit/${audit}`,
  ]
  test.each(queries('', ABSENT()).map((query, place) => [query.replace(/=$|\/[0-9a-f-]+$/, ''), place] as const))(
    'named in a query: %s',
    async (_title, place) => {
      const [other, absent] = [thingsFor('queried'), ABSENT()]
      const answer = async (sent: Things) => told(queries(sent.name, sent)[place] ?? '', {}, sent)
      // An export also tells how far it has come, which is further each time.
      const moving = /cursor\\*":\\*"[\w-]+|position\\*":\d+/g
      const bare = (value: unknown) => JSON.stringify(value).replaceAll(moving, '')
      expect(bare(await answer(other))).toBe(bare(await answer(absent)))
    },
  )

  const documents: readonly (readonly [string, string, (name: string, sent: Things) => unknown])[] = [
    ['a role that inherits', 'POST /v1/roles', (name) => ({ name: `r${newName()}`, inherits: [name] })],
    [
      'a role derived',
      'POST /v1/roles',
      (name) => ({ name: `r${newName()}`, derived: { from: [name], condition: 'true' } }),
    ],
    ['a rule for a role', 'POST /v1/rules', (name) => ({ ...RULE, name: `r${newName()}`, subjects: [{ role: name }] })],
    ['a rule in a policy', 'POST /v1/rules', (name) => ({ ...RULE, name: `r${newName()}`, policy: name })],
    ['an assignment', 'POST /v1/assignments', (name) => ({ subject: { type: 'user', id: 'y' }, role: name })],
    ['a capability', 'POST /v1/capabilities', (name, { capability }) => ({ ...capabilityOf(name), from: capability })],
    ['a bundle', 'PUT /v1/bundle', (name) => ({ verdict: 1, roles: [{ name: `r${newName()}`, inherits: [name] }] })],
    [
      'a decision',
      'POST /v1/authorize',
      (id) => ({ subject: { type: 'user', id }, action: { name: 'x' }, resource: { type: id, id } }),
    ],
    [
      'a record to be masked',
      'POST /v1/mask',
      (id) => ({ subject: { type: 'user', id }, action: { name: 'x' }, resource: { type: id, id }, record: { id } }),
    ],
    [
      'an operation',
      'POST /v1/authorize/operation',
      (id) => ({ subject: { type: 'user', id }, permissions: [{ kind: id, target: id }] }),
    ],
    [
      'operations',
      'PUT /v1/settings',
      (name) => ({ operations: { k: { action: 'no-such', resource_type: name, normalize: 'path' } } }),
    ],
    [
      'a search for subjects',
      'POST /access/v1/search/subject',
      (id) => ({ subject: { type: 'user' }, action: { name: 'x' }, resource: { type: id, id } }),
    ],
    [
      'a search for resources',
      'POST /access/v1/search/resource',
      (id) => ({ subject: { type: 'user', id }, action: { name: 'x' }, resource: { type: id } }),
    ],
    [
      'a search for actions',
      'POST /access/v1/search/action',
      (id) => ({ subject: { type: 'user', id }, resource: { type: id, id } }),
    ],
  ]
  test.each(documents)('named in a body: %s', async (_title, route, body) => {
    const [other, absent] = [thingsFor('named'), ABSENT()]
    const random = (value: unknown) => JSON.stringify(value).replaceAll(/rthing-[0-9a-f-]+|"decision_id":"[^"]*"/g, '')
    const answers = [other, absent].map(async (sent) =>
      random(await told(route, { body: body(sent.name, sent) }, sent)),
    )
    expect(await answers[0]).toBe(await answers[1])
  })

  test.each(['acme', 'no-such-tenant'])('acting in %s is refused alike to who is no operator', async (tenant) => {
    const { status, body } = await verdict.ask('GET /v1/settings', { headers: { 'verdict-tenant': tenant } })
    expect([status, body.detail]).toEqual([403, expect.not.stringContaining(tenant)])
  })
})
