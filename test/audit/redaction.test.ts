import { describe, expect, test } from 'vitest'
import { redactedEvent } from '../../src/audit/redacted-event.ts'
import { keyedHash, Redaction } from '../../src/audit/redaction.ts'
import { Redactor } from '../../src/audit/redactor.ts'
import { ROUTES } from '../../src/contract/routes.ts'
import { DEFAULT_SETTINGS, type Properties, type RedactionSettings } from '../../src/policy/model.ts'
import { event } from './support.ts'

const key = Buffer.alloc(32, 1)
const hash = (value: string | number | boolean) => keyedHash(key, value)
const seen = (settings: RedactionSettings, context: Properties) =>
  redactedEvent(event({ context }), new Redaction(settings, key)).context

describe('a path covers what it names and everything beneath', () => {
  test.each<[string, RedactionSettings, Properties, Properties | null]>([
    ['nothing is said', {}, { a: 1 }, { a: 1 }],
    ['one member is dropped', { 'context.a': 'drop' }, { a: 1, b: 2 }, { b: 2 }],
    ['a subtree is dropped', { 'context.a': 'drop' }, { a: { b: { c: 1 } }, d: 1 }, { d: 1 }],
    ['nested', { 'context.a.b': 'drop' }, { a: { b: 1, c: 2 } }, { a: { c: 2 } }],
    ['all of it is dropped', { context: 'drop' }, { a: 1 }, null],
    ['each member is dropped', { 'context.*': 'drop' }, { a: 1 }, {}],
    ['a default with an exception', { context: 'drop', 'context.ip': 'clear' }, { ip: 'x', b: 1 }, { ip: 'x' }],
    ['an exception that is not there', { context: 'drop', 'context.ip': 'clear' }, { b: 1 }, null],
    [
      'an exception deep within',
      { 'context.a': 'drop', 'context.a.b.c': 'clear' },
      { a: { b: { c: 1, d: 2 } } },
      { a: { b: { c: 1 } } },
    ],
    ['any member', { 'context.*.x': 'drop' }, { a: { x: 1, y: 2 }, x: 3 }, { a: { y: 2 }, x: 3 }],
    [
      'a name goes before any',
      { 'context.*.x': 'clear', 'context.a': 'drop' },
      { a: { x: 1 }, b: { x: 2 } },
      { b: { x: 2 } },
    ],
    [
      'longer goes before its beginning',
      { 'context.a': 'clear', 'context.a.x': 'drop' },
      { a: { x: 1, y: 1 } },
      { a: { y: 1 } },
    ],
    [
      'any and longer goes before any',
      { 'context.*': 'clear', 'context.*.x': 'drop' },
      { a: { x: 1, y: 1 } },
      { a: { y: 1 } },
    ],
    ['a list stands for its items', { 'context.l.x': 'drop' }, { l: [{ x: 1, y: 1 }, 2] }, { l: [{ y: 1 }, 2] }],
    ['a list of lists', { 'context.l.x': 'drop' }, { l: [[{ x: 1 }]] }, { l: [[{}]] }],
    ['a list is dropped', { context: 'drop', 'context.l.y': 'clear' }, { l: [1, { y: 1, x: 2 }] }, { l: [{ y: 1 }] }],
    ['a name with a dot', { 'context["a.b"]': 'drop' }, { 'a.b': 1, a: { b: 2 } }, { a: { b: 2 } }],
    ['a name with a star', { 'context["*"]': 'drop' }, { '*': 1, a: 1 }, { a: 1 }],
    [
      'names that objects have anyway',
      { 'context.constructor': 'drop' },
      { toString: 1, constructor: 2 },
      { toString: 1 },
    ],
    ['a scalar where a path goes on', { 'context.a.b': 'drop' }, { a: 'text' }, { a: 'text' }],
    ['hashed', { 'context.a': 'keyed_hash' }, { a: 'x', b: 'x' }, { a: hash('x'), b: 'x' }],
    [
      'hashed by its parts',
      { 'context.a': 'keyed_hash' },
      { a: { n: 1, t: true, z: null, l: ['x'] } },
      { a: { n: hash(1), t: hash(true), z: null, l: [hash('x')] } },
    ],
    ['of another root', { 'subject.properties.a': 'drop', 'resource.properties': 'drop' }, { a: 1 }, { a: 1 }],
  ])('%s', (_title, settings, context, wanted) => {
    expect(seen(settings, context)).toEqual(wanted)
  })
})

test('a hash tells a text from a number, is the same wherever the value stands, and says what it is', () => {
  expect(hash('5')).not.toBe(hash(5))
  expect(hash('5')).toMatch(/^hmac:[\w-]{43}$/)
  const redaction = new Redaction({ 'subject.id': 'keyed_hash', 'resource.properties.owner': 'keyed_hash' }, key)
  const made = event({ resource: { type: 'document', id: '1', properties: { owner: 'alice' } } })
  const { subject, resource } = redactedEvent(made, redaction)
  expect(resource?.properties).toEqual({ owner: subject?.id })
})

test('each tenant has a key of its own, derived from the master key', () => {
  const redactor = new Redactor(key)
  const settings = { redaction: { 'subject.id': 'keyed_hash' } } as const
  const idIn = (tenant: string) => redactor.event(event({ tenant }), settings).subject?.id
  expect(idIn('acme')).toBe(redactor.hashIn('acme')('alice'))
  expect(idIn('acme')).not.toBe(idIn('other'))
  expect(new Redactor(Buffer.alloc(32, 2)).hashIn('acme')('alice')).not.toBe(idIn('acme'))
})

test('identifiers, addresses and browsers of a decision are treated wherever they stand', () => {
  const made = event({ actor: { type: 'user', id: 'ann', key_id: 'k1' }, ip: '10.1.1.1', user_agent: 'curl' })
  const redaction = new Redaction(
    {
      'subject.id': 'keyed_hash',
      'resource.id': 'keyed_hash',
      'actor.id': 'keyed_hash',
      ip: 'keyed_hash',
      user_agent: 'drop',
    },
    key,
  )
  expect(redactedEvent(made, redaction)).toEqual({
    ...made,
    subject: { type: 'user', id: hash('alice') },
    resource: { type: 'document', id: hash('reports/q3') },
    actor: { type: 'user', id: hash('ann'), key_id: 'k1' },
    ip: hash('10.1.1.1'),
    user_agent: null,
  })
})

test('properties are left out where all of them are dropped, and stay where they were never', () => {
  const properties = { a: 1 }
  const made = event({
    subject: { type: 'user', id: 'a', properties },
    action: { name: 'x', properties },
    resource: { type: 'r', id: '1' },
  })
  const redaction = new Redaction({ 'subject.properties': 'drop', 'action.properties.a': 'drop' }, key)
  const { subject, action, resource } = redactedEvent(made, redaction)
  expect([subject, action, resource]).toEqual([
    { type: 'user', id: 'a' },
    { name: 'x', properties: {} },
    { type: 'r', id: '1' },
  ])
})

test('of a call, what its record repeats of people is treated, and Verdict’s own words stay', () => {
  const explained = {
    subject: { type: 'user', id: 'bob' },
    action: { name: 'read' },
    resource: { type: 'doc', id: '1', properties: { ssn: '1' } },
    context: { ip: '1.1.1.1' },
    decision: false,
  }
  const made = event({
    type: 'administration',
    resource: { type: 'pdp:entity', id: 'user/bob' },
    context: {
      status: 200,
      reason: 'as asked',
      query: { subject_id: 'bob', actor: ['ann', 'eve'], ip: '1.1.1.1', decision: 'false' },
      changes: [
        { kind: 'entity', key: { type: 'user', id: 'bob' }, operation: 'update' },
        { kind: 'rule', key: { name: 'r' }, operation: 'update' },
      ],
      explained,
    },
  })
  const redaction = new Redaction(
    {
      context: 'drop',
      'subject.id': 'keyed_hash',
      'actor.id': 'keyed_hash',
      ip: 'drop',
      'resource.properties': 'drop',
    },
    key,
  )
  const { resource, context } = redactedEvent(made, redaction)
  expect(resource).toEqual({ type: 'pdp:entity', id: hash('user/bob') })
  expect(context).toEqual({
    status: 200,
    reason: 'as asked',
    query: { subject_id: hash('bob'), actor: [hash('ann'), hash('eve')], decision: 'false' },
    changes: [
      { kind: 'entity', key: { type: 'user', id: hash('bob') }, operation: 'update' },
      { kind: 'rule', key: { name: 'r' }, operation: 'update' },
    ],
    explained: {
      ...explained,
      subject: { type: 'user', id: hash('bob') },
      resource: { type: 'doc', id: '1' },
      context: null,
    },
  })
})

test('what may be a subject and may be a resource is treated as the stricter of the two wants it', () => {
  const redaction = new Redaction(
    {
      'subject.properties.a': 'keyed_hash',
      'resource.properties.a': 'drop',
      'resource.properties.b.x': 'drop',
      'subject.properties.b': 'keyed_hash',
    },
    key,
  )
  expect(redaction.entityProperties({ a: 1, b: { x: 1, y: 2 }, c: 3 })).toEqual({ b: { y: hash(2) }, c: 3 })
  expect(redaction.entityId('x')).toBe('x')
  expect(new Redaction({ 'resource.id': 'keyed_hash' }, key).entityId('x')).toBe(hash('x'))
})

test('without a redaction an event is recorded as it is, by one comparison', () => {
  const made = event()
  expect(new Redactor(key).event(made, DEFAULT_SETTINGS)).toBe(made)
})

test('where a tenant’s settings cannot be had, nothing is recorded in the clear that they could hide', () => {
  const made = event({
    context: { a: 'secret' },
    ip: '10.0.0.1',
    subject: { type: 'user', id: 'alice', properties: { a: 1 } },
  })
  const text = JSON.stringify(new Redactor(key).strictly(made))
  for (const hidden of ['alice', 'secret', '10.0.0.1', 'q3', 'gateway']) expect(text).not.toContain(hidden)
  expect(text).toContain(new Redactor(key).hashIn('acme')('alice'))
})

describe('of what a query names', () => {
  // Neither a person nor a thing of the tenant's, but names of policy, times, ids of calls. A cursor, which may hold any
  // key, is left out of records (`http/guard.ts`).
  const CLEAR = new Set([
    'action',
    'active',
    'after_revision',
    'bucket',
    'by',
    'cursor',
    'decision',
    'dry_run',
    'effect',
    'follow',
    'format',
    'from',
    'from_size',
    'granted_by_type',
    'limit',
    'older_than_days',
    'order',
    'policy',
    'reason',
    'request_id',
    'resource_type',
    'role',
    'rule',
    'start',
    'state',
    'subject_type',
    'to',
    'to_size',
    'top',
    'trace_id',
    'type',
    'waiting_for',
    'writer',
  ])
  const members = new Set(ROUTES.flatMap(({ schema }) => queryOf(schema)))
  const hidden = new Redaction(
    { 'actor.id': 'keyed_hash', 'subject.id': 'keyed_hash', 'resource.id': 'keyed_hash', ip: 'keyed_hash' },
    key,
  )
  const recorded = (member: string) =>
    redactedEvent(event({ type: 'administration', context: { query: { [member]: 'canary' } } }), hidden)

  test.each([...members].filter((member) => !CLEAR.has(member)))(
    '%s is hidden where it is hidden in records',
    (member) => {
      expect(JSON.stringify(recorded(member).context)).not.toContain('canary')
    },
  )

  test('the rest is known, and in the clear', () => {
    expect([...CLEAR].filter((member) => !members.has(member))).toEqual([])
    for (const member of CLEAR) expect(recorded(member).context).toEqual({ query: { [member]: 'canary' } })
  })

  function queryOf(schema: object): string[] {
    if (!('querystring' in schema)) return []
    const { querystring } = schema
    const isObject = typeof querystring === 'object' && querystring !== null && 'properties' in querystring
    return isObject ? Object.keys(Object(querystring.properties)) : []
  }
})
