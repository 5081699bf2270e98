import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Bundle, Decision, Rule } from '../../src/policy/model.ts'
import { holds } from '../support/condition-scope.ts'
import { HOSTILE } from '../support/hostile-conditions.ts'

// The budget is meant to be 20 ms, and measured so. A machine that is busy gets some room.
const BOUND_MS = 100
const NOW = Date.parse('2030-07-01T22:30:00Z')

/** The least of three: what the process did meanwhile is not the request's. */
function milliseconds(run: () => void): number {
  const times = [1, 2, 3].map(() => {
    const began = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000
  })
  return Math.min(...times)
}

describe('no request keeps conditions busy for longer than the budget', () => {
  test.each(HOSTILE.map((hostile, at) => [at, hostile.condition.trim().slice(0, 100), hostile] as const))(
    '%i: %s',
    (_at, _text, { condition, context }) => {
      const seen = { context: JSON.parse(JSON.stringify(context)), subject: { level: 'admin' } }
      holds(condition, seen, new Budget(10_000))
      expect(milliseconds(() => holds(condition, seen))).toBeLessThan(BOUND_MS)
    },
  )
})

const spends = (at: number) => `context.l.all(a, context.l.all(b, a + b >= -${at}))`
const CONTEXT = { l: Array.from({ length: 1000 }, (_, at) => at) }

function decided(bundle: Omit<Bundle, 'verdict'>, budget?: Budget): Decision {
  const { index, lookup } = loadBundle({ verdict: 1, ...bundle })
  const subject = { type: 'user', id: 'alice' }
  const request = { subject, action: { name: 'read' }, resource: { type: 'doc', id: 'd' }, context: CONTEXT }
  return decide(index, factsFor(lookup, request), request, NOW, budget)
}

function rule(name: string, effect: Rule['effect'], condition?: string): Rule {
  const about = { subjects: [{ any: true as const }], actions: ['read'], resources: [{ type: 'doc' }] }
  return { name, effect, ...about, ...(condition === undefined ? {} : { condition }) }
}

test('a thousand rules with a dear condition each cost no more than one', () => {
  const rules = Array.from({ length: 1000 }, (_, at) => rule(`r${at}`, 'allow', spends(at)))
  const { index, lookup } = loadBundle({ verdict: 1, rules })
  const subject = { type: 'user', id: 'alice' }
  const request = { subject, action: { name: 'read' }, resource: { type: 'doc', id: 'd' }, context: CONTEXT }
  const facts = factsFor(lookup, request)
  expect(milliseconds(() => decide(index, facts, request, NOW))).toBeLessThan(BOUND_MS)
})

test('ten thousand obligations that differ cost by their number, not by its square', () => {
  const obligations = (at: number) =>
    Array.from({ length: 10 }, (_, of) => ({ id: 'mask', type: 'tell', properties: { fields: { at, of } } }))
  const rules = Array.from({ length: 1000 }, (_, at) => ({ ...rule(`r${at}`, 'allow'), obligations: obligations(at) }))
  expect(milliseconds(() => expect(decided({ rules }).obligations).toHaveLength(10_000))).toBeLessThan(1000)
})

test('the conditions of derived roles draw on the same budget', () => {
  const roles = Array.from({ length: 20 }, (_, at) => ({
    name: `d${at}`,
    derived: { from: ['base'], condition: spends(at) },
    permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }],
  }))
  const assignments = [{ subject: { type: 'user', id: 'alice' }, role: 'base' }]
  const budget = new Budget()
  const { decision, reason } = decided({ roles: [{ name: 'base' }, ...roles], assignments }, budget)
  expect({ decision, reason, spent: budget.spent }).toEqual({ decision: false, reason: 'condition_error', spent: true })
})

describe('past the budget', () => {
  test('an allow does not apply, and the reason says so', () => {
    expect(decided({ rules: [rule('a', 'allow', spends(0))] })).toMatchObject({
      decision: false,
      reason: 'condition_error',
      rules: ['default/a'],
    })
  })

  test('a deny applies, also one whose condition would be false', () => {
    const rules = [rule('a', 'deny', spends(0)), rule('b', 'deny', 'false'), rule('c', 'allow')]
    expect(decided({ rules })).toMatchObject({
      decision: false,
      reason: 'condition_error',
      rules: ['default/a', 'default/b'],
    })
  })

  test('what has been decided without a condition stands', () => {
    expect(decided({ rules: [rule('a', 'allow', spends(0)), rule('c', 'allow')] })).toMatchObject({
      decision: true,
      rules: ['default/c'],
    })
  })

  test('no error that is caught goes on: neither || nor exists comes to true', () => {
    const budget = new Budget(2000)
    expect(holds(`${spends(0)} || true`, { context: CONTEXT }, budget)).toBeUndefined()
    expect(
      holds('context.l.exists(a, a == 999 || context.l.all(b, b >= 0))', { context: CONTEXT }, new Budget(500)),
    ).toBeUndefined()
  })
})
