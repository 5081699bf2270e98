import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import type { PolicyChange } from '../../src/policy/change.ts'
import { candidatesOf, decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Bundle, Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { Question } from '../../src/policy/question.ts'
import { type Quota, windowAt } from '../../src/policy/quota.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { soundQuota } from '../../src/policy/soundness.ts'
import { Trial } from './laws.ts'
import { caseOf } from './random-case.ts'

const CASES = 600

const put = (quota: Quota): PolicyChange => ({
  kind: 'quota',
  key: { name: quota.name },
  operation: 'create',
  before: null,
  after: quota,
})
const gone = (name: string): PolicyChange => ({
  kind: 'quota',
  key: { name },
  operation: 'delete',
  before: null,
  after: null,
})

const quotaOf = ({ name, subjects, actions, resources }: Rule): Quota => ({
  name,
  subjects,
  actions,
  resources,
  limit: 1,
  requested: 'nothing that anybody asks for',
})

/** The rules of a policy without anything but whom and what they are about, as an index of their own finds them. */
function found(bundle: Bundle, { request, now }: ReturnType<typeof caseOf>['asked']): string[] {
  const plain = (bundle.rules ?? []).map(({ name, subjects, actions, resources }) => ({
    ...{ name, subjects, actions, resources },
    effect: 'deny' as const,
  }))
  const { policies: _policies, ...rest } = bundle
  const { index, lookup } = loadBundle({ ...rest, rules: plain })
  const question = new Question(index, factsFor(lookup, request), request, now, new Budget())
  const names = candidatesOf(index, question).flatMap(({ policy, name }) => (policy.name === 'default' ? [name] : []))
  return [...new Set(names)].sort()
}

test('a quota is about exactly what a rule for the same subjects, actions and resources is about', () => {
  let matches = 0
  for (let seed = 1; seed <= CASES; seed++) {
    const made = caseOf(seed)
    const { bundle, asked } = made
    const { request, now } = asked
    const { limits } = new Trial(made)
    const { index, lookup } = loadBundle(bundle, new PolicyIndex((any) => new RuleIndex(any, limits)))
    const facts = factsFor(lookup, request)
    const without = decide(index, facts, request, now)
    for (const rule of bundle.rules ?? []) {
      index.apply(put(quotaOf(rule)))
      // What was found before is no reason not to find what came since.
      index.quotas.matching(new Question(index, facts, request, now, new Budget()))
    }
    const question = new Question(index, facts, request, now, new Budget())
    const rules = candidatesOf(index, question).length
    const names = index.quotas.matching(question).map(({ name }) => name)
    expect(names, `seed ${seed}`).toEqual(found(bundle, asked))
    // What rules say stays what it was: the two hang on the same keys.
    const { quotas, ...rest } = decide(index, facts, request, now)
    expect(rest, `seed ${seed}`).toEqual(without)
    expect((quotas ?? []).map(({ name }) => name)).toEqual(without.decision ? names : [])
    for (const { name } of bundle.rules ?? []) index.apply(gone(name))
    expect(index.quotas.isEmpty).toBe(true)
    const again = new Question(index, facts, request, now, new Budget())
    expect(candidatesOf(index, again).length).toBe(rules)
    matches += names.length
  }
  expect(matches).toBeGreaterThan(CASES / 4)
})

test('of an index that has had quotas nothing is left', () => {
  const index = new PolicyIndex()
  const quota = { ...quotaOf(RULE), resources: [{ type: 'doc', id: 'a/*' }], subjects: [{ role: 'r' }] }
  index.apply(put(quota))
  index.apply(put({ ...quota, subjects: [{ type: 'user', id: 'u' }] }))
  index.apply(gone(quota.name))
  expect(index.isEmpty).toBe(true)
})

const RULE: Rule = {
  name: 'q',
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['read'],
  resources: [{ type: 'doc' }],
}

describe('a quota among ten thousand', () => {
  const bundle: Bundle = { verdict: 1, rules: [RULE] }
  const { index, lookup } = loadBundle(bundle)
  const request = { subject: { type: 'user', id: 'u77' }, action: { name: 'read' }, resource: { type: 'doc', id: 'd' } }
  const facts = factsFor(lookup, request)
  let looked = 0
  for (let n = 0; n < 10_000; n++) {
    const name = `q${n}`
    index.apply(put({ ...quotaOf(RULE), name, subjects: [{ type: 'user', id: `u${n}` }] }))
  }

  test('is found without looking at the others', () => {
    const question = new Question(index, facts, request, 0, new Budget())
    candidatesOf(index, question)
    const counting = new Proxy(question, {
      get(target, member) {
        if (member === 'isHeld') looked++
        const value: unknown = Reflect.get(target, member)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    expect(index.quotas.matching(counting).map(({ name }) => name)).toEqual(['q77'])
    expect(looked).toBeLessThan(10)
  })
})

describe('a quota of which something cannot be read', () => {
  const sound: Quota = { ...quotaOf(RULE), requested: 'memory' }
  const spoiled: readonly (readonly [string, object])[] = [
    ['its limit', { ...sound, limit: 0 }],
    ['its limit, which is a text', { ...sound, limit: '5' }],
    ['its subjects', { ...sound, subjects: [] }],
    ['its actions', { ...sound, actions: 'read' }],
    ['its resources', { ...sound, resources: [{ type: 'x', id: 'y\\' }] }],
    ['what it is about: it is neither', { ...sound, requested: undefined }],
    ['what it is about: it is both', { ...sound, window_seconds: 60 }],
    ['a member that nobody knows', { ...sound, until: 5 }],
    ['its name', { ...sound, name: 'other' }],
    ['whether it is on', { ...sound, enabled: 'no' }],
  ]
  test.each(spoiled)('%s: lets nothing through', (_what, document) => {
    const { index, lookup } = loadBundle({ verdict: 1, rules: [RULE] })
    const after = JSON.parse(JSON.stringify(document))
    expect(soundQuota('q', after).broken).toBe(true)
    index.apply({ ...put(sound), after })
    expect(index.quarantined).toBe(1)
    const request = { subject: { type: 'user', id: 'u' }, action: { name: 'read' }, resource: { type: 'doc', id: 'd' } }
    const { decision, reason, quotas } = decide(index, factsFor(lookup, request), request, 0)
    expect([decision, reason, quotas]).toMatchObject([false, 'quota_exceeded', [{ name: 'q', exceeded: true }]])
    index.apply(put(sound))
    expect(index.quarantined).toBe(0)
    expect(decide(index, factsFor(lookup, request), request, 0).decision).toBe(true)
  })
})

test('windows are fixed, and aligned to the epoch', () => {
  const day = 86_400
  const midnight = Date.UTC(2030, 0, 1)
  expect(windowAt(midnight, day)).toEqual({ start: midnight, end: midnight + day * 1000 })
  expect(windowAt(midnight - 1, day).end).toBe(midnight)
  expect(windowAt(midnight + 61_000, 60)).toEqual({ start: midnight + 60_000, end: midnight + 120_000 })
})
