import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { compileCondition, isFault } from '../../src/policy/condition.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Rule } from '../../src/policy/model.ts'
import { holds } from '../support/condition-scope.ts'

/**
 * Traps that others fell into, one by one. Of those about decisions more stand in decide.property.test.ts (the naive
 * evaluator, the metamorphic laws) and explain.property.test.ts (all doors agree).
 */

const NOW = Date.parse('2030-01-01T00:00:00Z')
const list = (size: number) => Array.from({ length: size }, (_, at) => at)

function spentMs(run: () => void): number {
  const began = process.cpuUsage()
  run()
  return process.cpuUsage(began).user / 1000
}

describe('expressions', () => {
  test.each([
    'context.s.matches("^(a+)+$")',
    'context.s.matches(context.p)',
    'matches(context.s, "^(a+)+$")',
    'matches(context.s, context.p)',
    '[context.s].exists(s, s.matches("^(a+)+$"))',
  ])('a pattern that makes others backtrack for 12 s is matched in linear time: %s', (text) => {
    const context = { s: `${'a'.repeat(28)}b`, p: '^(a+)+$' }
    expect(spentMs(() => expect(holds(text, { context })).toBe(false))).toBeLessThan(500)
  })

  test('all() three deep over 300 items, 7 s for others, ends with the budget', () => {
    const text = 'context.l.all(a, context.l.all(b, context.l.all(c, true)))'
    const took = spentMs(() => expect(holds(text, { context: { l: list(300) } })).toBeUndefined())
    expect(took).toBeLessThan(200)
  })

  test('more than three comprehensions within one another, and lists of more than 1,000, are refused when written', () => {
    const nested = 'context.l.all(a, context.l.all(b, context.l.all(c, context.l.all(d, true))))'
    expect(compileCondition(nested)).toMatchObject({
      line: 1,
      column: 52,
      detail: expect.stringContaining('more than 3'),
    })
    expect(isFault(compileCondition(`1 in [${list(1001)}]`))).toBe(true)
    expect(isFault(compileCondition(`1 in [${list(1000)}]`))).toBe(false)
  })

  test.each([
    ['context.missing || true', true],
    ['true || context.missing', true],
    ['context.missing && false', false],
    ['false && context.missing', false],
    ['context.missing || false', undefined],
    ['context.missing && true', undefined],
    ['!context.missing', undefined],
    ['-context.missing < 0', undefined],
    ['context.missing == null', undefined],
    ['context.missing != "x"', undefined],
    ['context.missing < 1', undefined],
    ['context.missing >= 1', undefined],
    ['context.missing + 1 == 1', undefined],
    ['context.missing - 1 == 1', undefined],
    ['context.missing * 1 == 1', undefined],
    ['context.missing / 1 == 1', undefined],
    ['context.missing % 1 == 0', undefined],
    ['context.missing in ["x"]', undefined],
    ['"x" in context.missing', undefined],
    ['context.missing[0] == 1', undefined],
    ['context.missing.deeper == 1', undefined],
    ['context.missing ? true : true', undefined],
    ['true ? true : context.missing', true],
    ['[context.missing] == []', undefined],
    ['{"x": context.missing} == {}', undefined],
    ['size(context.missing) == 0', undefined],
    ['context.missing.all(x, true)', undefined],
    ['[1].all(x, context.missing)', undefined],
    ['[1, 2].exists(x, x == 2 || context.missing)', true],
    ['has(context.missing)', false],
    ['has(context.missing.deeper)', undefined],
    ['context.?missing.orValue(true)', true],
    ['ip_in(context.missing, "0.0.0.0/0")', undefined],
    ['subset(context.missing, [])', undefined],
    ['intersects([], context.missing)', undefined],
    ['level(context.missing) >= 0', undefined],
    ['now.getHours(context.missing) >= 0', undefined],
  ])('an absent attribute under each operator: %s is %s', (text, wanted) => {
    expect(holds(text, { context: {} })).toBe(wanted)
  })

  test('matches() is ours, however the library would have it: what RE2 has not is refused', () => {
    expect(compileCondition('context.s.matches("a(?!b)")')).toMatchObject({
      detail: expect.stringContaining('regular'),
    })
    expect(holds('context.s.matches(context.p)', { context: { s: 'ac', p: 'a(?!b)' } })).toBeUndefined()
  })

  test('an integer literal goes with a JSON number: context.hour + 1 > 5', () => {
    expect(holds('context.hour + 1 > 5', { context: { hour: 9 } })).toBe(true)
    expect(holds('context.hour + 1 > 5', { context: { hour: 4 } })).toBe(false)
  })

  test('lowerAscii() of 200 KB inside all() over 1,000 items, and two nested all() over 1,000, end with the budget', () => {
    const context = { l: list(1000), s: 'A'.repeat(200_000) }
    const took = spentMs(() => {
      expect(holds('context.l.all(a, context.s.lowerAscii() != "x")', { context })).toBeUndefined()
      expect(holds('context.l.all(a, context.l.all(b, true))', { context })).toBeUndefined()
    })
    expect(took).toBeLessThan(300)
  })

  test('the attack is on the request, and so is the budget: it is one for all of its conditions', () => {
    const budget = new Budget()
    const context = { l: list(400) }
    const half = 'context.l.all(a, context.l.all(b, true))'
    // Each of them is within the budget by itself.
    expect(holds('context.l.all(a, context.l.all(b, b >= 0))', { context: { l: list(200) } })).toBe(true)
    for (let at = 0; at < 20; at++) holds(half, { context }, budget)
    expect(holds('true', { context }, budget)).toBeUndefined()
  })

  test.each([
    ['50,000 &&', Array.from({ length: 50_000 }, () => 'true').join(' && ')],
    ['50,000 ||', Array.from({ length: 50_000 }, () => 'true').join(' || ')],
    ['50,000 +', `0 < ${Array.from({ length: 50_000 }, () => '1').join(' + ')}`],
    ['50,000 (', `${'('.repeat(50_000)}true${')'.repeat(50_000)}`],
    ['50,000 !', `${'!'.repeat(50_000)}true`],
    ['50,000 [', `${'['.repeat(50_000)}${']'.repeat(50_000)} == []`],
    ['50,000 ?:', `${'true ? true : '.repeat(50_000)}true`],
    ['50,000 .x', `context${'.x'.repeat(50_000)}`],
  ])('%s overflow no stack: they are refused when written', (_name, text) => {
    expect(isFault(compileCondition(text))).toBe(true)
  })
})

function decided(bundle: Omit<Bundle, 'verdict'>, request: AccessRequest): boolean {
  const { index, lookup } = loadBundle({ verdict: 1, ...bundle })
  return decide(index, factsFor(lookup, request), request, NOW).decision
}

const request = (subject: string, resource: string, more: object = {}): AccessRequest => ({
  subject: { type: 'user', id: subject },
  action: { name: 'read' },
  resource: { type: 'doc', id: resource },
  ...more,
})

const rule = (name: string, more: Partial<Rule> = {}): Rule => ({
  name,
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
  ...more,
})

describe('decisions', () => {
  test('two requests never share an answer, whatever their parts come to when they are joined', () => {
    const { index, lookup } = loadBundle({
      verdict: 1,
      rules: [rule('one', { subjects: [{ type: 'user', id: 'a:b' }], resources: [{ type: 'doc', id: 'c' }] })],
    })
    const asked = [
      request('a:b', 'c'),
      request('a', 'b:c'),
      request('a:b', 'c'),
      request('a', 'b'),
      request('a:b:c', ''),
    ]
    const answers = asked.map((one) => decide(index, factsFor(lookup, one), one, NOW).decision)
    expect(answers).toEqual([true, false, true, false, false])
  })

  test('one condition, compiled once, answers each request by itself', () => {
    const condition = 'context.items.exists(i, i.owner == subject.id && cel.bind(n, i.n, n > 1))'
    const { index, lookup } = loadBundle({
      verdict: 1,
      rules: [rule('one', { condition }), rule('two', { condition })],
    })
    const item = { owner: 'ann', n: 2 }
    const asked = [
      request('ann', 'd', { context: { items: [item] } }),
      request('bob', 'd', { context: { items: [item] } }),
      request('ann', 'd', { context: {} }),
      request('ann', 'd', { context: { items: [{ ...item, n: 1 }] } }),
      request('ann', 'd', { context: { items: [item] } }),
    ]
    const answers = asked.map((one) => decide(index, factsFor(lookup, one), one, NOW).decision)
    expect(answers).toEqual([true, false, false, false, true])
  })

  test('set logic: a condition that errs never widens, as an allow, as a deny, in a derived role, in a required policy', () => {
    const condition = 'context.missing'
    expect(decided({ rules: [rule('a', { condition })] }, request('ann', 'd'))).toBe(false)
    expect(decided({ rules: [rule('a'), rule('d', { effect: 'deny', condition })] }, request('ann', 'd'))).toBe(false)
    expect(
      decided(
        { policies: [{ name: 'must', required: true }], rules: [rule('a'), rule('m', { policy: 'must', condition })] },
        request('ann', 'd'),
      ),
    ).toBe(false)
    const roles = [{ name: 'base' }, { name: 'more', derived: { from: ['base'], condition } }]
    const assignments = [{ subject: { type: 'user', id: 'ann' }, role: 'base' }]
    const held = { subjects: [{ role: 'more' }] }
    expect(decided({ roles, assignments, rules: [rule('a', held)] }, request('ann', 'd'))).toBe(false)
    expect(
      decided({ roles, assignments, rules: [rule('a'), rule('d', { ...held, effect: 'deny' })] }, request('ann', 'd')),
    ).toBe(false)
  })

  test('a rule that is deleted and written again under the same name inherits nothing', () => {
    const { index, lookup } = loadBundle({ verdict: 1, rules: [rule('one', { condition: 'true' })] })
    const asks = request('ann', 'd')
    const decision = () => decide(index, factsFor(lookup, asks), asks, NOW).decision
    expect(decision()).toBe(true)
    const gone = { kind: 'rule', key: { name: 'one' }, operation: 'delete', before: null, after: null } as const
    index.apply({ ...gone, before: rule('one') })
    expect(decision()).toBe(false)
    const after = rule('one', { subjects: [{ type: 'user', id: 'bob' }] })
    index.apply({ kind: 'rule', key: { name: 'one' }, operation: 'create', before: null, after })
    expect(decision()).toBe(false)
  })
})
