import { randomInt } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Problem } from '../../src/failure.ts'
import { startService, type TestService } from '../support/service.ts'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})

afterAll(() => verdict.close())

const RULE = { effect: 'allow', subjects: [{ any: true }], actions: ['read'], resources: [{ type: 'doc' }] }

describe('a write', () => {
  test('creates, replaces and leaves alone: 201, 200, and no revision where nothing changed', async () => {
    const created = await verdict.ask('PUT /v1/rules/life', { body: RULE })
    expect(created.status).toBe(201)
    expect(created.headers.get('etag')).toBe(`"${created.body.version}"`)
    const revision = Number(created.headers.get('verdict-revision'))
    const same = await verdict.ask('PUT /v1/rules/life', { body: RULE })
    expect(same.status).toBe(200)
    expect(Number(same.headers.get('verdict-revision'))).toBe(revision)
    const changed = await verdict.ask('PUT /v1/rules/life', { body: { ...RULE, effect: 'deny' } })
    expect(changed.status).toBe(200)
    expect(Number(changed.headers.get('verdict-revision'))).toBe(revision + 1)
    const read = await verdict.ask('GET /v1/rules/life')
    expect(read.body).toEqual(changed.body)
    expect(read.headers.get('etag')).toBe(changed.headers.get('etag'))
    expect((await verdict.ask('DELETE /v1/rules/life')).status).toBe(204)
    expect((await verdict.ask('GET /v1/rules/life')).status).toBe(404)
    expect((await verdict.ask('DELETE /v1/rules/life')).status).toBe(404)
  })

  test('of what was changed meanwhile is refused by If-Match', async () => {
    const first = await verdict.ask('PUT /v1/rules/guarded', { body: RULE })
    const etag = first.headers.get('etag') ?? ''
    await verdict.ask('PUT /v1/rules/guarded', { body: { ...RULE, actions: ['write'] } })
    const late = await verdict.ask('PUT /v1/rules/guarded', { body: RULE, headers: { 'if-match': etag } })
    expect(late.status).toBe(412)
    expect((await verdict.ask('GET /v1/rules/guarded')).body.actions).toEqual(['write'])
    const gone = await verdict.ask('DELETE /v1/rules/guarded', { headers: { 'if-match': etag } })
    expect(gone.status).toBe(412)
  })

  test('sent again with its Idempotency-Key is answered again and done once; another request is refused', async () => {
    const body = { name: 'k', subject: { type: 'service', id: 's' }, roles: ['pdp:decider'] }
    const headers = { 'idempotency-key': 'once-1' }
    const first = await verdict.ask('POST /v1/api-keys', { body, headers })
    const again = await verdict.ask('POST /v1/api-keys', { body, headers })
    expect(first.body.key).toMatch(/^vdt_/)
    expect(again.status).toBe(201)
    expect(again.body).toEqual({ ...first.body, key: undefined })
    const other = await verdict.ask('POST /v1/api-keys', { body: { ...body, name: 'l' }, headers })
    expect(other.status).toBe(422)
    const elsewhere = await verdict.ask('PUT /v1/rules/x', { body: RULE, headers })
    expect(elsewhere.status).toBe(422)
  })

  test('stands in the change log with who, why, before and after', async () => {
    const headers = { 'verdict-reason': 'ticket 7' }
    const written = await verdict.ask('PUT /v1/roles/logged', { body: { description: 'first' }, headers })
    const revision = Number(written.headers.get('verdict-revision'))
    const { body } = await verdict.ask(`GET /v1/changes?after_revision=${revision - 1}`)
    expect(body.items[0]).toMatchObject({
      revision,
      kind: 'role',
      key: { name: 'logged' },
      operation: 'create',
      actor: { type: 'service', id: 'admin' },
      reason: 'ticket 7',
      before: null,
      after: { name: 'logged', description: 'first' },
    })
  })
})

const USER = { type: 'user', id: 'u' }
const ASSIGNMENT = { subject: USER, role: 'a' }
/** In UTC it is in the year 10000. */
const OUT_OF_CALENDAR = '9999-12-31T23:59:59-23:59'
const UUID = '019a0000-0000-7000-8000-000000000000'

describe('bad input is refused with a pointer, and nothing is written', () => {
  let before: string

  beforeAll(async () => {
    await verdict.ask('PUT /v1/roles/a', { body: {} })
    await verdict.ask('PUT /v1/roles/b', { body: { inherits: ['a'] } })
    await verdict.ask('PUT /v1/entities/folder/root', { body: {} })
    await verdict.ask('PUT /v1/entities/folder/leaf', { body: { parents: [{ type: 'folder', id: 'root' }] } })
  })

  beforeEach(async () => {
    before = await digest()
  })

  /** A digest of everything that administration writes. */
  async function digest(): Promise<string> {
    const tables = [
      'tenants',
      'settings',
      'policies',
      'roles',
      'rules',
      'entities',
      'entity_parents',
      'assignments',
      'api_keys',
      'policy_changes',
      'idempotency_keys',
    ]
    const parts = tables.map(
      (table) => sql`select md5(string_agg(t::text, '|' order by t::text)) from ${sql.table(table)} t`,
    )
    const { rows } = await sql<object>`${sql.join(parts, sql` union all `)}`.execute(verdict.database.db)
    return JSON.stringify(rows)
  }

  test('all that is wrong is told at once, with what there is to choose from', async () => {
    const body = { ...RULE, effect: 'maybe', actions: [], colour: 1, subjects: [{ team: 'x' }], valid_from: 'soon' }
    const { status, body: problem } = await verdict.ask('PUT /v1/rules/r', { body })
    expect(status).toBe(400)
    const told = Object.fromEntries(problem.errors.map((each: Problem) => [each.pointer, each.detail]))
    expect(told).toEqual({
      '/colour': 'is not a member that is known here',
      '/effect': 'must be one of: "allow", "deny"',
      '/actions': 'must NOT have fewer than 1 items',
      '/subjects/0': 'must be one of: {role}, {type, id}, {any}',
      '/valid_from': 'must be one of: an RFC 3339 date-time such as 2030-01-31T08:00:00Z, null',
    })
    expect(await digest()).toBe(before)
  })

  test('nobody is told more than can be read; of a long body, the first that is wrong: it keeps nobody waiting', async () => {
    const errorsOf = async (actions: number) => {
      const body = { ...RULE, actions: Array(actions).fill(5), effect: 1 }
      const answer = await verdict.ask('PUT /v1/rules/r', { body })
      return [answer.status, answer.body.errors.length]
    }
    expect(await errorsOf(1500)).toEqual([400, 100])
    expect(await errorsOf(3000)).toEqual([400, 1])
  })

  test.each([
    ['PUT /v1/rules/r', { ...RULE, color: 'red' }, 400, '/color'],
    ['PUT /v1/rules/r', { ...RULE, effect: 'maybe' }, 400, '/effect'],
    ['PUT /v1/rules/r', { ...RULE, subjects: [] }, 400, '/subjects'],
    ['PUT /v1/rules/r', { ...RULE, actions: 'read' }, 400, '/actions'],
    ['PUT /v1/rules/r', { ...RULE, name: 'other' }, 400, '/name'],
    ['PUT /v1/rules/r', { ...RULE, valid_from: 'yesterday' }, 400, '/valid_from'],
    ['PUT /v1/rules/r', { ...RULE, condition: 'subject.id ==' }, 422, '/condition'],
    ['PUT /v1/rules/r', { ...RULE, condition: 'nobody.id == "a"' }, 422, '/condition'],
    ['PUT /v1/rules/r', { ...RULE, subjects: [{ role: 'nobody' }] }, 422, '/subjects/0/role'],
    ['PUT /v1/rules/r', { ...RULE, policy: 'nowhere' }, 422, '/policy'],
    ['PUT /v1/rules/r', { ...RULE, policy: 'roles' }, 422, '/policy'],
    ['PUT /v1/rules/r', { ...RULE, policy: 'pdp' }, 422, '/policy'],
    ['PUT /v1/rules/r', { ...RULE, resources: [{ type: 'pdp:rule' }] }, 422, '/resources/0/type'],
    ['PUT /v1/rules/r', { ...RULE, actions: ['pdp:read'] }, 422, '/actions/0'],
    [
      'PUT /v1/rules/r',
      { ...RULE, valid_from: '2030-01-01T00:00:00Z', valid_until: '2029-01-01T00:00:00Z' },
      422,
      '/valid_until',
    ],
    ['PUT /v1/rules/pdp:r', RULE, 422, '/name'],
    ['POST /v1/rules', RULE, 400, '/name'],
    ['PUT /v1/roles/a', { inherits: ['b'] }, 422, '/inherits/0'],
    ['PUT /v1/roles/a', { inherits: ['a'] }, 422, '/inherits/0'],
    ['PUT /v1/roles/c', { inherits: ['nobody'] }, 422, '/inherits/0'],
    ['PUT /v1/roles/c', { permissions: [{ actions: ['x'], resources: [] }] }, 400, '/permissions/0/resources'],
    [
      'PUT /v1/roles/c',
      { permissions: [{ actions: ['x'], resources: [{ type: 't' }], condition: '1 +' }] },
      422,
      '/permissions/0/condition',
    ],
    ['PUT /v1/roles/c', { inherits: ['pdp:admin'] }, 422, '/inherits/0'],
    ['DELETE /v1/roles/a', undefined, 409, undefined],
    ['DELETE /v1/policies/default', undefined, 409, undefined],
    ['PUT /v1/entities/folder/root', { parents: [{ type: 'folder', id: 'leaf' }] }, 422, '/parents/0'],
    ['PUT /v1/entities/folder/root', { parents: [{ type: 'folder', id: 'root' }] }, 422, '/parents/0'],
    [
      'PUT /v1/entities/folder/x',
      {
        parents: [
          { type: 'f', id: '1' },
          { type: 'f', id: '1' },
        ],
      },
      422,
      '/parents/1',
    ],
    [`PUT /v1/entities/folder/${encodeURIComponent('😀'.repeat(512))}`, {}, 422, '/id'],
    ['PUT /v1/entities/folder/x', { properties: [] }, 400, '/properties'],
    ['PUT /v1/entities/folder/x', { id: 'y' }, 400, '/id'],
    ['PUT /v1/entities/folder/x%0Ay', {}, 400, '/id'],
    ['PUT /v1/entities/folder/x%00y', {}, 400, '/id'],
    ['PUT /v1/entities/pdp:rule/x', {}, 422, '/type'],
    [`PUT /v1/entities/folder/${'x'.repeat(513)}`, {}, 400, '/id'],
    ['PUT /v1/entities/folder/x', '{"properties":{"a":"\\udc00"}}', 400, ''],
    ['PUT /v1/entities/folder/x', `{"properties":${'['.repeat(40)}${']'.repeat(40)}}`, 400, ''],
    ['POST /v1/assignments', { subject: { type: 'user', id: 'u' }, role: 'nobody' }, 422, '/role'],
    ['POST /v1/assignments', { subject: { type: 'user', id: 'u' }, role: 'pdp:operator' }, 422, '/role'],
    ['POST /v1/assignments', { subject: { type: 'user', id: 'u' }, role: 'pdp:king' }, 422, '/role'],
    [
      'POST /v1/assignments',
      { subject: { type: 'user', id: 'u' }, role: 'pdp:auditor', within: { type: 'folder', id: 'root' } },
      422,
      '/within',
    ],
    ['POST /v1/assignments', { subject: { type: 'user' }, role: 'a' }, 400, '/subject/id'],
    ['POST /v1/api-keys', { name: 'k', subject: { type: 's', id: '1' }, roles: ['a'] }, 422, '/roles/0'],
    ...[OUT_OF_CALENDAR, '0000-01-01T00:00:00Z'].flatMap((instant) => [
      ['PUT /v1/rules/r', { ...RULE, valid_until: instant }, 422, '/valid_until'] as const,
      ['POST /v1/assignments', { ...ASSIGNMENT, valid_from: instant }, 422, '/valid_from'] as const,
      ['POST /v1/assignments', { ...ASSIGNMENT, valid_until: instant }, 422, '/valid_until'] as const,
      ['POST /v1/api-keys', { name: 'k', subject: USER, expires_at: instant }, 422, '/expires_at'] as const,
      [`GET /v1/audit?from=${encodeURIComponent(instant)}`, undefined, 400, '/from'] as const,
    ]),
    [`DELETE /v1/assignments/urn:uuid:${UUID}`, undefined, 400, '/id'],
    [`GET /v1/audit/urn:uuid:${UUID}`, undefined, 400, '/id'],
    ['PUT /v1/settings', { attribute_precedence: 'mine' }, 400, '/attribute_precedence'],
    ['PUT /v1/settings', { unknown: 1 }, 400, '/unknown'],
    ['PUT /v1/settings', { levels: [] }, 400, '/levels'],
    ['PUT /v1/settings', { levels: ['low', 'low'] }, 400, '/levels'],
    ['PUT /v1/settings', { levels: ['low', 1] }, 400, '/levels/1'],
    ['PUT /v1/policies/p', { combining: 'coin_toss' }, 400, '/combining'],
    ['GET /v1/rules?limit=0', undefined, 400, '/limit'],
    ['GET /v1/rules?limit=1001', undefined, 400, '/limit'],
    ['GET /v1/rules?limit=1&limit=2', undefined, 400, '/limit'],
    ['GET /v1/rules?cursor=nonsense', undefined, 400, '/cursor'],
    ['GET /v1/rules?color=red', undefined, 400, '/color'],
    ['GET /v1/audit?from=yesterday', undefined, 400, '/from'],
    ['GET /v1/audit?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z', undefined, 400, '/from'],
    ['GET /v1/audit/export?from=2026-02-01T00:00:00%2B02:00&to=2026-01-31T00:00:00Z', undefined, 400, '/from'],
    ['GET /v1/audit?cursor=nonsense', undefined, 400, '/cursor'],
  ] as const)('%s %j', async (route, body, status, pointer) => {
    const answer = await verdict.ask(route, body === undefined ? {} : { body })
    expect([answer.status, answer.body.errors?.[0]?.pointer], JSON.stringify(answer.body)).toEqual([status, pointer])
    expect(await digest()).toBe(before)
  })

  test('a condition that does not parse is located by line and column', async () => {
    const body = { ...RULE, condition: 'subject.id == "a" &&\n  resource.id ==== "b"' }
    const answer = await verdict.ask('PUT /v1/rules/r', { body })
    expect(answer.body.errors[0].detail).toMatch(/line 2, column \d+/)
  })
})

const SESSIONS = 'credentials/user/nobody/sessions'

describe('a list', () => {
  test.each([
    'audit',
    'changes',
    'rules',
    'roles',
    'policies',
    'entities',
    'assignments',
    'api-keys',
    'issuers',
    SESSIONS,
  ])('what a forged cursor says is no fault of /v1/%s', async (list) => {
    const forged = [
      [1e20, 0],
      [1, 99999999999],
      [-1, -1],
      [1.5, 0],
      [UUID],
      [`urn:uuid:${UUID}`],
      ['x', `urn:uuid:${UUID}`],
      ['x'.repeat(5000), 'y'],
      ['\u0000'],
      ['\u0000', '\u0000'],
      ['\ud800'],
      [null],
      [],
      {},
    ]
    for (const keys of forged) {
      const cursor = Buffer.from(JSON.stringify(keys)).toString('base64url')
      const { status } = await verdict.ask(`GET /v1/${list}?cursor=${cursor}`)
      expect([200, 400], JSON.stringify(keys)).toContain(status)
    }
  })

  test('is paged without loss or repetition', async () => {
    const names = Array.from({ length: 25 }, (_, n) => `page-${String(n).padStart(2, '0')}`)
    for (const name of names) await verdict.ask(`PUT /v1/policies/${name}`, { body: {} })
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { body }: { body: { items: { name: string }[]; next_cursor: string | null } } = await verdict.ask(
        `GET /v1/policies?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`,
      )
      seen.push(...body.items.map(({ name }) => name))
      cursor = body.next_cursor
    }
    expect(seen.filter((name) => name.startsWith('page-'))).toEqual(names)
    expect(new Set(seen).size).toBe(seen.length)
  })
})

describe('entities in bulk', () => {
  const bulk = (lines: readonly string[], headers = {}) =>
    verdict.ask('POST /v1/entities/bulk', {
      body: lines.join('\n'),
      headers: { 'content-type': 'application/x-ndjson', ...headers },
    })
  const line = (id: string, more: object = {}) => JSON.stringify({ type: 'bulk', id, ...more })

  test('are written in one revision', async () => {
    const lines = Array.from({ length: 2500 }, (_, n) => line(`e${n}`, { properties: { n } }))
    const { status, body, headers } = await bulk([...lines, '', ''])
    expect(status).toBe(200)
    expect(body).toEqual({ created: 2500, updated: 0, unchanged: 0 })
    const again = await bulk(lines)
    expect(again.body).toEqual({ created: 0, updated: 0, unchanged: 2500 })
    expect(again.headers.get('verdict-revision')).toBe(headers.get('verdict-revision'))
  })

  test.each([
    ['a line that is no JSON', ['{"type":', line('ok')], '/0'],
    ['a line without an id', [line('ok'), '{"type":"bulk"}'], '/1/id'],
    ['an unknown member', [line('ok'), '', line('x', { color: 1 })], '/2/color'],
    ['the same entity twice', [line('ok'), line('ok')], '/1'],
  ])('are all refused for %s, with the place', async (_what, lines, pointer) => {
    const { status, body } = await bulk(lines)
    expect([400, 422]).toContain(status)
    expect(body.errors[0].pointer).toBe(pointer)
    expect((await verdict.ask('GET /v1/entities/bulk/ok')).status).toBe(404)
  })

  test('in JSON are not taken: the route reads NDJSON', async () => {
    expect((await verdict.ask('POST /v1/entities/bulk', { body: { type: 'bulk', id: 'x' } })).status).toBe(415)
  })

  test('with ids that fit no path are read and written by query', async () => {
    const id = 'a/b?c=d&e#%2F..'
    const path = `/v1/entity?type=file&id=${encodeURIComponent(id)}`
    expect((await verdict.ask(`PUT ${path}`, { body: { properties: { size: 1 } } })).status).toBe(201)
    expect((await verdict.ask(`GET ${path}`)).body).toMatchObject({ type: 'file', id, properties: { size: 1 } })
    const encoded = `/v1/entities/file/${encodeURIComponent(id)}`
    expect((await verdict.ask(`GET ${encoded}`)).body.id).toBe(id)
    expect((await verdict.ask(`DELETE ${path}`)).status).toBe(204)
  })

  test('of the longest names that are allowed are stored, related, assigned and found', async () => {
    // Drawn at random: an index would compress what repeats, and so hide that it does not fit.
    const long = (alphabet: string, length: number) =>
      Array.from({ length }, () => [...alphabet][randomInt([...alphabet].length)]).join('')
    const hex = '0123456789abcdefghijklmnopqrstuvwxyz'
    const cjk = Array.from({ length: 20_000 }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('')
    const child = { type: long(hex, 512), id: long(hex, 512) }
    const parent = { type: 'folder', id: long(cjk, 512) }
    const path = (ref: { type: string; id: string }) => `/v1/entity?${new URLSearchParams(ref)}`
    expect((await verdict.ask(`PUT ${path(parent)}`, { body: {} })).status).toBe(201)
    expect((await verdict.ask(`PUT ${path(child)}`, { body: { parents: [parent] } })).status).toBe(201)
    const body = { subject: child, role: 'a', within: parent }
    expect((await verdict.ask('POST /v1/assignments', { body })).status).toBe(201)
    const rule = { ...RULE, subjects: [child], resources: [{ type: 'doc', within: parent }] }
    expect((await verdict.ask('PUT /v1/rules/long', { body: rule })).status).toBe(201)
    expect((await verdict.ask(`GET ${path(child)}`)).body.parents).toEqual([parent])
  })
})
