import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Budget, STEPS_PER_REQUEST } from '../../src/policy/budget.ts'
import { intersects, subset } from '../../src/policy/cel-lists.ts'
import { equal } from '../../src/policy/cel-values.ts'
import { holds } from '../support/condition-scope.ts'

describe('intersects(a, b) and subset(a, b)', () => {
  test.each([
    [[], [], false, true],
    [[], ['a'], false, true],
    [['a'], [], false, false],
    [['a', 'b'], ['b', 'c'], true, false],
    [['a', 'a'], ['a'], true, true],
    [['a'], ['c', 'b', 'a'], true, true],
    [[1, true, null], [null, 1, true, 2], true, true],
    [['1'], [1], false, false],
    [[0], [false], false, false],
    [[null], [0, '', false], false, false],
    [[-0], [0], true, true],
    [[{ x: 1 }], [{ x: 1 }, 2], true, true],
    [[{ x: 1 }], [{ x: 1, y: 2 }], false, false],
    [[[1, [2]]], [[1, [2]]], true, true],
    [[[]], [{}], false, false],
    [['__proto__'], ['constructor'], false, false],
  ])('of %j and %j: %s, %s', (a, b, common, within) => {
    expect(holds('intersects(context.a, context.b)', { context: { a, b } })).toBe(common)
    expect(holds('subset(context.a, context.b)', { context: { a, b } })).toBe(within)
  })

  test('numbers are equal by value, whatever their type', () => {
    expect(
      holds('subset([1, 2u, 3.0], context.list) && subset(context.list, [3u, 2.0, 1])', {
        context: { list: [1, 2, 3] },
      }),
    ).toBe(true)
    // Beyond 2^53 an integer is not the double that it would be rounded to.
    expect(holds('intersects([9007199254740993], context.list)', { context: { list: [9007199254740992] } })).toBe(false)
    expect(holds('intersects([9007199254740992], context.list)', { context: { list: [9007199254740992] } })).toBe(true)
    expect(holds('intersects([double("nan")], [double("nan")])')).toBe(false)
  })

  test('roles and tags', () => {
    expect(holds('intersects(subject.roles, ["viewer", "admin"]) && subset(subject.roles, ["viewer", "editor"])')).toBe(
      true,
    )
    expect(
      holds('subset(resource.properties.tags, subject.properties.clearances)', {
        resource: { tags: ['x'] },
        subject: { clearances: ['y'] },
      }),
    ).toBe(false)
  })

  test.each(['a', 1, null, { a: 1 }])('%j is no list: an error', (wrong) => {
    for (const text of [
      'intersects(context.a, ["a"])',
      'intersects(["a"], context.a)',
      'subset(context.a, ["a"])',
      'subset([], context.a)',
    ]) {
      expect(holds(text, { context: { a: wrong } })).toBeUndefined()
    }
    expect(holds('subset(context.absent, [])', { context: {} })).toBeUndefined()
  })

  test('are what comparing each with each comes to', () => {
    const lists = fc.array(
      fc.oneof(fc.constantFrom<unknown>(0, 1, 1n, '1', '', null, true, false, 0.5), fc.jsonValue({ maxDepth: 1 })),
      { maxLength: 6 },
    )
    const same = (a: unknown, b: unknown) => equal(a, b, new Budget())
    fc.assert(
      fc.property(lists, lists, (a, b) => {
        expect(intersects(a, b, new Budget())).toBe(a.some((one) => b.some((other) => same(one, other))))
        expect(subset(a, b, new Budget())).toBe(a.every((one) => b.some((other) => same(one, other))))
      }),
      { numRuns: 5000 },
    )
  })

  test('take steps in proportion to their lengths', () => {
    const steps = (size: number) => {
      const list = Array.from({ length: size }, (_, at) => `v${at}`)
      const budget = new Budget()
      expect(subset(list, list, budget)).toBe(true)
      return STEPS_PER_REQUEST - budget.left
    }
    expect(steps(10_000) / steps(1000)).toBeLessThan(11)
  })
})

describe('level()', () => {
  test.each([
    ['level(subject) >= level("read_write")', 'admin', true],
    ['level(subject) >= level("read_write")', 'read_write', true],
    ['level(subject) >= level("read_write")', 'read_only', false],
    ['level(subject) > level("system")', 'system', false],
    ['level(subject) == 3 && level(3) == level("admin")', 'admin', true],
    ['level(subject.properties.level) < level("admin")', 'none', true],
    ['level(subject) == level(resource)', 'read_only', true],
  ])('%s, of %s: %s', (text, level, wanted) => {
    expect(holds(text, { subject: { level }, resource: { level: 'read_only' } })).toBe(wanted)
  })

  test.each(['Admin', '', 'owner', 5, -1, 1.5, null, true, ['admin'], { level: 'admin' }, '3'])(
    '%j is no level: an error, never the lowest or the highest',
    (level) => {
      expect(holds('level(subject) >= level("none")', { subject: { level } })).toBeUndefined()
      expect(holds('level(subject) <= level("system")', { subject: { level } })).toBeUndefined()
    },
  )

  test('an entity without a level is an error', () => {
    expect(holds('level(subject) >= level("none")')).toBeUndefined()
    expect(holds('level(action) >= level("none")')).toBeUndefined()
  })

  test("the order is the tenant's", () => {
    const seen = { subject: { level: 'gold' }, levels: ['bronze', 'silver', 'gold'] }
    expect(holds('level(subject) > level("silver")', seen)).toBe(true)
    expect(holds('level(subject) > level("read_only")', seen)).toBeUndefined()
  })
})
