import { expect, test } from 'vitest'
import { Coverage } from '../../src/policy/coverage.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Rule } from '../../src/policy/model.ts'

const anybody: Rule = {
  name: 'r',
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
}
const rule = (more: Partial<Rule>): Bundle => ({ verdict: 1, rules: [{ ...anybody, ...more }] })

function asking(id: string, action = 'read', context = {}): AccessRequest {
  return { subject: { type: 'user', id }, action: { name: action }, resource: { type: 'doc', id: 'x' }, context }
}

function covered(bundle: Bundle, ...requests: AccessRequest[]) {
  const loaded = loadBundle(bundle)
  const coverage = new Coverage(bundle, loaded)
  for (const request of requests)
    coverage.add(request, 0, decide(loaded.index, factsFor(loaded.lookup, request), request, 0))
  return coverage.report()
}

const missing = (bundle: Bundle, ...requests: AccessRequest[]) => covered(bundle, ...requests).rules[0]?.missing

test('a rule for anybody wants one case that it decided', () => {
  expect(missing(rule({}))).toEqual(['decided'])
  expect(missing(rule({}), asking('a', 'write'))).toEqual(['decided'])
  expect(missing(rule({}), asking('a'))).toEqual([])
})

test('a rule for some wants a case about its actions and resources that came to the opposite', () => {
  const bobs = rule({ subjects: [{ type: 'user', id: 'bob' }] })
  expect(missing(bobs, asking('bob'))).toEqual(['deny'])
  expect(missing(bobs, asking('bob'), asking('ann', 'write'))).toEqual(['deny'])
  expect(missing(bobs, asking('bob'), asking('ann'))).toEqual([])
  const denied: Bundle = { verdict: 1, rules: [anybody, { ...anybody, ...bobs.rules?.[0], name: 'd', effect: 'deny' }] }
  expect(covered(denied, asking('bob')).rules[1]?.missing).toEqual(['allow'])
  expect(covered(denied, asking('bob'), asking('ann')).rules[1]?.missing).toEqual([])
})

test('a condition wants to be seen met and not met', () => {
  const conditional = rule({ condition: 'context.ok' })
  expect(missing(conditional, asking('a', 'read', { ok: true }))).toEqual(['deny', 'condition_fails'])
  expect(missing(conditional, asking('a', 'read', { ok: false }))).toEqual(['decided', 'condition_holds'])
  expect(missing(conditional, asking('a'))).toEqual(['decided', 'condition_holds', 'condition_fails'])
  expect(missing(conditional, asking('a', 'read', { ok: true }), asking('a', 'read', { ok: false }))).toEqual([])
})

test('a rule that was overruled did not decide', () => {
  const both: Bundle = { verdict: 1, rules: [anybody, { ...anybody, name: 'd', effect: 'deny' }] }
  const { rules } = covered(both, asking('a'))
  expect(rules.map(({ rule: key, decided }) => [key, decided])).toEqual([
    ['default/r', 0],
    ['default/d', 1],
  ])
})

test('a rule that is disabled is not asked for', () => {
  expect(covered(rule({ enabled: false })).rules).toEqual([])
})

const ROLES: Bundle = {
  verdict: 1,
  roles: [
    {
      name: 'reader',
      permissions: [
        { actions: ['read'], resources: [{ type: 'doc' }] },
        { actions: ['list'], resources: [{ type: 'doc' }] },
      ],
    },
    { name: 'chief', inherits: ['reader'] },
    { name: 'writer' },
    { name: 'idle' },
    { name: 'owner', derived: { from: ['writer'], condition: 'context.none' } },
  ],
  rules: [{ ...anybody, name: 'write', subjects: [{ role: 'writer' }], actions: ['write'] }],
  assignments: [
    { subject: { type: 'user', id: 'ann' }, role: 'chief' },
    { subject: { type: 'user', id: 'bob' }, role: 'writer' },
    { subject: { type: 'user', id: 'cy' }, role: 'idle' },
  ],
}
const rolesOf = (...requests: AccessRequest[]) =>
  Object.fromEntries(covered(ROLES, ...requests).roles.map(({ role, missing: gaps }) => [role, gaps]))

test('permissions of one role are told apart, though answers name the role alone', () => {
  const { permissions } = covered(ROLES, asking('ann', 'list'))
  expect(permissions.map(({ permission, decided }) => [permission, decided])).toEqual([
    [1, 0],
    [2, 1],
  ])
})

test('a role has decided by its permissions, by what it inherits, and by rules for its holders', () => {
  expect(rolesOf(asking('ann'))).toMatchObject({ reader: [], chief: [], writer: ['held', 'decided'] })
  expect(rolesOf(asking('bob', 'write'))).toMatchObject({ writer: [], reader: ['held', 'decided'] })
  expect(rolesOf(asking('bob'), asking('cy'))).toMatchObject({ writer: ['decided'], idle: ['decided'] })
})

test('what everybody may says nothing about the roles of who asked', () => {
  const open: Bundle = { ...ROLES, rules: [anybody] }
  const { roles } = covered(open, asking('bob'))
  expect(roles.find(({ role }) => role === 'writer')).toMatchObject({ held: 1, decided: 0 })
})

test('a role that cannot be told is not held, and hides no other', () => {
  expect(rolesOf(asking('bob', 'write'))).toMatchObject({ owner: ['held', 'decided'], writer: [] })
})
