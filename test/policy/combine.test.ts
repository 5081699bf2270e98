import { describe, expect, test } from 'vitest'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Bundle, Combining, Decision, Rule } from '../../src/policy/model.ts'

/**
 * One rule each, named in this order: A allows, D denies; `a` and `d` are the same with a condition that errs; small
 * `-` is a rule whose condition fails. A figure before it is its priority. Each carries an obligation of its own.
 */
const EFFECTS = { A: 'allow', D: 'deny', a: 'allow', d: 'deny', '-': 'deny' } as const

function rulesOf(row: string): Rule[] {
  return row.split(' ').map((text, place) => {
    const kind = text.at(-1) as keyof typeof EFFECTS
    const errs = kind === 'a' || kind === 'd'
    return {
      name: `${place + 1}`,
      effect: EFFECTS[kind],
      subjects: [{ any: true }],
      actions: ['read'],
      resources: [{ type: 'doc' }],
      priority: Number(text.slice(0, -1)),
      obligations: [{ id: `${place + 1}`, type: 'note' }],
      ...(errs ? { condition: 'context.missing' } : {}),
      ...(kind === '-' ? { condition: 'false' } : {}),
    }
  })
}

function answer(combining: Combining, row: string): Decision {
  const bundle: Bundle = { verdict: 1, policies: [{ name: 'default', combining }], rules: rulesOf(row) }
  const { index, lookup } = loadBundle(bundle)
  const request = { subject: { type: 'user', id: 'u' }, action: { name: 'read' }, resource: { type: 'doc', id: 'x' } }
  return decide(index, factsFor(lookup, request), request, 0)
}

const BY_RULE = {
  allow: 'allowed_by_rule',
  deny: 'denied_by_rule',
  error: 'condition_error',
  none: 'no_applicable_rule',
} as const

type Row = readonly [rules: string, outcome: keyof typeof BY_RULE, by: string, obligations: string]

const TABLES: Readonly<Record<Combining, readonly Row[]>> = {
  deny_overrides: [
    ['0-', 'none', '', ''],
    ['0A', 'allow', '1', '1'],
    ['0A 0A', 'allow', '1 2', '1 2'],
    ['0D', 'deny', '1', '1'],
    ['0A 0D', 'deny', '2', '2'],
    ['0D 0D 0A', 'deny', '1 2', '1 2'],
    ['0a', 'error', '1', ''],
    ['0a 0A', 'allow', '2', '2'],
    ['0d', 'error', '1', '1'],
    ['0A 0d', 'error', '2', '2'],
    ['0a 0d 0A', 'error', '1 2', '2'],
    ['0D 0d', 'deny', '1', '1 2'],
    ['9A 0D', 'deny', '2', '2'],
  ],
  allow_overrides: [
    ['0-', 'none', '', ''],
    ['0A', 'allow', '1', '1'],
    ['0D', 'deny', '1', '1'],
    ['0D 0A', 'allow', '2', '2'],
    ['0A 0D 0A', 'allow', '1 3', '1 3'],
    ['0a', 'error', '1', ''],
    ['0a 0D', 'deny', '2', '2'],
    ['0d', 'error', '1', '1'],
    ['0d 0A', 'allow', '2', '2'],
    ['0d 0D', 'deny', '2', '1 2'],
    ['0a 0d', 'error', '1 2', '2'],
  ],
  first_applicable: [
    ['0-', 'none', '', ''],
    ['0A 0D', 'allow', '1', '1'],
    ['0D 0A', 'deny', '1', '1'],
    ['0A 1D', 'deny', '2', '2'],
    ['0D 1A', 'allow', '2', '2'],
    ['0- 0A 0D', 'allow', '2', '2'],
    ['-1A 0D', 'deny', '2', '2'],
    ['0a 0D', 'deny', '2', '2'],
    ['0a 0A', 'allow', '2', '2'],
    ['0d 0A', 'error', '1', '1'],
    ['0d 0D', 'deny', '2', '1 2'],
    ['0A 0d', 'allow', '1', '1'],
    ['1A 0A 0D', 'allow', '1', '1 2'],
  ],
}

const listed = (text: string) => (text === '' ? [] : text.split(' '))

describe.each(Object.entries(TABLES) as [Combining, readonly Row[]][])('%s', (combining, rows) => {
  test.each(rows)('%s comes to %s by "%s", with the obligations "%s"', (rules, outcome, by, obligations) => {
    expect(answer(combining, rules)).toEqual({
      decision: outcome === 'allow',
      reason: BY_RULE[outcome],
      rules: listed(by).map((name) => `default/${name}`),
      obligations: listed(obligations).map((id) => ({ id, type: 'note' })),
    })
  })
})
