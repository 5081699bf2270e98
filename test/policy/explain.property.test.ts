import { expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { CLEAR } from '../../src/policy/condition-trace.ts'
import { decide } from '../../src/policy/decide.ts'
import { explain } from '../../src/policy/explain.ts'
import type { NearMiss } from '../../src/policy/explanation.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Key } from '../../src/policy/key.ts'
import type { Bundle, Decision, Permission, Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { Question } from '../../src/policy/question.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { Dice } from './dice.ts'
import { RandomPolicy } from './random-policy.ts'
import { type Asked, ask } from './random-question.ts'

// On a machine that is busy with other things.

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 2000)
const LIMITS = [
  { filings: 2000, list: 8, marked: 16 },
  { filings: 1, list: 0, marked: 0 },
]

interface Case {
  readonly bundle: Bundle
  readonly asked: Asked
  readonly seed: number
}

function eachCase(check: (made: Case) => void, count = COUNT): void {
  for (let seed = 1; seed <= count; seed++) {
    const dice = new Dice(seed)
    const bundle = new RandomPolicy(dice).bundle()
    check({ bundle, asked: ask(dice, bundle), seed })
  }
}

function load({ bundle, seed }: Case) {
  return loadBundle(bundle, new PolicyIndex((any) => new RuleIndex(any, LIMITS[seed % LIMITS.length])))
}

function explained(made: Case) {
  const { index, lookup } = load(made)
  const { request, now } = made.asked
  return explain(index, factsFor(lookup, request), request, now, lookup, CLEAR)
}

function decided(made: Case): Decision {
  const { index, lookup } = load(made)
  const { request, now } = made.asked
  return decide(index, factsFor(lookup, request), request, now)
}

test('an explanation has the decision of authorize, and its rules apply or erred in the trace', () => {
  eachCase((made) => {
    const { decision, trace } = explained(made)
    expect(decision, `seed ${made.seed}`).toEqual(decided(made))
    const wanted = (one: (typeof trace.rules)[number]) =>
      decision.reason === 'condition_error' ? one.erred : one.applies && !one.erred
    const told = new Set(trace.rules.filter(wanted).map(({ rule }) => rule))
    expect(
      decision.rules.filter((rule) => !told.has(rule)),
      `seed ${made.seed}`,
    ).toEqual([])
  })
})

test('explaining leaves nothing behind: the next decision is the same', () => {
  eachCase((made) => {
    const { index, lookup } = load(made)
    const { request, now } = made.asked
    const facts = factsFor(lookup, request)
    const before = decide(index, facts, request, now)
    explain(index, facts, request, now, lookup, CLEAR)
    expect(decide(index, facts, request, now), `seed ${made.seed}`).toEqual(before)
  })
})

test('the parts of a rule say whether it applies', () => {
  eachCase((made) => {
    for (const { rule, applies, erred, effect, parts } of explained(made).trace.rules) {
      const { target, subject, action, resource, validity, condition } = parts
      const all = [target, subject, action, resource, validity, condition ?? { outcome: 'holds' }]
      const some = (outcome: string) => all.some((part) => part.outcome === outcome)
      const truth = some('fails') ? false : some('errs') ? undefined : true
      expect([rule, erred, applies], `seed ${made.seed}`).toEqual([
        rule,
        truth === undefined,
        truth ?? effect === 'deny',
      ])
    }
  })
})

test('the verdicts of the policies make the decision', () => {
  eachCase((made) => {
    const { decision, trace } = explained(made)
    if (decision.reason === 'subject_disabled') return
    const denied = trace.policies.some(({ verdict }) => verdict === 'deny')
    const satisfied = trace.policies.every(
      ({ required, target, verdict }) => !(required && target) || verdict === 'allow',
    )
    const allowed = trace.policies.some(({ verdict }) => verdict === 'allow')
    expect(!denied && satisfied && allowed, `seed ${made.seed}`).toBe(decision.decision)
    for (const { verdict, rules, target } of trace.policies) {
      expect(rules.length > 0).toBe(verdict !== null)
      if (!target) expect(verdict).toBeNull()
    }
  })
})

test('the roles of the trace are those that the decision held, each with a way to it', () => {
  eachCase((made) => {
    const { index, lookup } = load(made)
    const { request, now } = made.asked
    const facts = factsFor(lookup, request)
    const { roles, roles_missed } = explain(index, facts, request, now, lookup, CLEAR).trace
    const question = new Question(index, facts, request, now, new Budget())
    const names = (made.bundle.roles ?? []).map(({ name }) => name)
    const those = (which: (role: Key) => boolean) =>
      names
        .filter((name) => {
          const role = index.shared.roles.get(name)
          return role !== undefined && which(role)
        })
        .sort()
    const told = (erred: boolean) =>
      roles.filter((one) => one.erred === erred && names.includes(one.role)).map(({ role }) => role)
    expect([told(false), told(true)], `seed ${made.seed}`).toEqual([
      those((role) => question.isHeld(role)),
      those((role) => question.isUnsure(role)),
    ])
    for (const { through } of roles) expect(through, `seed ${made.seed}`).not.toEqual([])
    for (const { role } of roles_missed) expect(roles.map((one) => one.role)).not.toContain(role)
  })
})

const ALWAYS: Record<NearMiss['failed'], Partial<Rule>> = {
  subject: { subjects: [{ any: true }] },
  action: { actions: ['*'] },
  resource: { resources: [{ type: '*' }] },
  validity: { valid_from: null, valid_until: null },
  condition: { condition: null },
}

/** The policy with the part of the rule that failed made to hold. */
function flipped(bundle: Bundle, { rule, permission: place, failed }: NearMiss): Bundle {
  const name = rule.slice(rule.indexOf('/') + 1)
  const { rules = [], roles = [] } = bundle
  if (place === undefined) {
    return { ...bundle, rules: rules.map((one) => (one.name === name ? { ...one, ...ALWAYS[failed] } : one)) }
  }
  const permissions = roles.find((role) => role.name === name)?.permissions ?? []
  // A permission has no subject to change: as a rule of the same policy it has.
  const rest = permissions.filter((_, at) => at !== place)
  const whole: Permission = permissions[place] ?? { actions: [], resources: [] }
  const subjects = [{ role: name }]
  const freed: Rule = { ...whole, subjects, ...ALWAYS[failed], name, policy: 'roles', effect: 'allow' }
  return {
    ...bundle,
    roles: roles.map((role) => (role.name === name ? { ...role, permissions: rest } : role)),
    rules: [...rules.filter((one) => one.name !== name), freed],
  }
}

test('with its failed part made to hold, a near miss allows; an allow has none', () => {
  const seen = new Map<string, number>()
  eachCase((made) => {
    const { decision, trace } = explained(made)
    expect(trace.complete).toBe(true)
    if (decision.decision) expect(trace.nearest_misses).toEqual([])
    for (const miss of trace.nearest_misses) {
      seen.set(miss.failed, (seen.get(miss.failed) ?? 0) + 1)
      const { condition, ...others } = miss.parts
      const failing = Object.entries({ ...others, ...(condition && { condition }) })
        .filter(([, { outcome }]) => outcome !== 'holds')
        .map(([part]) => part)
      expect(failing, `seed ${made.seed}`).toEqual([miss.failed])
      const name = miss.rule.slice(miss.rule.indexOf('/') + 1)
      // A rule of the same name would be lost when the permission is written as a rule.
      if (miss.permission !== undefined && made.bundle.rules?.some((rule) => rule.name === name)) continue
      expect(decided({ ...made, bundle: flipped(made.bundle, miss) }).decision, `seed ${made.seed} ${miss.rule}`).toBe(
        true,
      )
    }
  }, COUNT * 2)
  for (const failed of Object.keys(ALWAYS)) expect(seen.get(failed), failed).toBeGreaterThan(20)
})

test('no near miss is overlooked: a rule that would allow with one part made to hold is among them', () => {
  eachCase((made) => {
    const { decision, trace } = explained(made)
    if (decision.decision || trace.nearest_misses.length === 10) return
    const told = trace.nearest_misses.map(({ rule, failed }) => `${rule} ${failed}`)
    for (const rule of made.bundle.rules ?? []) {
      if (rule.effect === 'deny' || rule.enabled === false) continue
      const key = `${rule.policy ?? 'default'}/${rule.name}`
      for (const failed of ['subject', 'action', 'resource', 'validity', 'condition'] as const) {
        const allowed = decided({ ...made, bundle: flipped(made.bundle, { rule: key, failed } as NearMiss) }).decision
        if (allowed) expect(told, `seed ${made.seed}`).toContain(`${key} ${failed}`)
      }
    }
  }, COUNT / 4)
})
