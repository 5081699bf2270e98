import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { carriedBy } from '../../src/policy/context/carried.ts'
import { decideCarried } from '../../src/policy/context/decide.ts'
import type { ContextBody } from '../../src/policy/context/model.ts'
import { narrowed, widerThan } from '../../src/policy/context/narrow.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle } from '../../src/policy/model.ts'
import { DEFAULT_SETTINGS } from '../../src/policy/model.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const any = [{ any: true } as const]
const all = [{ type: '*' }]

function answer(context: Partial<ContextBody>, bundle: Partial<Bundle> = {}, asked: Partial<AccessRequest> = {}) {
  const rules: Bundle['rules'] = [{ name: 'all', effect: 'allow', subjects: any, actions: ['*'], resources: all }]
  const { index, lookup } = loadBundle({ verdict: 1, rules, ...bundle })
  const request = { subject: alice, action: { name: 'read' }, resource: { type: 'doc', id: 'a/b' }, ...asked }
  const facts = factsFor(lookup, request)
  const { decision } = decideCarried(index, { facts, request }, carriedBy(body(context)), NOW, new Budget())
  return decision
}

const alice = { type: 'user', id: 'alice' }
const body = (more: Partial<ContextBody>): ContextBody => ({
  subject: alice,
  quotas: {},
  capabilities: [],
  parents: [],
  ...more,
})
const reasonOf = (...given: Parameters<typeof answer>) => answer(...given).reason

describe('what a context carries', () => {
  test('is all that the subject may, without capabilities', () => {
    expect(reasonOf({})).toBe('allowed_by_rule')
    expect(reasonOf({}, { rules: [] })).toBe('no_applicable_rule')
  })

  test.each([
    ['the action', [{ actions: ['read'], resources: all }], true],
    ['a pattern of it', [{ actions: ['re*'], resources: all }], true],
    ['another action', [{ actions: ['write'], resources: all }], false],
    ['the type', [{ actions: ['*'], resources: [{ type: 'doc' }] }], true],
    ['another type', [{ actions: ['*'], resources: [{ type: 'plan' }] }], false],
    ['the id', [{ actions: ['*'], resources: [{ type: 'doc', id: 'a/*' }] }], true],
    ['another id', [{ actions: ['*'], resources: [{ type: 'doc', id: 'a' }] }], false],
    ['what it is in', [{ actions: ['*'], resources: [{ type: 'doc', within: { type: 'folder', id: 'f' } }] }], true],
    [
      'what it is not in',
      [{ actions: ['*'], resources: [{ type: 'doc', within: { type: 'folder', id: 'g' } }] }],
      false,
    ],
    ['a condition that holds', [{ actions: ['*'], resources: all, condition: 'subject.id == "alice"' }], true],
    ['a condition that fails', [{ actions: ['*'], resources: all, condition: 'subject.id == "bob"' }], false],
    ['a condition that errs', [{ actions: ['*'], resources: all, condition: 'context.nothing' }], false],
    [
      'one of two',
      [
        { actions: ['write'], resources: all },
        { actions: ['read'], resources: all },
      ],
      true,
    ],
  ])('by %s: %s', (_what, layer, carries) => {
    const entities = [{ type: 'doc', id: 'a/b', parents: [{ type: 'folder', id: 'f' }] }]
    expect(reasonOf({ capabilities: [layer] }, { entities })).toBe(carries ? 'allowed_by_rule' : 'context_exceeded')
  })

  test('must be in every layer', () => {
    const layer = (action: string) => [{ actions: [action], resources: all }]
    expect(reasonOf({ capabilities: [layer('*'), layer('read')] })).toBe('allowed_by_rule')
    expect(reasonOf({ capabilities: [layer('read'), layer('write')] })).toBe('context_exceeded')
    expect(reasonOf({ capabilities: [layer('write'), layer('*')] })).toBe('context_exceeded')
  })

  test('gives nothing to whom no rule does', () => {
    expect(reasonOf({ capabilities: [[{ actions: ['*'], resources: all }]] }, { rules: [] })).toBe('no_applicable_rule')
  })
})

describe('the level of a context', () => {
  const rule = (condition: string): Partial<Bundle> => ({
    rules: [{ name: 'r', effect: 'allow', subjects: any, actions: ['*'], resources: all, condition }],
    entities: [{ ...alice, properties: { level: 'admin' } }],
  })
  test('lowers that of the subject', () => {
    const needs = rule('level(subject) >= level("read_write")')
    expect(reasonOf({}, needs)).toBe('allowed_by_rule')
    expect(reasonOf({ level: 'read_write' }, needs)).toBe('allowed_by_rule')
    expect(reasonOf({ level: 'read_only' }, needs)).toBe('no_applicable_rule')
  })

  test('never raises it, nor gives one', () => {
    const needs = rule('level(subject) >= level("system")')
    expect(reasonOf({ level: 'system' }, needs)).toBe('no_applicable_rule')
    expect(reasonOf({ level: 'system' }, { ...needs, entities: [] })).toBe('condition_error')
  })

  test('changes nothing where the subject has a lower one, or none', () => {
    const { rules = [] } = rule('level(subject) < level("admin")')
    const low = { rules, entities: [{ ...alice, properties: { level: 'none' } }] }
    expect(reasonOf({ level: 'system' }, low)).toBe('allowed_by_rule')
    const plain = { rules: rule('!has(subject.properties.level)').rules ?? [] }
    expect(reasonOf({ level: 'system' }, plain)).toBe('allowed_by_rule')
  })

  test('does not let a low level do what a high one may not, nor forget one that it had', () => {
    expect(reasonOf({ level: 'none' }, rule('level(subject) < level("admin")'))).toBe('no_applicable_rule')
    const odd = rule('level(subject) != level("read_write")')
    expect(reasonOf({ level: 'none' }, odd)).toBe('allowed_by_rule')
    expect(reasonOf({ level: 'none', former_levels: ['read_write'] }, odd)).toBe('no_applicable_rule')
  })

  test('that the tenant knows no more is an error in conditions', () => {
    expect(reasonOf({ level: 'gone' }, rule('level(subject) >= level("none")'))).toBe('condition_error')
  })

  test('lowers a level that a request brings, by name or by its place', () => {
    const needs = { rules: rule('level(subject) >= level("admin")').rules ?? [] }
    for (const level of ['admin', 3]) {
      const asked = { subject: { ...alice, properties: { level } } }
      expect([reasonOf({}, needs, asked), reasonOf({ level: 'none' }, needs, asked)]).toEqual([
        'allowed_by_rule',
        'no_applicable_rule',
      ])
    }
  })

  test('brings the obligations of both levels along', () => {
    const obliged = (name: string, condition: string) => ({
      name,
      effect: 'allow' as const,
      subjects: any,
      actions: ['*'],
      resources: all,
      condition,
      obligations: [{ id: name, type: 'log' }],
    })
    const rules = [
      obliged('high', 'level(subject) >= level("admin")'),
      obliged('low', 'level(subject) < level("admin")'),
    ]
    const entities = [{ ...alice, properties: { level: 'admin' } }]
    const { rules: named, obligations } = answer({ level: 'none' }, { rules, entities })
    expect([named, obligations.map(({ id }) => id)]).toEqual([
      ['default/high', 'default/low'],
      ['high', 'low'],
    ])
  })
})

describe('a quota', () => {
  test.each([
    ['less', { memory: 4000 }, true],
    ['more', { memory: 4001 }, false],
    ['a text', { memory: '1' }, false],
    ['null', { memory: null }, false],
    ['without end', { memory: Number.POSITIVE_INFINITY }, false],
    ['something else', { disk: 9999 }, true],
    ['nothing', {}, true],
    ['no object', 5, false],
    ['a list', [1], false],
    ['null in all', null, false],
  ])('of what is requested: %s', (_what, requested, within) => {
    const asked = { context: { requested } }
    expect(reasonOf({ quotas: { memory: 4000 } }, {}, asked)).toBe(within ? 'allowed_by_rule' : 'quota_exceeded')
  })

  test('is no matter where nothing is requested, and comes after all else', () => {
    expect(reasonOf({ quotas: { memory: 1 } })).toBe('allowed_by_rule')
    const asked = { context: { requested: { memory: 2 } } }
    const capabilities = [[{ actions: ['write'], resources: all }]]
    expect(reasonOf({ quotas: { memory: 1 }, capabilities }, {}, asked)).toBe('context_exceeded')
    expect(reasonOf({ quotas: { memory: 1 }, capabilities }, { rules: [] }, asked)).toBe('no_applicable_rule')
  })
})

describe('narrowing', () => {
  const { levels } = DEFAULT_SETTINGS
  const wide = body({
    level: 'read_write',
    quotas: { memory: 4000 },
    capabilities: [[{ actions: ['read', 'write'], resources: [{ type: 'doc', id: 'a/**' }] }]],
  })
  test.each([
    ['a lower level', { level: 'read_only' }, []],
    ['the same level', { level: 'read_write' }, []],
    ['a higher level', { level: 'admin' }, ['/level']],
    ['less of a capability', { capabilities: [{ actions: ['read'], resources: [{ type: 'doc', id: 'a/b' }] }] }, []],
    [
      'a condition more',
      { capabilities: [{ actions: ['read'], resources: [{ type: 'doc', id: 'a/**' }], condition: 'true' }] },
      [],
    ],
    [
      'another action beside',
      {
        capabilities: [
          { actions: ['read'], resources: [{ type: 'doc', id: 'a/b' }] },
          { actions: ['delete'], resources: [{ type: 'doc', id: 'a/b' }] },
        ],
      },
      ['/capabilities/1'],
    ],
    [
      'another id',
      { capabilities: [{ actions: ['read'], resources: [{ type: 'doc', id: 'b' }] }] },
      ['/capabilities/0'],
    ],
    ['every id', { capabilities: [{ actions: ['read'], resources: [{ type: 'doc' }] }] }, ['/capabilities/0']],
    ['a lower quota and a new one', { quotas: { memory: 1, cpu: 2 } }, []],
    ['a higher quota', { quotas: { memory: 4001 } }, ['/quotas/memory']],
    ['nothing', {}, []],
  ])('%s', (_what, narrowing, wider) => {
    expect(widerThan(wide, narrowing, levels).map(({ pointer }) => pointer)).toEqual(wider)
  })

  test('keeps what was, and adds a layer, the level and the quotas', () => {
    const capabilities = [{ actions: ['read'], resources: [{ type: 'doc', id: 'a/b' }] }]
    const { former_levels, ...less } = narrowed('1', wide, {
      level: 'none',
      capabilities,
      quotas: { memory: 1, cpu: 2 },
    })
    expect(former_levels).toEqual(['read_write'])
    expect(less).toEqual({
      subject: alice,
      level: 'none',
      quotas: { memory: 1, cpu: 2 },
      capabilities: [...wide.capabilities, capabilities],
      parents: ['1'],
    })
    expect(narrowed('2', body(less), {})).toEqual({ ...less, parents: ['1', '2'] })
  })

  test('cannot go on for ever', () => {
    const parents = Array.from({ length: 32 }, () => '1')
    expect(widerThan(body({ parents }), {}, levels).map(({ pointer }) => pointer)).toEqual(['/token'])
  })
})
