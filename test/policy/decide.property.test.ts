import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import type { Wanted } from '../../src/policy/candidate.ts'
import type { PolicyChange } from '../../src/policy/change.ts'
import type { CompiledRule } from '../../src/policy/compiled-rule.ts'
import { decide } from '../../src/policy/decide.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Key } from '../../src/policy/key.ts'
import { KeySet } from '../../src/policy/key-set.ts'
import type { Bundle, Decision } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { type IndexLimits, RuleIndex } from '../../src/policy/rule-index.ts'
import { naiveDecide } from './naive.ts'
import { type Asked, CONDITIONS, Dice, RandomPolicy } from './random-policy.ts'

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 20_000)
const FIRST_SEED = Number(process.env['VERDICT_TEST_SEED'] ?? 1)

/** Something that is put or removed after loading, in place. */
type Edit = Extract<PolicyChange, { kind: 'type' | 'policy' | 'role' | 'rule' }>

interface Case {
  readonly bundle: Bundle
  readonly edits: readonly Edit[]
  readonly asked: Asked
}

function caseOf(seed: number): Case {
  const dice = new Dice(seed)
  const random = new RandomPolicy(dice)
  const bundle = random.bundle()
  const edits = dice.chance(2) ? dice.some(8, () => edit(dice, random), 1) : []
  return { bundle, edits, asked: random.asked(bundle) }
}

function edit(dice: Dice, random: RandomPolicy): Edit {
  const after = <T>(made: T): T | null => (dice.chance(3) ? null : made)
  const which = dice.below(8)
  const changed = { operation: 'update', before: null } as const
  if (which === 0) return { kind: 'policy', ...named(random.policy(), after), ...changed }
  if (which === 1) return { kind: 'type', ...named(random.type(), after), ...changed }
  if (which < 4) return { kind: 'role', ...named(random.role(), after), ...changed }
  return { kind: 'rule', ...named(random.rule(), after), ...changed }
}

function named<T extends { readonly name: string }>(made: T, after: (made: T) => T | null) {
  return { key: { name: made.name }, after: after(made) }
}

const SECTIONS = { type: 'types', policy: 'policies', role: 'roles', rule: 'rules' } as const

/** The documents as they stand after the edits. */
function edited({ bundle, edits }: Case): Bundle {
  let now = bundle
  for (const { kind, key, after } of edits) {
    const section = SECTIONS[kind]
    const others = (now[section] ?? []).filter(({ name }) => name !== key.name)
    now = { ...now, [section]: after === null ? others : [...others, after] }
  }
  return now
}

type MakeRules = ConstructorParameters<typeof PolicyIndex>[0]

/** Small limits, so that small policies see every way in which the index files. */
const SMALL: readonly IndexLimits[] = [
  { filings: 2000, list: 8, marked: 16 },
  { filings: 2, list: 8, marked: 0 },
  { filings: 2000, list: 0, marked: 16 },
  { filings: 1, list: 0, marked: 1 },
  { filings: 2000, list: 1, marked: 2 },
]

const withLimits = (seed: number) => (any: Key) => new RuleIndex(any, SMALL[seed % SMALL.length])

function answer(made: Case, makeRules?: MakeRules): Decision {
  const { index, lookup } = loadBundle(made.bundle, new PolicyIndex(makeRules))
  for (const one of made.edits) index.apply(one)
  const { request, now } = made.asked
  return decide(index, factsFor(lookup, request), request, now)
}

function wanted(made: Case): Decision {
  return naiveDecide(edited(made), CONDITIONS, made.asked.request, made.asked.now)
}

const agree = (made: Case, makeRules?: MakeRules) => isDeepStrictEqual(answer(made, makeRules), wanted(made))

function firstDisagreement(count: number, makeRules?: MakeRules): Case | undefined {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const made = caseOf(seed)
    const rules = makeRules ?? withLimits(seed)
    if (!agree(made, rules)) return smaller(made, (one) => !agree(one, rules))
  }
  return undefined
}

/** Leaves out whatever can be left out with the failure still there. */
function smaller(made: Case, fails: (made: Case) => boolean): Case {
  for (const section of ['types', 'policies', 'roles', 'rules', 'entities', 'assignments'] as const) {
    const items = made.bundle[section] ?? []
    for (const item of items) {
      const bundle = { ...made.bundle, [section]: items.filter((other) => other !== item) }
      if (fails({ ...made, bundle })) return smaller({ ...made, bundle }, fails)
    }
  }
  for (const item of made.edits) {
    const edits = made.edits.filter((other) => other !== item)
    if (fails({ ...made, edits })) return smaller({ ...made, edits }, fails)
  }
  return made
}

function shown(made: Case | undefined): string | undefined {
  return made && JSON.stringify({ ...made, naive: wanted(made), index: answer(made) }, null, 1)
}

test(`the index and the plain reference agree on ${COUNT.toLocaleString('en')} random policies and requests`, {
  timeout: 600_000,
}, () => {
  expect(shown(firstDisagreement(COUNT))).toBeUndefined()
})

test('the random policies come to every reason, and to each often', () => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= 2000; seed++) {
    const { reason } = answer(caseOf(seed))
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
    const resource = new KeySet(wanted.resource.all.slice(0, 1), this.limits.marked)
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

test.each([ForgetsAnAction, NeverRemoves, SkipsAncestors, MistakesErrors])(
  'a fault in the index is found: %o',
  (Faulty) => {
    expect(firstDisagreement(5000, (any) => new Faulty(any))).toBeDefined()
  },
)

const LAWS = Math.min(COUNT, 3000)

function eachCase(check: (made: Case, dice: Dice, random: RandomPolicy) => void): void {
  for (let seed = 1; seed <= LAWS; seed++) {
    const dice = new Dice(seed + 1_000_000)
    check({ ...caseOf(seed), edits: [] }, dice, new RandomPolicy(dice))
  }
}

const withRules = (made: Case, rules: Bundle['rules']): Case => ({
  ...made,
  bundle: { ...made.bundle, rules: rules ?? [] },
})

test('a deny that is added never turns a deny into an allow', () => {
  eachCase((made, _dice, random) => {
    const deny = { ...random.rule(), name: 'added', effect: 'deny' as const }
    const after = answer(withRules(made, [...(made.bundle.rules ?? []), deny]))
    if (after.decision) expect(answer(made).decision).toBe(true)
  })
})

test('an allow that is taken away never turns a deny into an allow', () => {
  eachCase((made, dice) => {
    const allows = (made.bundle.rules ?? []).filter(({ effect }) => effect === 'allow')
    const gone = allows[dice.below(Math.max(allows.length, 1))]
    const after = answer(
      withRules(
        made,
        (made.bundle.rules ?? []).filter((rule) => rule !== gone),
      ),
    )
    // A rule that is first in its policy hides a later one: there, taking it away can uncover an allow.
    const policy = made.bundle.policies?.find(({ name }) => name === (gone?.policy ?? 'default'))
    if (after.decision && policy?.combining !== 'first_applicable') expect(answer(made).decision).toBe(true)
  })
})

test('the order in which rules were written changes nothing, nor does writing one twice', () => {
  eachCase((made, dice) => {
    const rules = made.bundle.rules ?? []
    const shuffled = [...rules, ...rules].map((rule) => ({ rule, at: dice.below(1000) })).sort((a, b) => a.at - b.at)
    expect(
      answer(
        withRules(
          made,
          shuffled.map(({ rule }) => rule),
        ),
      ),
    ).toEqual(answer(made))
  })
})

test('without rules and roles everything is denied', () => {
  eachCase((made) => {
    const { rules: _rules, roles: _roles, ...rest } = made.bundle
    expect(answer({ ...made, bundle: rest }).decision).toBe(false)
  })
})

test('an index whose rules and roles have all been removed is as good as new', () => {
  eachCase((made) => {
    const { index } = loadBundle(made.bundle)
    for (const kind of ['rule', 'role', 'policy'] as const) {
      for (const { name } of made.bundle[SECTIONS[kind]] ?? []) {
        index.apply({ kind, key: { name }, operation: 'delete', before: null, after: null })
      }
    }
    expect(index.isEmpty).toBe(true)
    expect(index.quarantined).toBe(0)
  })
})
