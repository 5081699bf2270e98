import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { freshDatabase } from '../support/database.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService

interface Case {
  readonly name: string
  readonly request: {
    readonly subject: { readonly type: string; readonly id: string }
    readonly action: { readonly name: string }
    readonly resource: { readonly type: string; readonly id: string }
  }
  readonly want: { readonly decision: boolean; readonly reason: string; readonly rules: readonly string[] }
}

const preset = (file: string) => readFileSync(new URL(`../../presets/${file}`, import.meta.url), 'utf8')
const bundle = parse(preset('os-operations.yaml'))
const cases: readonly Case[] = parse(preset('os-operations.cases.yaml')).cases

beforeAll(async () => {
  verdict = await startService()
  const applied = await verdict.ask('PUT /v1/bundle', { body: bundle })
  expect([applied.status, applied.body.errors]).toEqual([200, undefined])
})
afterAll(() => verdict.close())

const user = (id: string) => ({ type: 'user', id })
const ask = (body: unknown, more = {}) => verdict.ask('POST /v1/authorize/operation', { body, ...more })
const needs = (id: string, ...permissions: readonly (readonly [kind: string, target: string])[]) =>
  ask({ subject: user(id), permissions: permissions.map(([kind, target]) => ({ kind, target })) })

async function recordsOf(requestId: string, count: number) {
  const { items } = await eventually(
    async () => (await verdict.ask(`GET /v1/audit?request_id=${requestId}&order=asc`)).body,
    (page) => page.items.length >= count,
  )
  expect(items).toHaveLength(count)
  return items
}

describe('the eleven cases of ADR-030, by their names', () => {
  const named = [
    'ACL allows a read',
    'ACL denies a read',
    'ACL glob allows a write',
    'RBAC admin allowed',
    'RBAC reader denied a write',
    'no role denied',
    'hierarchy',
    'several policies must all pass',
    'a violation is reported as an error',
    'spawning denied by ACL',
    'connecting allowed by policy',
  ]

  test.each(named)('%s', async (name) => {
    const found = cases.find((one) => one.name === name)
    if (found === undefined) throw new Error(`there is no case ${name}`)
    const { request, want } = found
    const { status, body } = await ask({
      subject: request.subject,
      permissions: [{ kind: request.action.name, target: request.resource.id }],
    })
    expect(status).toBe(200)
    expect([body.decision, body.context.reason]).toEqual([want.decision, want.reason])
    const [permission] = body.permissions
    expect(permission).toMatchObject({ resource: request.resource, decision: want.decision })
    expect([permission.context.reason, permission.context.rules]).toEqual([want.reason, want.rules])
  })
})

describe('an operation of several permissions', () => {
  const copy = (id: string) =>
    needs(id, ['filesystem.read', '/srv/public/logo.svg'], ['filesystem.write', '/srv/project/logo.svg'])

  test('needs all of them', async () => {
    const allowed = (await copy('alice')).body
    expect([allowed.decision, allowed.context.reason]).toEqual([true, 'allowed_by_rule'])
    const denied = (await copy('bob')).body
    expect([denied.decision, denied.context.reason]).toEqual([false, 'required_policy_not_satisfied'])
    expect(denied.permissions.map((each: { decision: boolean }) => each.decision)).toEqual([true, false])
    expect(denied.context.decision_id).toBe(denied.permissions[1].context.decision_id)
  })

  test('has each of them in the audit, in one batch, as it was asked', async () => {
    const permissions = [
      { kind: 'filesystem.read', target: '/srv/public/../project//plan.txt', properties: { size: 3 } },
      { kind: 'filesystem.mount', target: '/srv/project' },
      { kind: 'filesystem.write', target: 'plan.txt' },
    ]
    const headers = { 'x-request-id': 'operation-1' }
    const { body } = await ask({ subject: user('alice'), permissions, context: { hour: 3 } }, { headers })
    const records = await recordsOf('operation-1', 3)
    const ids = body.permissions.map(({ context }: { context: { decision_id: string } }) => context.decision_id)
    expect(records.map(({ id }: { id: string }) => id)).toEqual(ids)
    expect(records.map(({ batch }: { batch: object }) => batch)).toEqual(
      [0, 1, 2].map((item) => ({ id: ids[0], item })),
    )
    expect(records).toMatchObject([
      {
        decision: true,
        action: {
          name: 'filesystem.read',
          properties: {
            operation: 'filesystem.read',
            acl: { permission: 'read' },
            rbac: { required_permission: 'read_file' },
          },
        },
        resource: { type: 'file', id: '/srv/project/plan.txt', properties: { size: 3 } },
        context: { hour: 3 },
      },
      {
        decision: false,
        reason: 'unmapped_operation',
        subject: user('alice'),
        action: { name: 'filesystem.mount' },
        resource: null,
      },
      { decision: false, reason: 'invalid_request', action: { name: 'filesystem.write' }, resource: null },
    ])
    expect(body.permissions[2].context.error).toMatchObject({
      status: 400,
      errors: [{ pointer: '/target', detail: 'is no absolute path' }],
    })
    expect(await metricOf('unmapped_operation')).toBe(1)
  })

  test('carries the obligations of all of them, equal ones once', async () => {
    const resources = [{ type: 'file', id: '/srv/logged/**' }]
    const rule = { policy: 'acl', effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources }
    const [log, sandbox] = ['log', 'sandbox'].map((type) => ({ id: type, type }))
    await verdict.ask('PUT /v1/rules/logged', { body: { ...rule, obligations: [log] } })
    await verdict.ask('PUT /v1/rules/boxed', {
      body: { ...rule, actions: ['filesystem.write'], obligations: [sandbox] },
    })
    const both = [
      ['filesystem.read', '/srv/logged/a'],
      ['filesystem.write', '/srv/logged/a'],
    ] as const
    const { body } = await needs('alice', ...both)
    expect([body.decision, body.context.obligations]).toEqual([true, [log, sandbox]])
    expect((await needs('bob', ...both)).body.context.obligations).toEqual([])
  })

  async function metricOf(reason: string): Promise<number> {
    const text: string = (await verdict.ask('GET /metrics', { key: null })).body
    const [, value] = new RegExp(`reason="${reason}"[^\\n]* (\\d+)$`, 'm').exec(text) ?? []
    return Number(value)
  }
})

describe('a target is asked about in its normal form', () => {
  test.each([
    ['dots', 'filesystem.read', '/srv/public/../project/./plan.txt', '/srv/project/plan.txt', true],
    [
      'doubled slashes and one at the end',
      'filesystem.read',
      '//srv//project/plan.txt/',
      '/srv/project/plan.txt',
      true,
    ],
    ['dots that lead out of what is allowed', 'filesystem.read', '/srv/project/../../etc/shadow', '/etc/shadow', false],
    ['a key behind dots', 'filesystem.read', '/srv/project/x/../server.key', '/srv/project/server.key', false],
    ['letters in another form', 'filesystem.read', '/srv/project/caf\u0065\u0301', '/srv/project/caf\u00e9', true],
    ['a name in capitals', 'network.connect', 'DB.Internal.:5432', 'db.internal:5432', true],
    ['a shell behind dots', 'process.spawn', '/usr/bin/x/../bash', '/usr/bin/bash', false],
    ['what is not normalised', 'process.signal', '..', '..', false],
  ])('%s', async (_title, kind, target, id, decision) => {
    const { body } = await needs('alice', [kind, target])
    expect(body.decision).toBe(decision)
    expect(body.permissions).toMatchObject([{ kind, target, resource: { id }, decision }])
  })

  test.each([
    ['a path above the root', 'filesystem.read', '/../etc/passwd'],
    ['a relative path', 'filesystem.read', 'etc/passwd'],
    ['a control character', 'filesystem.read', '/srv/public/a\nb'],
    ['an address without a port', 'network.connect', 'db.internal'],
    ['a control character where nothing is normalised', 'process.kill', '1\n'],
  ])('%s has none, and is denied', async (_title, kind, target) => {
    const { status, body } = await needs('root', [kind, target])
    expect(status).toBe(200)
    expect([body.decision, body.context.reason]).toEqual([false, 'invalid_request'])
    expect(body.permissions[0]).not.toHaveProperty('resource')
  })
})

describe('what is denied without being asked', () => {
  test.each(['filesystem.mount', 'toString', '__proto__', 'constructor', 'FILESYSTEM.READ', ' filesystem.read'])(
    'a kind that nobody mapped: %j',
    async (kind) => {
      const { status, body } = await needs('root', ['filesystem.read', '/srv/public/x'], [kind, '/srv/public/x'])
      expect(status).toBe(200)
      expect(body).toMatchObject({
        decision: false,
        context: { reason: 'unmapped_operation', obligations: [] },
        permissions: [{ decision: true }, { decision: false, context: { reason: 'unmapped_operation', rules: [] } }],
      })
    },
  )

  test('what is known of who asks is told first', async () => {
    await verdict.ask('PUT /v1/entities/user/gone', { body: { disabled: true } })
    const permissions = [
      { kind: 'no.such.kind', target: 'x' },
      { kind: 'filesystem.read', target: 'no/absolute/path' },
    ]
    const { body } = await ask({ subject: user('gone'), permissions })
    const reasons = body.permissions.map(({ context }: { context: { reason: string } }) => context.reason)
    expect([body.decision, ...reasons]).toEqual([false, 'subject_disabled', 'subject_disabled'])
  })

  test('stands in the trail of whoever asks, also where that came as a context', async () => {
    const { token, id } = (await verdict.ask('POST /v1/contexts', { body: { subject: user('nosy') } })).body
    const permissions = [
      { kind: 'no.such.kind', target: 'x' },
      { kind: 'filesystem.read', target: 'no/absolute/path' },
    ]
    const headers = { 'x-request-id': 'operation-of-a-context' }
    await ask({ subject: { context_token: token }, permissions }, { headers })
    const records = await recordsOf('operation-of-a-context', 2)
    const subject = { ...user('nosy'), context_id: id }
    expect(records).toMatchObject([
      { subject, resource: null, reason: 'unmapped_operation' },
      { subject, resource: null, reason: 'invalid_request' },
    ])
  })

  test('everything where a tenant maps nothing', async () => {
    await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'bare', name: 'Bare' } })
    const { body } = await verdict.ask('POST /v1/api-keys', {
      key: verdict.rootKey,
      body: { name: 'k', subject: { type: 'service', id: 's' }, roles: ['pdp:decider'] },
      headers: { 'verdict-tenant': 'bare' },
    })
    const permissions = [{ kind: 'filesystem.read', target: '/srv/public/x' }]
    const answer = await ask({ subject: user('root'), permissions }, { key: body.key })
    expect(answer.body).toMatchObject({ decision: false, context: { reason: 'unmapped_operation' } })
  })
})

describe('bad input is a 400 that says where', () => {
  const one = { kind: 'filesystem.read', target: '/x' }
  test.each([
    ['no permission', [], '/permissions'],
    ['more than a hundred', Array.from({ length: 101 }, () => one), '/permissions'],
    ['no list', one, '/permissions'],
    ['one without a target', [{ kind: 'filesystem.read' }], '/permissions/0/target'],
    ['one without a kind', [one, { target: '/x' }], '/permissions/1/kind'],
    ['a target that is no text', [{ ...one, target: 7 }], '/permissions/0/target'],
    ['an empty target', [{ ...one, target: '' }], '/permissions/0/target'],
    ['a target beyond any path', [{ ...one, target: `/${'x'.repeat(4096)}` }], '/permissions/0/target'],
  ])('%s', async (_title, permissions, pointer) => {
    const { status, body } = await ask({ subject: user('root'), permissions })
    expect([status, body.errors?.[0].pointer]).toEqual([400, pointer])
  })

  test("a tenant's limit of decisions a second counts every permission", async () => {
    const limit = (decisions_per_second: number | null) =>
      verdict.ask('PUT /v1/settings', { body: { ...bundle.settings, decisions_per_second } })
    await limit(50)
    const many = (length: number) => ask({ subject: user('root'), permissions: Array.from({ length }, () => one) })
    const refused = await many(51)
    const taken = await eventually(
      () => many(50),
      ({ status }) => status === 200,
    )
    await limit(null)
    expect([refused.status, taken.status]).toEqual([429, 200])
  })

  test('a context that would be recorded with each of many is a 413', async () => {
    const permissions = Array.from({ length: 100 }, () => one)
    const { status } = await ask({ subject: user('root'), permissions, context: { text: 'x'.repeat(100_000) } })
    expect(status).toBe(413)
  })
})

describe('mapping, types and patterns fit each other, whichever is written last', () => {
  const mapping = bundle.settings.operations
  const settings = (operations: object) => verdict.ask('PUT /v1/settings', { body: { operations } })
  const told = ({ status, body }: { status: number; body: { errors?: { pointer: string; detail: string }[] } }) => [
    status,
    body.errors?.[0]?.pointer,
    body.errors?.[0]?.detail,
  ]
  const revision = async () => (await verdict.ask('GET /v1/settings')).body.version

  test.each([
    [
      'an action that its type does not declare',
      { action: 'filesystem.mount' },
      '/action',
      /type file declares no action/,
    ],
    ['an action of Verdict', { action: 'pdp:decide' }, '/action', /built in/],
    ['a pattern of actions', { action: 'filesystem.*' }, '/action', /one name/],
    ['a type of Verdict', { resource_type: 'pdp:rule' }, '/resource_type', /built in/],
    ['every type', { resource_type: '*' }, '/resource_type', /one name/],
    ['a form that others of the type have not', { normalize: 'address' }, '/normalize', /normalised otherwise/],
  ])('%s is refused, in settings and bundles', async (_title, change, member, detail) => {
    const before = await revision()
    const operations = { ...mapping, 'filesystem.write': { ...mapping['filesystem.write'], ...change } }
    const pointer = `/operations/filesystem.write${member}`
    expect(told(await settings(operations))).toEqual([422, pointer, expect.stringMatching(detail)])
    const whole = await verdict.ask('PUT /v1/bundle', { body: { ...bundle, settings: { operations } } })
    expect(told(whole)).toEqual([422, `/settings${pointer}`, expect.stringMatching(detail)])
    const alone = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, settings: { operations } } })
    expect(told(alone)).toEqual([422, `/settings${pointer}`, expect.stringMatching(detail)])
    expect(await revision()).toBe(before)
  })

  test.each([
    ['an unknown form', { normalize: 'url' }, '/operations/k/normalize'],
    ['another name space', { attributes: { 'mac.level': 1 } }, '/operations/k/attributes/mac.level'],
    ['an attribute within another', { attributes: { 'acl.a.b': 1 } }, '/operations/k/attributes/acl.a.b'],
    ['a member that nobody knows', { type: 'file' }, '/operations/k/type'],
    ['no action', { action: undefined }, '/operations/k/action'],
  ])('%s is malformed', async (_title, change, pointer) => {
    const { status, body } = await settings({ k: { action: 'a', resource_type: 't', ...change } })
    expect([status, body.errors[0].pointer]).toEqual([400, pointer])
  })

  test('a type cannot lose an action that is mapped, nor go', async () => {
    const body = { actions: ['filesystem.read', 'filesystem.write', 'filesystem.delete'] }
    const kept = [422, '/actions', expect.stringMatching(/operation filesystem\.execute/)]
    expect(told(await verdict.ask('PUT /v1/types/file', { body }))).toEqual(kept)
    const types = bundle.types.map((type: { name: string }) =>
      type.name === 'file' ? { name: 'file', ...body } : type,
    )
    const byBundle = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, types } })
    expect(told(byBundle)).toEqual([422, '/types/0/actions', expect.stringMatching(/operation filesystem\.execute/)])

    await verdict.ask('PUT /v1/types/lone', { body: { actions: ['x'] } })
    await settings({ ...mapping, lone: { action: 'x', resource_type: 'lone' } })
    const deleted = await verdict.ask('DELETE /v1/types/lone')
    expect([deleted.status, deleted.body.detail]).toEqual([409, expect.stringMatching(/operation lone \(setting\)/)])
    const without = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, types: bundle.types } })
    expect(told(without)).toEqual([422, '/types', expect.stringMatching(/lone.*in use: by operation lone/)])
    await settings(mapping)
    expect((await verdict.ask('DELETE /v1/types/lone')).status).toBe(204)
  })

  const parts = (id: string) => ({
    actions: ['filesystem.read'],
    resources: [{ type: 'process' }, { type: 'file', id }],
  })
  const rule = (id: string) => ({ ...parts(id), effect: 'deny', subjects: [{ any: true }] })

  test.each(['/srv//x/**', '/srv/x/', '/a/../b', 'srv/*', '/caf\u0065\u0301'])(
    'the pattern %j, which matches no path, is refused in rules, roles, quotas and capabilities',
    async (id) => {
      const detail = expect.stringMatching(/matches no file/)
      expect(told(await verdict.ask('PUT /v1/rules/odd', { body: rule(id) }))).toEqual([422, '/resources/1/id', detail])
      const role = { permissions: [parts(id)] }
      expect(told(await verdict.ask('PUT /v1/roles/odd', { body: role }))).toEqual([
        422,
        '/permissions/0/resources/1/id',
        detail,
      ])
      const quota = { ...parts(id), subjects: [{ any: true }], per: 'tenant', limit: 1, window_seconds: 60 }
      const capability = { ...parts(id), subject: user('alice'), expires_at: '2999-01-01T00:00:00Z' }
      for (const [route, body] of [
        ['PUT /v1/quotas/odd', quota],
        ['POST /v1/capabilities', capability],
      ] as const)
        expect(told(await verdict.ask(route, { body }))).toEqual([422, '/resources/1/id', detail])
      const byBundle = {
        ...bundle,
        rules: [...bundle.rules, { name: 'odd', ...rule(id) }],
        roles: [...bundle.roles, { name: 'odd', ...role }],
      }
      const { status, body } = await verdict.ask('PUT /v1/bundle', { body: byBundle })
      expect(status).toBe(422)
      expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
        `/roles/${bundle.roles.length}/permissions/0/resources/1/id`,
        `/rules/${bundle.rules.length}/resources/1/id`,
      ])
    },
  )

  test('a form is refused while rules, roles or quotas have such patterns of the type', async () => {
    const place = (id: string) => ({ actions: ['see'], resources: [{ type: 'place', id }] })
    await verdict.ask('PUT /v1/rules/places', {
      body: { ...place('/a//b'), effect: 'allow', subjects: [{ any: true }] },
    })
    await verdict.ask('PUT /v1/roles/placer', { body: { permissions: [place('/ok'), place('x/*')] } })
    const quota = { ...place('/q/'), subjects: [{ any: true }], per: 'tenant', limit: 1, window_seconds: 60 }
    await verdict.ask('PUT /v1/quotas/visits', { body: quota })
    const operations = { ...mapping, see: { action: 'see', resource_type: 'place', normalize: 'path' } }
    const refused = await settings(operations)
    expect(refused.status).toBe(422)
    const wanted = [
      { pointer: '/operations/see/normalize', detail: expect.stringMatching(/^rule places: the pattern "\/a\/\/b"/) },
      { pointer: '/operations/see/normalize', detail: expect.stringMatching(/^role placer: the pattern "x\/\*"/) },
      { pointer: '/operations/see/normalize', detail: expect.stringMatching(/^quota visits: the pattern "\/q\/"/) },
    ]
    expect(refused.body.errors).toEqual(wanted)
    const byBundle = await verdict.ask('PUT /v1/bundle', { body: { verdict: 1, settings: { operations } } })
    expect(byBundle.body.errors).toEqual(wanted.map((one) => ({ ...one, pointer: `/settings${one.pointer}` })))
    expect((await settings({ ...mapping, see: { ...operations.see, normalize: 'none' } })).status).toBe(200)
    await settings(mapping)
  })

  test('a bundle may declare type and mapping together', async () => {
    const types = [...bundle.types, { name: 'door', actions: ['open'] }]
    const operations = { ...mapping, open: { action: 'open', resource_type: 'door' } }
    const body = { ...bundle, types, settings: { operations } }
    expect((await verdict.ask('PUT /v1/bundle', { body })).status).toBe(200)
    expect((await verdict.ask('GET /v1/settings')).body.operations.open).toEqual(operations.open)
    const exported = await verdict.ask('GET /v1/bundle')
    expect(
      parse(typeof exported.body === 'string' ? exported.body : JSON.stringify(exported.body)).settings.operations,
    ).toEqual(operations)
    expect((await verdict.ask('PUT /v1/bundle', { body: bundle })).status).toBe(200)
  })
})

test('mapping and rules are of one revision, also where a replica learns of both while it is asked', async () => {
  // Under the one mapping only the one rule allows, under the other only the other.
  const flip = (type: string) => ({
    ...bundle,
    settings: { operations: { flip: { action: 'flip', resource_type: type } } },
    policies: [],
    rules: [{ name: 'flip', effect: 'allow', subjects: [{ any: true }], actions: ['flip'], resources: [{ type }] }],
  })
  const elsewhere = await freshDatabase()
  const { VERDICT_DATA_DIR: _, ...env } = verdict.env
  // It listens where nobody tells it anything: of a revision it hears by being asked for it.
  const replica = await startService({
    database: verdict.database,
    env: { ...env, VERDICT_LISTEN_DATABASE_URL: elsewhere.url },
  })
  try {
    for (const type of ['one', 'other', 'one', 'other', 'one']) {
      const written = await verdict.ask('PUT /v1/bundle', { body: flip(type) })
      const min_revision = Number(written.headers.get('verdict-revision'))
      const permissions = ['1', '2'].map((target) => ({ kind: 'flip', target }))
      const { body } = await replica.ask('POST /v1/authorize/operation', {
        body: { subject: user('alice'), permissions, options: { min_revision } },
      })
      expect([body.decision, body.permissions?.[0].resource.type]).toEqual([true, type])
    }
  } finally {
    await replica.close()
    await elsewhere.close()
  }
})
