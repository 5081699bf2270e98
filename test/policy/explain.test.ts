import { describe, expect, test } from 'vitest'
import { CLEAR, type Show } from '../../src/policy/condition-trace.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Rule } from '../../src/policy/model.ts'

const NOW = Date.parse('2030-01-01T12:00:00Z')

const alice = { type: 'user', id: 'alice' }
const plan = { type: 'document', id: 'plan' }

function explained(bundle: Omit<Bundle, 'verdict'>, more: Partial<AccessRequest> = {}, show: Show = CLEAR) {
  const { index, lookup } = loadBundle({ verdict: 1, ...bundle })
  const request = { subject: alice, action: { name: 'read' }, resource: plan, ...more }
  return explain(index, factsFor(lookup, request), request, NOW, lookup, show)
}

function rule(name: string, more: Partial<Rule> = {}): Rule {
  return {
    name,
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['read'],
    resources: [{ type: 'document' }],
    ...more,
  }
}

function conditionTrace(condition: string, more: Partial<AccessRequest> = {}, show: Show = CLEAR) {
  const bundle: Omit<Bundle, 'verdict'> = {
    rules: [rule('one', { condition })],
    entities: [{ ...plan, properties: { owner: 'bob', tags: ['x', 'y'], secret: 's3cret' } }],
  }
  return explained(bundle, more, show).trace.rules[0]?.parts.condition
}

describe('the trace of a condition shows the attributes that it read', () => {
  test('with their values, in the order of its text', () => {
    expect(conditionTrace('resource.properties.owner == subject.id')).toEqual({
      outcome: 'fails',
      text: 'resource.properties.owner == subject.id',
      values: [
        { path: 'resource.properties.owner', value: 'bob' },
        { path: 'subject.id', value: 'alice' },
      ],
    })
  })

  test('and none that a short cut passed over', () => {
    const trace = conditionTrace('subject.id == "bob" && resource.properties.owner == "bob"')
    expect(trace?.values.map(({ path }) => path)).toEqual(['subject.id'])
  })

  test.each([
    ['context.missing == 1', [{ path: 'context.missing' }]],
    ['has(context.missing)', [{ path: 'context.missing' }]],
    ['context["odd name"] == 1', [{ path: 'context["odd name"]', value: 1 }]],
    ['context.list.exists(subject, subject == 2)', [{ path: 'context.list', value: [1, 2] }]],
    ['cel.bind(resource, context.list, resource.size() == 2)', [{ path: 'context.list', value: [1, 2] }]],
    ['context.list[0] == 1', [{ path: 'context.list', value: [1, 2] }]],
    [
      'context.map[subject.id] == 1',
      [
        { path: 'context.map', value: { alice: 1 } },
        { path: 'subject.id', value: 'alice' },
      ],
    ],
    ['now.getHours() == 12', [{ path: 'now', value: new Date(NOW) }]],
    ['subject.id == "x" || subject.id == "alice"', [{ path: 'subject.id', value: 'alice' }]],
    ['"__proto__" in context', [{ path: 'context', value: { 'odd name': 1, list: [1, 2], map: { alice: 1 } } }]],
  ])('%s', (text, values) => {
    const context = { 'odd name': 1, list: [1, 2], map: { alice: 1 } }
    expect(conditionTrace(text, { context })?.values).toEqual(values)
  })

  test('a long value is shortened', () => {
    const [seen] = conditionTrace('context.text == "a"', { context: { text: 'x'.repeat(200_000) } })?.values ?? []
    expect(seen).toEqual({ path: 'context.text', value: `"${'x'.repeat(999)}`, shortened: true })
  })
})

describe('a condition that errs says why and where', () => {
  test.each([
    ['true &&\n  context.missing > 1', 'no such attribute: missing', 2, 3],
    ['context.text > 1', /./, 1, 1],
    ['context.text % 2 == 0', /./, 1, 1],
    ['context.text', 'it came to something else than true or false', 1, 1],
  ])('%s', (text, detail, line, column) => {
    const { outcome, error } = conditionTrace(text, { context: { text: 'x' } }) ?? {}
    expect(outcome).toBe('errs')
    expect(error).toMatchObject({ line, column })
    expect(error?.detail).toMatch(detail)
  })

  test('the budget of the request', () => {
    const list = Array.from({ length: 1000 }, (_, at) => at)
    const { outcome, error } =
      conditionTrace('context.list.all(a, context.list.all(b, a + b >= 0))', { context: { list } }) ?? {}
    expect([outcome, error?.detail]).toEqual(['errs', 'the budget of the request is spent'])
  })

  test('a rule that does not compile is told as quarantined, with the place', () => {
    const { trace, decision } = explained({
      rules: [rule('broken', { effect: 'deny', condition: 'subject.idd == "a"' })],
    })
    expect(decision.reason).toBe('condition_error')
    expect(trace.rules[0]).toMatchObject({ rule: 'default/broken', quarantined: true, applies: true, erred: true })
    expect(trace.rules[0]?.parts.condition?.error).toMatchObject({ line: 1, column: 9 })
  })
})

describe('values pass through what is given to show them', () => {
  const redacted: Show = (path, value) => (path.join('.') === 'resource.properties.secret' ? 'hidden' : value)

  test('by their path', () => {
    const trace = conditionTrace('resource.properties.secret == "a" || subject.id == "b"', {}, redacted)
    expect(trace?.values).toEqual([
      { path: 'resource.properties.secret', value: 'hidden' },
      { path: 'subject.id', value: 'alice' },
    ])
  })

  test('an error that might repeat one is not told', () => {
    const trace = conditionTrace('timestamp(resource.properties.secret) > now', {}, redacted)
    expect(JSON.stringify(trace)).not.toContain('s3cret')
    expect(trace?.error?.detail).toBe('it could not be evaluated')
  })
})

describe('roles are told with every way to them', () => {
  const roles: Bundle['roles'] = [
    { name: 'viewer' },
    { name: 'editor', inherits: ['viewer'] },
    { name: 'owner', derived: { from: ['viewer'], condition: 'resource.properties.owner == subject.id' } },
  ]
  const entities: Bundle['entities'] = [
    { ...alice, parents: [{ type: 'group', id: 'eng' }] },
    { type: 'group', id: 'eng', parents: [{ type: 'group', id: 'all' }] },
  ]
  const assignments: Bundle['assignments'] = [
    { subject: { type: 'group', id: 'all' }, role: 'editor' },
    { subject: alice, role: 'viewer', valid_until: '2031-01-01T00:00:00Z' },
    { subject: alice, role: 'guest', valid_until: '2029-01-01T00:00:00Z' },
    { subject: alice, role: 'early', valid_from: '2031-01-01T00:00:00Z' },
    { subject: alice, role: 'local', within: { type: 'folder', id: 'x' } },
    { subject: alice, role: 'pdp:admin' },
  ]

  test('assigned, inherited, derived; and those that do not count', () => {
    const resource = { ...plan, properties: { owner: 'alice' } }
    const { trace } = explained({ roles, entities, assignments }, { resource })
    const group = (id: string) => ({ type: 'group', id })
    expect(trace.roles).toMatchObject([
      {
        role: 'editor',
        erred: false,
        through: [{ assignment: 'bundle-0', path: [alice, group('eng'), group('all')] }],
      },
      { role: 'owner', erred: false, through: [{ derived_from: 'viewer', condition: { outcome: 'holds' } }] },
      {
        role: 'viewer',
        erred: false,
        through: [{ assignment: 'bundle-1', valid_until: '2031-01-01T00:00:00Z' }, { inherited_from: 'editor' }],
      },
    ])
    expect(trace.roles_missed.map(({ role, because }) => [role, because])).toEqual([
      ['early', 'not_yet'],
      ['guest', 'expired'],
      ['local', 'elsewhere'],
    ])
  })

  test('one whose condition fails is among those that do not count', () => {
    const resource = { ...plan, properties: { owner: 'bob' } }
    const { trace } = explained({ roles, entities, assignments }, { resource })
    expect(trace.roles_missed).toMatchObject([{}, {}, {}, { role: 'owner', because: 'condition' }])
  })

  test('one whose condition errs is held for denies alone', () => {
    const { trace } = explained({ roles, entities, assignments })
    expect(trace.roles.find(({ role }) => role === 'owner')).toMatchObject({
      erred: true,
      through: [{ derived_from: 'viewer', condition: { outcome: 'errs' } }],
    })
  })
})

describe('near misses', () => {
  const misses = (bundle: Omit<Bundle, 'verdict'>) =>
    explained(bundle).trace.nearest_misses.map(({ rule: key, failed }) => [key, failed])

  test('what is most easily put right stands first', () => {
    const rules = [
      rule('a', { actions: ['write'] }),
      rule('b', { resources: [{ type: 'folder' }] }),
      rule('c', { subjects: [{ type: 'user', id: 'bob' }] }),
      rule('d', { subjects: [{ role: 'editor' }] }),
      rule('e', { valid_until: '2029-01-01T00:00:00Z' }),
      rule('f', { condition: 'false' }),
      rule('g', { condition: 'false', actions: ['write'] }),
      rule('h', { effect: 'deny', condition: 'false' }),
    ]
    expect(misses({ rules })).toEqual([
      ['default/f', 'condition'],
      ['default/e', 'validity'],
      ['default/d', 'subject'],
      ['default/c', 'subject'],
      ['default/b', 'resource'],
      ['default/a', 'action'],
    ])
  })

  test('none that a deny, a required policy or a higher priority would overrule', () => {
    const near = rule('near', { condition: 'false' })
    expect(misses({ rules: [near] })).toHaveLength(1)
    expect(misses({ rules: [near, rule('no', { effect: 'deny' })] })).toEqual([])
    expect(misses({ rules: [near], policies: [{ name: 'acl', required: true }] })).toEqual([])
    const first: Bundle['policies'] = [{ name: 'default', combining: 'first_applicable' }]
    const no = rule('no', { effect: 'deny', priority: 5 })
    const high = rule('high', { condition: 'false', priority: 6 })
    expect(misses({ rules: [near, no, high], policies: first })).toEqual([['default/high', 'condition']])
  })

  test('of a disabled subject there is none', () => {
    const rules = [rule('near', { condition: 'false' })]
    expect(misses({ rules, entities: [{ ...alice, disabled: true }] })).toEqual([])
  })

  test('among very many rules, the search is bounded and says that it was', () => {
    const others = Array.from({ length: 30_000 }, (_, at) =>
      rule(`other-${at}`, {
        subjects: [{ type: 'user', id: `u${at}` }],
        resources: [{ type: 'document', id: `d${at}` }],
      }),
    )
    const mine = rule('mine', {
      subjects: [alice],
      actions: ['write'],
      resources: [plan].map(({ type, id }) => ({ type, id })),
    })
    const { trace } = explained({ rules: [...others, mine] })
    expect(trace.complete).toBe(false)
    expect(trace.nearest_misses).toMatchObject([{ rule: 'default/mine', failed: 'action' }])
  })

  test('at most ten are told', () => {
    const rules = Array.from({ length: 30 }, (_, at) => rule(`r${at}`, { condition: 'false' }))
    const { trace } = explained({ rules })
    expect(trace.nearest_misses).toHaveLength(10)
    expect(trace.complete).toBe(true)
  })
})
