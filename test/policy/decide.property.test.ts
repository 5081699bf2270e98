import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { Wanted } from '../../src/policy/candidate.ts'
import type { CompiledRule } from '../../src/policy/compiled-rule.ts'
import { decide } from '../../src/policy/decide.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import { judgeRequest } from '../../src/policy/judgement.ts'
import type { Key } from '../../src/policy/key.ts'
import { KeySet } from '../../src/policy/key-set.ts'
import type { Bundle } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { Dice } from './dice.ts'
import { ENGINE, type Engine, LAWS, type Law, Trial } from './laws.ts'
import { type Conditions, naiveDecide } from './naive.ts'
import { type Case, caseOf, type Edit, edited, SECTIONS, smaller } from './random-case.ts'
import { CONDITIONS } from './random-meanings.ts'

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 3_000)
const FIRST_SEED = Number(process.env['VERDICT_TEST_SEED'] ?? 1)

/** The smallest case that breaks a law, among `count`; more of them: `npm run soak`. */
function firstBroken(law: Law, count: number, engine = ENGINE): { made: Case; found: unknown } | undefined {
  const broken = (made: Case) => law.broken(new Trial(made, engine))
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    if (broken(caseOf(seed)) === undefined) continue
    const made = smaller(caseOf(seed), (one) => broken(one) !== undefined)
    return { made, found: broken(made) }
  }
  return undefined
}

const shown = (found: unknown) => found && JSON.stringify(found, null, 1)

describe('of random policies and requests', () => {
  test(`${LAWS.reference.name} (${COUNT.toLocaleString('en')})`, { timeout: 600_000 }, () => {
    expect(shown(firstBroken(LAWS.reference, COUNT))).toBeUndefined()
  })

  const { reference: _reference, ...others } = LAWS
  test.each(Object.values(others))('$name', { timeout: 600_000 }, (law) => {
    expect(shown(firstBroken(law, Math.min(COUNT, 2000)))).toBeUndefined()
  })
})

test('what an index made of facts is used no longer than it is true: the index changes, and time goes on', () => {
  for (let seed = 1; seed <= Math.min(COUNT, 3000); seed++) {
    const made = caseOf(seed)
    const dice = new Dice(seed)
    const { request, now } = made.asked
    const limits = new Trial(made).limits
    const { index, lookup } = loadBundle(made.bundle, new PolicyIndex((any) => new RuleIndex(any, limits)))
    const facts = factsFor(lookup, request)
    const times = [now, ...instantsOf(made.bundle)].flatMap((at) => [at - 1, at])
    const sound = (edits: readonly Edit[]) => {
      const at = times[dice.below(times.length)] ?? now
      const naive = naiveDecide(edited({ bundle: made.bundle, edits }), CONDITIONS, request, at)
      expect(decide(index, facts, request, at), `seed ${seed}`).toEqual(naive)
    }
    for (let again = 0; again < 4; again++) sound([])
    made.edits.forEach((one, place) => {
      index.apply(one)
      sound(made.edits.slice(0, place + 1))
    })
  }
})

function instantsOf({ assignments = [] }: Bundle): number[] {
  return assignments
    .flatMap(({ valid_from, valid_until }) => [valid_from, valid_until])
    .flatMap((text) => (typeof text === 'string' ? Date.parse(text) : []))
}

test('the random policies come to every reason, and to each often', () => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= 2000; seed++) {
    const { reason } = new Trial(caseOf(seed)).answer
    seen.set(reason, (seen.get(reason) ?? 0) + 1)
  }
  const reasons = [
    'allowed_by_rule',
    'subject_disabled',
    'denied_by_rule',
    'condition_error',
    'required_policy_not_satisfied',
    'no_applicable_rule',
  ]
  for (const reason of reasons) expect(seen.get(reason), reason).toBeGreaterThan(20)
})

test('each condition matters: with the opposite of it the reference comes to other answers', () => {
  const matters = new Set<string>()
  for (let seed = 1; seed <= 4000; seed++) {
    const made = caseOf(seed)
    const { request, now } = made.asked
    const bundle = edited(made)
    const text = JSON.stringify(bundle)
    const answer = naiveDecide(bundle, CONDITIONS, request, now)
    for (const [condition, meaning] of CONDITIONS) {
      if (matters.has(condition) || !text.includes(JSON.stringify(condition))) continue
      const opposite: Conditions = new Map([...CONDITIONS, [condition, (scope) => !meaning(scope)]])
      if (!isDeepStrictEqual(naiveDecide(bundle, opposite, request, now), answer)) matters.add(condition)
    }
  }
  expect([...CONDITIONS.keys()].filter((condition) => !matters.has(condition))).toEqual([])
})

// Each law is seen to be broken by a fault.

class ForgetsAnAction extends RuleIndex {
  protected override filing(rule: CompiledRule) {
    const filing = super.filing(rule)
    return { ...filing, actions: filing.actions.length > 1 ? filing.actions.slice(1) : filing.actions }
  }
}

class NeverRemoves extends RuleIndex {
  override remove(): void {}
}

class SkipsAncestors extends RuleIndex {
  override collect(wanted: Wanted, into: CompiledRule[]): void {
    const { type, id, action, at, subject, besides } = wanted
    const resource = new KeySet(wanted.resource.all.slice(0, 1), this.limits.marked, this.hung)
    const isHeld = (key: Key) => wanted.isHeld(key)
    const isUnsure = (key: Key) => wanted.isUnsure(key)
    super.collect({ type, id, action, at, subject, besides, resource, isHeld, isUnsure }, into)
  }
}

class MistakesErrors extends RuleIndex {
  override collect(wanted: Wanted, into: CompiledRule[]): void {
    super.collect(wanted, into)
    for (const rule of into) rule.subjectErred = false
  }
}

/** Of an odd number of rules it overlooks the first. */
class Miscounts extends RuleIndex {
  override collect(wanted: Wanted, into: CompiledRule[]): void {
    super.collect(wanted, into)
    if (into.length % 2 === 1 && into.length > 1) into.shift()
  }
}

/** Takes what is filed under more than it means for what it means. */
class ComparesNothing extends RuleIndex {
  override add(rule: CompiledRule): void {
    super.add(rule)
    rule.coarse = false
  }
}

const withRules = (Faulty: typeof RuleIndex): Engine => ({
  ...ENGINE,
  makeRules: (any, limits) => new Faulty(any, limits),
})

const allowsByDefault: Engine = {
  ...ENGINE,
  decide(...asked) {
    const made = decide(...asked)
    return made.reason === 'no_applicable_rule' ? { ...made, decision: true } : made
  },
}

const explainsWithoutRoles: Engine = {
  ...ENGINE,
  explain: (index, { subject, resource }, ...asked) =>
    explain(index, { subject: { ...subject, given: [] }, resource }, ...asked),
}

const judgesWhatIsStored: Engine = {
  ...ENGINE,
  judgeRequest: (index, { subject, resource }, request) =>
    judgeRequest(index, { subject: { ...subject, properties: {} }, resource }, request),
}

test.each([
  ['reference', 'an action that is not filed', withRules(ForgetsAnAction)],
  ['reference', 'a rule that is not removed', withRules(NeverRemoves)],
  ['reference', 'ancestors that are not looked at', withRules(SkipsAncestors)],
  ['reference', 'an error that is taken for an answer', withRules(MistakesErrors)],
  ['explanation', 'an explanation without roles', explainsWithoutRoles],
  ['judgement', 'what is stored left out', judgesWhatIsStored],
  ['addedDeny', 'a rule that is overlooked', withRules(Miscounts)],
  ['removedAllow', 'a rule that is overlooked', withRules(Miscounts)],
  ['order', 'a rule that is overlooked', withRules(Miscounts)],
  ['empty', 'an allow by default', allowsByDefault],
  ['limits', 'rules that are not compared', withRules(ComparesNothing)],
] as const)('a fault is found by the law "%s": %s', (law, _fault, engine) => {
  expect(firstBroken(LAWS[law], 5000, engine)).toBeDefined()
})

test('an index whose rules and roles have all been removed is as good as new', () => {
  for (let seed = 1; seed <= 3000; seed++) {
    const { bundle } = caseOf(seed)
    const { index } = loadBundle(bundle)
    for (const kind of ['rule', 'role', 'policy'] as const) {
      for (const { name } of bundle[SECTIONS[kind]] ?? []) {
        index.apply({ kind, key: { name }, operation: 'delete', before: null, after: null })
      }
    }
    expect(index.isEmpty).toBe(true)
    expect(index.quarantined).toBe(0)
  }
})
