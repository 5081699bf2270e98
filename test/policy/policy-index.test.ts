import { expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import { type AccessRequest, type Bundle, DEFAULT_SETTINGS, type Decision, type Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')

const REQUEST: AccessRequest = {
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id: 'x' },
}

const rule = (name: string, more: object = {}): Rule => ({
  name,
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
  ...more,
})

const ask = ({ index, lookup }: ReturnType<typeof loadBundle>, request = REQUEST): Decision =>
  decide(index, factsFor(lookup, request), request, NOW)

const load = (bundle: Omit<Bundle, 'verdict'>) => loadBundle({ verdict: 1, ...bundle })

const broken: [string, object][] = [
  ['a condition that does not parse', { condition: 'context.' }],
  ['a condition of another version', { condition: 'future(subject)' }],
  ['no subjects', { subjects: undefined }],
  ['a subject of an unknown kind', { subjects: [{ team: 'a' }] }],
  ['actions that are no texts', { actions: [1] }],
  ['a resource without a type', { resources: [{ id: 'x' }] }],
  ['resources that are no list', { resources: { type: 'doc' } }],
  ['obligations that are no list', { obligations: { id: 'x' } }],
  ['an instant that is none', { valid_until: 'tomorrow' }],
]

test.each(broken)('a rule with %s is quarantined: as an allow it never applies', (_what, more) => {
  const loaded = load({ rules: [rule('faulty', more)] })
  expect(loaded.index.quarantined).toBe(1)
  expect(ask(loaded)).toEqual({
    decision: false,
    reason: 'condition_error',
    rules: ['default/faulty'],
    obligations: [],
  })
})

test.each(broken)('a rule with %s is quarantined: as a deny it always applies', (_what, more) => {
  const loaded = load({ rules: [rule('open'), rule('faulty', { effect: 'deny', ...more })] })
  expect(loaded.index.quarantined).toBe(1)
  expect(ask(loaded)).toEqual({
    decision: false,
    reason: 'condition_error',
    rules: ['default/faulty'],
    obligations: [],
  })
})

test('a quarantined deny applies only where its other parts match', () => {
  const faulty = rule('faulty', { effect: 'deny', condition: 'context.', actions: ['write'] })
  expect(ask(load({ rules: [rule('open'), faulty] })).decision).toBe(true)
})

test('a quarantined rule that is put right or removed leaves the quarantine', () => {
  const loaded = load({ rules: [rule('faulty', { condition: 'context.' })] })
  const change = { kind: 'rule', key: { name: 'faulty' }, operation: 'update', before: null } as const
  loaded.index.apply({ ...change, after: rule('faulty') })
  expect(loaded.index.quarantined).toBe(0)
  expect(ask(loaded).decision).toBe(true)
  loaded.index.apply({ ...change, after: null })
  expect(ask(loaded).decision).toBe(false)
  expect(loaded.index.isEmpty).toBe(true)
})

test('a derived role that cannot be compiled counts as held for denies and not for allows', () => {
  const roles = [{ name: 'base' }, { name: 'faulty', derived: { from: ['base'], condition: 'context.' } }]
  const assignments = [{ subject: REQUEST.subject, role: 'base' }]
  const allow = load({ roles, assignments, rules: [rule('for-faulty', { subjects: [{ role: 'faulty' }] })] })
  expect(allow.index.quarantined).toBe(1)
  expect(ask(allow)).toMatchObject({ decision: false, reason: 'condition_error' })
  const deny = load({
    roles,
    assignments,
    rules: [rule('open'), rule('no', { effect: 'deny', subjects: [{ role: 'faulty' }] })],
  })
  expect(ask(deny)).toMatchObject({ decision: false, reason: 'condition_error', rules: ['default/no'] })
})

test('roles that stand in a cycle in the store are in doubt, and with them all that only they lead to', () => {
  const roles = [
    { name: 'a', inherits: ['b'] },
    { name: 'b', inherits: ['a'], permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] },
    { name: 'c', derived: { from: ['d'], condition: 'true' } },
    { name: 'd', derived: { from: ['c'], condition: 'true' } },
  ]
  const loaded = load({ roles, assignments: [{ subject: REQUEST.subject, role: 'a' }] })
  expect(ask(loaded)).toMatchObject({ decision: false, reason: 'condition_error', rules: ['roles/b'] })
  expect(loaded.index.quarantined).toBe(4)
  expect(loaded.index.faultOf('role', 'd')).toMatch('builds on itself')
  const change = { kind: 'role', key: { name: 'b' }, operation: 'update', before: null } as const
  loaded.index.apply({ ...change, after: { name: 'b', permissions: roles[1]?.permissions ?? [] } })
  expect(ask(loaded)).toMatchObject({ decision: true })
  expect(loaded.index.quarantined).toBe(2)
})

test('obligations come in the order of rules and places, wholly equal ones once', () => {
  const mask = (fields: object) => ({ id: 'm', type: 'tell', properties: { fields, level: 1 } })
  const rules = [
    rule('b', { obligations: [mask({ x: 1, y: 2 }), { id: 'z', type: 'log' }] }),
    rule('a', {
      obligations: [
        { id: 'z', type: 'log' },
        { id: 'm', type: 'tell', properties: { level: 1, fields: { y: 2, x: 1 } } },
      ],
    }),
    rule('c', { obligations: [mask({ x: 1, y: 3 }), { id: 'z', type: 'log', properties: {} }] }),
  ]
  expect(ask(load({ rules })).obligations).toEqual([
    { id: 'z', type: 'log' },
    mask({ x: 1, y: 2 }),
    mask({ x: 1, y: 3 }),
    { id: 'z', type: 'log', properties: {} },
  ])
})

test('the denial of a disabled subject carries the obligations of the denies that apply', () => {
  const rules = [rule('no', { effect: 'deny', obligations: [{ id: 'a', type: 'alert' }] })]
  const entities = [{ type: 'user', id: 'ann', disabled: true }]
  expect(ask(load({ rules, entities }))).toEqual({
    decision: false,
    reason: 'subject_disabled',
    rules: [],
    obligations: [{ id: 'a', type: 'alert' }],
  })
})

test('the conditions of one request draw on one budget, and past it they err', () => {
  const hungry = 'context.l.all(a, context.l.all(b, true)) || true'
  const loaded = load({
    rules: [rule('hungry', { condition: hungry }), rule('modest', { condition: 'subject.known || true' })],
  })
  const request = { ...REQUEST, context: { l: Array.from({ length: 1000 }, (_, at) => at) } }
  const facts = factsFor(loaded.lookup, request)
  const budget = new Budget()
  decide(loaded.index, facts, request, NOW, budget)
  expect(budget.spent).toBe(true)
  expect(decide(loaded.index, facts, REQUEST, NOW, budget)).toMatchObject({
    decision: false,
    reason: 'condition_error',
  })
  expect(decide(loaded.index, facts, REQUEST, NOW)).toMatchObject({ decision: true })
})

test('settings and types are followed, and return to their defaults', () => {
  const { index } = load({
    settings: { attribute_precedence: 'stored', levels: ['low', 'high'] },
    types: [{ name: 'doc', protected_properties: ['owner'] }],
  })
  expect(index.settings).toEqual({ ...DEFAULT_SETTINGS, attribute_precedence: 'stored', levels: ['low', 'high'] })
  expect(index.types.get('doc')).toBeDefined()
  const gone = { operation: 'delete', before: null, after: null } as const
  index.apply({ kind: 'settings', key: null, ...gone })
  index.apply({ kind: 'type', key: { name: 'doc' }, ...gone })
  expect(index.settings.attribute_precedence).toBe('request')
  expect(index.settings.levels).toEqual(['none', 'read_only', 'read_write', 'admin', 'system'])
  expect(index.types.size).toBe(0)
  expect(index.protectedProperties('doc')).toBeUndefined()
})

test('a rule with a billion combinations is filed, found and removed at once', () => {
  const index = new PolicyIndex()
  const numbers = Array.from({ length: 1000 }, (_, at) => at)
  const wide = rule('wide', {
    subjects: numbers.map((at) => ({ type: 'user', id: `u${at}` })),
    actions: numbers.map((at) => `a${at}`),
    resources: numbers.map((at) => ({ type: 'doc', id: `d${at}` })),
  })
  const began = process.cpuUsage()
  index.apply({ kind: 'rule', key: { name: 'wide' }, operation: 'create', before: null, after: wide })
  const decided = (subject: string, action: string, resource: string) => {
    const request = {
      subject: { type: 'user', id: subject },
      action: { name: action },
      resource: { type: 'doc', id: resource },
    }
    return decide(index, factsFor(loadBundle({ verdict: 1 }).lookup, request), request, NOW).decision
  }
  expect(decided('u7', 'a99', 'd0')).toBe(true)
  expect(decided('u1000', 'a99', 'd0')).toBe(false)
  expect(decided('u7', 'a1000', 'd0')).toBe(false)
  expect(decided('u7', 'a99', 'd1000')).toBe(false)
  index.apply({ kind: 'rule', key: { name: 'wide' }, operation: 'delete', before: wide, after: null })
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(500)
  expect(index.isEmpty).toBe(true)
})

test('who holds many roles finds what one of them is given later, where others had something before', () => {
  const index = new PolicyIndex((any) => new RuleIndex(any, { filings: 2000, list: 0, marked: 0 }))
  const at = (id: string) => ({ resources: [{ type: 'doc', id }] })
  const rules = [
    rule('ben', { subjects: [{ type: 'user', id: 'ben' }], ...at('x') }),
    rule('elsewhere', { subjects: [{ role: 'editor' }], ...at('y') }),
  ]
  const assignments = [{ subject: REQUEST.subject, role: 'editor' }]
  const { lookup } = loadBundle({ verdict: 1, rules, assignments }, index)
  const facts = factsFor(lookup, REQUEST)
  expect(decide(index, facts, REQUEST, NOW).rules).toEqual([])
  const here = { kind: 'rule', key: { name: 'here' }, operation: 'create', before: null } as const
  index.apply({ ...here, after: rule('here', { subjects: [{ role: 'editor' }], ...at('x') }) })
  expect(decide(index, facts, REQUEST, NOW).rules).toEqual(['default/here'])
  index.apply({ ...here, after: null })
  expect(decide(index, facts, REQUEST, NOW).rules).toEqual([])
})

test('a rule for everybody is one of the candidates, however many rules are for others', () => {
  const others = Array.from({ length: 100 }, (_, at) =>
    rule(`for-${at}`, { subjects: [{ type: 'user', id: `u${at}` }] }),
  )
  const loaded = load({ rules: [...others, rule('for-all')] })
  expect(ask(loaded).rules).toEqual(['default/for-all'])
  expect(ask(loaded, { ...REQUEST, subject: { type: 'user', id: 'u42' } }).rules).toEqual([
    'default/for-42',
    'default/for-all',
  ])
})
