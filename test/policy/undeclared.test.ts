import { describe, expect, test } from 'vitest'
import type { EntityType, Role, Rule } from '../../src/policy/model.ts'
import { propertyReads } from '../../src/policy/property-reads.ts'
import { undeclaredInRole, undeclaredInRule } from '../../src/policy/undeclared.ts'

const TYPES: readonly EntityType[] = [
  { name: 'document', actions: ['document:read', 'document:edit'], schema: { properties: { owner: {}, level: {} } } },
  { name: 'folder', actions: ['folder:list'], schema: { properties: { path: {} }, additionalProperties: false } },
  { name: 'open', schema: { properties: { a: {} }, additionalProperties: true } },
  { name: 'typed', schema: { properties: { a: {} }, additionalProperties: { type: 'string' } } },
  { name: 'patterned', schema: { properties: { a: {} }, patternProperties: { '^x-': {} } } },
  { name: 'composed', schema: { properties: { a: {} }, allOf: [{ properties: { b: {} } }] } },
  { name: 'closed', schema: { properties: { a: {} }, unevaluatedProperties: false } },
  { name: 'bare' },
  { name: 'user', schema: { properties: { department: {} } } },
  { name: 'group', schema: { properties: {} } },
]
const declared = new Map(TYPES.map((type) => [type.name, type]))

const rule = (more: Partial<Rule>): Rule => ({
  name: 'r',
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['*'],
  resources: [{ type: 'document' }],
  ...more,
})
const found = (more: Partial<Rule>, isAlone: (type: string, id: string) => boolean = (type) => type !== 'group') =>
  undeclaredInRule(rule(more), declared, isAlone)

const on = (...types: string[]) => types.map((type) => ({ type }))

describe('an action that is not declared', () => {
  test('is named, with its place', () => {
    expect(found({ actions: ['document:read', 'document:delete'] })).toEqual([
      { pointer: '/actions/1', detail: 'the type document declares no action "document:delete"' },
    ])
  })

  test.each<[string, Partial<Rule>, number]>([
    [
      'of any type that the rule is about is declared',
      { actions: ['folder:list'], resources: on('document', 'folder') },
      0,
    ],
    ['of none of them is not', { actions: ['folder:drop'], resources: on('document', 'folder') }, 1],
    ['matched by a pattern is declared', { actions: ['document:*'] }, 0],
    ['matched by no pattern is not', { actions: ['doc:*'] }, 1],
    ['that is every action is none', { actions: ['*'] }, 0],
    ['of every type is not judged', { actions: ['x'], resources: on('document', '*') }, 0],
    ['of a type that nobody declared is not judged', { actions: ['x'], resources: on('document', 'stranger') }, 0],
    ['of a type that declares no actions is not judged', { actions: ['x'], resources: on('bare') }, 0],
  ])('%s', (_what, more, count) => {
    expect(found(more)).toHaveLength(count)
  })
})

describe('a property that is not declared', () => {
  test('is named, with line and column', () => {
    const condition = 'resource.properties.level < 3 &&\n  resource.properties.ownr == subject.id'
    expect(found({ condition })).toEqual([
      { pointer: '/condition', detail: 'line 2, column 23: the type document declares no property "ownr"' },
    ])
  })

  test.each<[string, Partial<Rule>, number]>([
    ['in has()', { condition: 'has(resource.properties.ownr)' }, 1],
    ['by its name in brackets', { condition: 'resource.properties["ownr"] == 1' }, 1],
    ['by membership', { condition: '"ownr" in resource.properties' }, 1],
    ['within a comprehension', { condition: '[1].exists(i, resource.properties.ownr == i)' }, 1],
    ['twice', { condition: 'resource.properties.x == resource.properties.y' }, 2],
    ['of one that is declared, below', { condition: 'resource.properties.owner.ownr == 1' }, 0],
    ['by a name that is computed', { condition: 'resource.properties[subject.id] == 1' }, 0],
    ['of the context', { condition: 'context.properties.ownr == 1' }, 0],
    [
      'of one of several types',
      { condition: 'resource.properties.path == "a"', resources: on('document', 'folder') },
      0,
    ],
    ['of none of several types', { condition: 'resource.properties.x == "a"', resources: on('document', 'folder') }, 1],
    ['of every type', { condition: 'resource.properties.x == 1', resources: on('*') }, 0],
    ['of a type that allows others', { condition: 'resource.properties.x == 1', resources: on('open') }, 0],
    [
      'of a type that allows others of a schema',
      { condition: 'resource.properties.x == 1', resources: on('typed') },
      0,
    ],
    ['of a type with patterns', { condition: 'resource.properties.x == 1', resources: on('patterned') }, 0],
    [
      'of a type that other schemas say more of',
      { condition: 'resource.properties.x == 1', resources: on('composed') },
      0,
    ],
    ['of a type without a schema', { condition: 'resource.properties.x == 1', resources: on('bare') }, 0],
    ['of a type that evaluates no others', { condition: 'resource.properties.x == 1', resources: on('closed') }, 1],
  ])('%s', (_what, more, count) => {
    expect(found(more)).toHaveLength(count)
  })

  test.each<[string, Rule['subjects'], number]>([
    ['of the subject that a rule names is', [{ type: 'user', id: 'bob' }], 1],
    [
      'of a group is not: its members have it',
      [
        { type: 'user', id: 'bob' },
        { type: 'group', id: 'eng' },
      ],
      0,
    ],
    ['of whoever holds a role is not', [{ role: 'editor' }], 0],
    ['of anybody is not', [{ any: true }], 0],
  ])('%s', (_what, subjects, count) => {
    expect(found({ subjects, condition: 'subject.properties.departmnt == "x"' })).toHaveLength(count)
  })

  test('in a permission of a role is located in the role', () => {
    const permission = { actions: ['document:read'], resources: on('document') }
    const role: Role = {
      name: 'r',
      permissions: [
        permission,
        { ...permission, actions: ['x'], condition: 'resource.properties.q == subject.properties.q' },
      ],
    }
    expect(undeclaredInRole(role, declared).map(({ pointer }) => pointer)).toEqual([
      '/permissions/1/actions/0',
      '/permissions/1/condition',
    ])
  })
})

test('a text that is no condition names no property', () => {
  expect(propertyReads('resource.properties.')).toEqual([])
})

test('a type that looks like a pattern is told of, whatever is declared', () => {
  const warned = undeclaredInRule(rule({ resources: [{ type: '*' }, { type: 'doc*' }] }), new Map(), () => false)
  expect(warned.map(({ pointer }) => pointer)).toEqual(['/resources/1/type'])
})
