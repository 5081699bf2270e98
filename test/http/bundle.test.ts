import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { startService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.close())

const YAML = { 'content-type': 'application/yaml' }
const put = (body: unknown, headers: Readonly<Record<string, string>> = {}, path = '/v1/bundle') =>
  service.ask(`PUT ${path}`, { body, headers })
const QUICKSTART = readFileSync(new URL('../../presets/quickstart.yaml', import.meta.url), 'utf8')

const may = async (subject: string, action: string, id: string) => {
  const body = { subject: { type: 'user', id: subject }, action: { name: action }, resource: { type: 'document', id } }
  return (await service.ask('POST /v1/authorize', { body })).body.decision
}

test('a preset is applied as YAML, decides at once, and is exported in both formats', async () => {
  expect(await may('alice', 'document:edit', 'plan')).toBe(false)
  const { status, body, headers } = await put(QUICKSTART, { ...YAML, 'verdict-reason': 'first' })
  expect({ status, ...body }).toMatchObject({ status: 200, dry_run: false, added: 14, changed: 0, removed: 0 })
  expect(headers.get('etag')).toBe(`"${headers.get('verdict-revision')}"`)
  expect(await may('alice', 'document:edit', 'plan')).toBe(true)

  const json = await service.ask('GET /v1/bundle')
  const yaml = await service.ask('GET /v1/bundle', { headers: { accept: 'application/yaml' } })
  expect(json.headers.get('content-type')).toMatch(/^application\/json/)
  expect(yaml.headers.get('content-type')).toMatch(/^application\/yaml/)
  expect(parse(yaml.body)).toEqual(json.body)
  for (const [section, items] of Object.entries(parse(QUICKSTART))) {
    if (Array.isArray(items)) expect(json.body[section]).toEqual(expect.arrayContaining(items))
  }
  expect(Object.keys(json.body)).toEqual([
    ...['verdict', 'settings', 'types', 'policies', 'roles', 'rules', 'entities', 'assignments'],
  ])
  expect(json.headers.get('etag')).toBe(headers.get('etag'))
})

test.each([
  ['application/yaml', '', 'yaml'],
  ['text/html, application/yaml;q=0.5', '', 'yaml'],
  ['application/yaml;q=0.5, application/json', '', 'json'],
  ['application/json, text/yaml', '', 'json'],
  ['*/*', '', 'json'],
  ['application/json', '?format=yaml', 'yaml'],
  ['application/yaml', '?format=json', 'json'],
])('Accept: %s%s is answered in %s', async (accept, query, format) => {
  const { headers } = await service.ask(`GET /v1/bundle${query}`, { headers: { accept } })
  expect(headers.get('content-type')).toContain(format)
})

test('what was exported, applied again, changes nothing and makes no revision', async () => {
  const exported = await service.ask('GET /v1/bundle?format=yaml')
  const again = await put(exported.body, { ...YAML, 'if-match': exported.headers.get('etag') ?? '' })
  expect(again.body).toMatchObject({ added: 0, changed: 0, removed: 0 })
  expect(again.headers.get('verdict-revision')).toBe(exported.headers.get('verdict-revision'))
})

test('a dry run says what would change and changes nothing', async () => {
  const before = (await service.ask('GET /v1/bundle')).headers.get('etag')
  const dry = await put({ verdict: 1, rules: [] }, {}, '/v1/bundle?dry_run=true')
  expect(dry.body).toMatchObject({ dry_run: true, removed: 2 })
  expect(dry.body.sections.rules.differences).toEqual([
    { change: 'removed', name: 'editors-edit-what-they-own' },
    { change: 'removed', name: 'the-archive-is-read-only' },
  ])
  expect((await service.ask('GET /v1/bundle')).headers.get('etag')).toBe(before)
  expect(dry.headers.get('verdict-revision')).toBe(before?.replaceAll('"', ''))
})

test('a condition that is wrong is told with its place in the document and in the condition', async () => {
  const { status, body } = await put(QUICKSTART.replace('== subject.id', '== = subject.id'), YAML)
  expect(status).toBe(422)
  expect(body.errors).toEqual([
    { pointer: '/rules/0/condition', detail: expect.stringMatching(/^line 1, column \d+: /) },
  ])
})

test.each<[string, string, Readonly<Record<string, string>>, number, RegExp]>([
  ['a member that stands twice in JSON', '{"verdict": 1, "verdict": 1}', {}, 400, /twice/],
  ['a member that stands twice in YAML', 'verdict: 1\nroles: []\nroles: []', YAML, 400, /line 3: .*twice/],
  ['an alias', 'verdict: 1\nroles: &a []\nrules: *a', YAML, 400, /anchors/],
  ['what is no YAML', 'verdict: [', YAML, 400, /line 1/],
  ['what is no bundle', '[]', {}, 422, /bundle/],
  ['a version of the format that is not known', 'verdict: 2', YAML, 422, /problem/],
  ['another format', 'a,b', { 'content-type': 'text/csv' }, 415, /application\/yaml or application\/json/],
])('%s is answered with its status', async (_what, body, headers, status, detail) => {
  const answer = await put(body, headers)
  expect(answer.status).toBe(status)
  expect(JSON.stringify(answer.body)).toMatch(detail)
})

test('dry_run is true or false, and nothing else', async () => {
  expect((await put({ verdict: 1 }, {}, '/v1/bundle?dry_run=1')).status).toBe(400)
  expect((await put({ verdict: 1 }, {}, '/v1/bundle?dryrun=true')).status).toBe(400)
  expect((await put(undefined)).status).toBe(400)
})

test('a bundle of more than 50 MiB is refused with the limit', async () => {
  const { status, body } = await put(`{"verdict": 1, "roles": "${'x'.repeat(50 * 1024 * 1024)}"}`)
  expect(status).toBe(413)
  expect(body.detail).toContain('52428800 bytes')
})

test('who administers policy applies and exports, without the settings', async () => {
  const key = await service.keyWith(['pdp:policy_admin'])
  const exported = await service.ask('GET /v1/bundle', { key })
  expect(exported.body).not.toHaveProperty('settings')
  expect((await service.ask('PUT /v1/bundle', { key, body: exported.body })).status).toBe(200)
  const refused = await service.ask('PUT /v1/bundle', { key, body: { verdict: 1, settings: {} } })
  expect(refused.status).toBe(403)
  expect(refused.body.detail).toContain('settings')
})

test('who decides, writes entities or audits has no bundle', async () => {
  const key = await service.keyWith(['pdp:decider', 'pdp:entity_writer', 'pdp:auditor'])
  expect((await service.ask('GET /v1/bundle', { key })).status).toBe(403)
  expect((await service.ask('PUT /v1/bundle', { key, body: { verdict: 1 } })).status).toBe(403)
})

test('an export holds nobody who holds a built-in role', async () => {
  const boss = { type: 'user', id: 'boss' }
  await service.ask('PUT /v1/entities/user/boss', { body: { properties: { secret: 1 } } })
  await service.ask('POST /v1/assignments', { body: { subject: boss, role: 'editor' } })
  expect(JSON.stringify((await service.ask('GET /v1/bundle')).body)).toContain('boss')
  await service.ask('POST /v1/assignments', { body: { subject: boss, role: 'pdp:decider' } })
  expect(JSON.stringify((await service.ask('GET /v1/bundle')).body)).not.toContain('boss')
})

test('the same request with its Idempotency-Key gets the same answer, another one a 422', async () => {
  const body = stringify({ verdict: 1, types: [{ name: 'once' }] })
  const first = await put(body, { ...YAML, 'idempotency-key': 'k' })
  const again = await put(body, { ...YAML, 'idempotency-key': 'k' })
  expect(first.body.added).toBe(1)
  expect(again.body).toEqual(first.body)
  expect((await put('verdict: 1', { ...YAML, 'idempotency-key': 'k' })).status).toBe(422)
  expect((await put(body, { ...YAML, 'if-match': '"1"' })).status).toBe(412)
})

test('a big bundle is read off the event loop, and answers in the meantime are quick', async () => {
  const rules = Array.from({ length: 1100 }, (_, n) => ({
    name: `rule-${n}`,
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['document:edit'],
    resources: [{ type: 'report', id: `reports/${n}/**` }],
    condition: `context.n > ${n}`,
  }))
  const text = stringify({ verdict: 1, rules })
  const { status, body } = await put(text, YAML)
  expect(status).toBe(200)
  expect(body.sections.rules).toMatchObject({ added: 1100, removed: 2, more: 102 })
  expect(body.sections.rules.differences).toHaveLength(1000)
  const exported = await service.ask('GET /v1/bundle?format=yaml')
  expect(parse(exported.body).rules).toHaveLength(1100)
  const json = JSON.stringify({ verdict: 1, rules })
  const bad = await put(json.replace('context.n > 777', 'context.n >'))
  expect(bad.body.errors).toEqual([{ pointer: '/rules/777/condition', detail: expect.stringContaining('line 1') }])

  // Of this one there is nothing but to read it; here, that would be one turn.
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  const broken = await put(text.replace('name: rule-300', 'name: &x rule-300'), YAML)
  clearInterval(counting)
  expect(turns).toBeGreaterThan(30)
  expect(broken.status).toBe(400)
  expect(broken.body.errors).toEqual([
    { pointer: '/rules/300/name', detail: expect.stringMatching(/line \d+: anchors/) },
  ])
})

test('an entity that is wrong by itself, and names no parents, is told of', async () => {
  const { status, body } = await put(
    { verdict: 1, entities: [{ type: 'pdp:x', id: '1' }] },
    {},
    '/v1/bundle?dry_run=true',
  )
  expect(status).toBe(422)
  expect(body.errors).toContainEqual(expect.objectContaining({ pointer: '/entities/0/type' }))
})
