import { expect, test } from 'vitest'
import type { Constraints, GivenCapability } from '../../src/policy/capability.ts'
import { compileCondition, isFault } from '../../src/policy/condition.ts'
import { CLEAR } from '../../src/policy/condition-trace.ts'
import { decide } from '../../src/policy/decide.ts'
import { explain } from '../../src/policy/explain.ts'
import { factsFor, loadBundle } from '../../src/policy/in-memory.ts'
import type { Bundle, Rule } from '../../src/policy/model.ts'
import { PolicyIndex } from '../../src/policy/policy-index.ts'
import { RuleIndex } from '../../src/policy/rule-index.ts'
import { Dice } from './dice.ts'
import { type Conditions, type NaiveScope, naiveDecide } from './naive.ts'
import { caseOf, SMALL } from './random-case.ts'
import { CONDITIONS } from './random-meanings.ts'
import { RandomPolicy } from './random-policy.ts'
import { ask } from './random-question.ts'
import { INSTANTS, subject } from './universe.ts'

const COUNT = Number(process.env['VERDICT_TEST_POLICIES'] ?? 500)
const IDS = [
  '0190a0a0-0000-7000-8000-00000000000a',
  '0190a0a0-0000-7000-8000-00000000000b',
  '0190a0a0-0000-7000-8000-00000000000c',
] as const
const LIMITS: readonly [Constraints, ...Constraints[]] = [{}, { memory: 2 }, { memory: 1, cpu: 0.5 }, { cpu: 0 }]
const REQUESTED: readonly [unknown, ...unknown[]] = [
  undefined,
  {},
  { memory: 1 },
  { memory: 2, cpu: 0.5 },
  { memory: 3 },
  { cpu: '0' },
  { memory: null, cpu: 9 },
  null,
  ['memory'],
  'cpu',
]

const FAULTY = new Set([...CONDITIONS.keys()].filter((text) => isFault(compileCondition(text))))

type Truth = boolean | undefined

function random(dice: Dice, policy: RandomPolicy): GivenCapability {
  const { actions, resources, condition = null } = policy.rule()
  return {
    id: dice.one(IDS),
    subject: subject(dice),
    actions,
    resources,
    condition: condition ?? null,
    constraints: dice.one(LIMITS),
    expires_at: dice.chance(2) ? '2040-01-01T00:00:00Z' : dice.one(INSTANTS),
    justification: null,
    name: null,
    delegable: false,
    from: null,
    granted_by: { type: 'user', id: 'x' },
    request: null,
  }
}

/** What the reference makes of a capability: an allow rule whose condition is known by the capability's own text. */
function asRule(capability: GivenCapability): Rule {
  const { id, subject, actions, resources, constraints, expires_at } = capability
  const limits = { id: `capabilities/${id}`, type: 'limits', properties: constraints }
  return {
    name: id,
    policy: 'capabilities',
    effect: 'allow',
    subjects: [subject],
    actions,
    resources,
    condition: JSON.stringify(capability),
    obligations: Object.keys(constraints).length === 0 ? [] : [limits],
    valid_until: expires_at,
  }
}

function meaningOf({ condition, constraints }: GivenCapability): (scope: NaiveScope) => Truth {
  return (scope) => {
    const own = condition === null ? () => true : CONDITIONS.get(condition)
    // What does not compile errs as a whole.
    if (own === undefined || (condition !== null && FAULTY.has(condition))) return undefined
    return and(own(scope), keepsTo(constraints, scope.context['requested']))
  }
}

function keepsTo(constraints: Constraints, requested: unknown): Truth {
  if (requested === undefined || Object.keys(constraints).length === 0) return true
  if (typeof requested !== 'object' || requested === null || Array.isArray(requested)) return false
  const stated = new Map(Object.entries(requested))
  return Object.entries(constraints).reduce<Truth>((truth, [name, limit]) => {
    const value: unknown = stated.has(name) ? stated.get(name) : 0
    return and(truth, typeof value === 'number' ? value <= limit : undefined)
  }, true)
}

function and(a: Truth, b: Truth): Truth {
  if (a === false || b === false) return false
  return a === undefined || b === undefined ? undefined : true
}

function withCapabilities(bundle: Bundle, capabilities: readonly GivenCapability[]): [Bundle, Conditions] {
  const rules = [...(bundle.rules ?? []), ...capabilities.map(asRule)]
  const meanings = capabilities.map((one) => [JSON.stringify(one), meaningOf(one)] as const)
  return [{ ...bundle, rules }, new Map([...CONDITIONS, ...meanings])]
}

test(`with capabilities put and taken in place, a decision is that of the plain reference (${COUNT} policies)`, {
  timeout: 600_000,
}, () => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= COUNT; seed++) {
    const { bundle } = caseOf(seed)
    const dice = new Dice(seed * 7)
    const policy = new RandomPolicy(dice)
    const { index, lookup } = loadBundle(
      bundle,
      new PolicyIndex((any) => new RuleIndex(any, SMALL[seed % SMALL.length])),
    )
    const standing = new Map<string, GivenCapability>()
    for (let step = 0; step < 5; step++) {
      const one = random(dice, policy)
      const after = dice.chance(4) ? null : one
      index.apply({ kind: 'capability', key: { id: one.id }, operation: 'update', before: null, after })
      if (after === null) standing.delete(one.id)
      else standing.set(one.id, one)
      const [all, conditions] = withCapabilities(bundle, [...standing.values()])
      const { request: aimed, now } = ask(dice, all)
      const requested = dice.one(REQUESTED)
      const request = { ...aimed, context: { ...aimed.context, ...(requested !== undefined && { requested }) } }
      const facts = factsFor(lookup, request)
      const decision = decide(index, facts, request, now)
      expect(decision, `seed ${seed}`).toEqual(naiveDecide(all, conditions, request, now))
      if (step === 0)
        expect(explain(index, facts, request, now, lookup, CLEAR).decision, `seed ${seed}`).toEqual(decision)
      if (decision.rules.some((key) => key.startsWith('capabilities/')))
        seen.set(decision.reason, (seen.get(decision.reason) ?? 0) + 1)
      if (decision.obligations.some(({ type }) => type === 'limits')) seen.set('limits', (seen.get('limits') ?? 0) + 1)
    }
  }
  for (const what of ['allowed_by_rule', 'condition_error', 'limits']) expect(seen.get(what), what).toBeGreaterThan(20)
})

test('an index from which all capabilities were taken is as good as new', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const dice = new Dice(seed)
    const policy = new RandomPolicy(dice)
    const index = new PolicyIndex()
    for (let step = 0; step < 6; step++) {
      const after = random(dice, policy)
      index.apply({ kind: 'capability', key: { id: after.id }, operation: 'create', before: null, after })
    }
    for (const id of IDS)
      index.apply({ kind: 'capability', key: { id }, operation: 'delete', before: null, after: null })
    expect([index.isEmpty, index.quarantined]).toEqual([true, 0])
  }
})

test.each<readonly [string, (capability: GivenCapability) => unknown]>([
  ['no object', () => 'no document'],
  ['without a subject', ({ subject: _subject, ...rest }) => rest],
  ['with a member that nobody knows', (given) => ({ ...given, wider: true })],
  ['with limits that are none', (given) => ({ ...given, constraints: { memory: '2' } })],
  ['without an end', ({ expires_at: _end, ...rest }) => rest],
  ['with an end that is none', (given) => ({ ...given, expires_at: 'never' })],
  ['with another id', (given) => ({ ...given, id: IDS[1] })],
  ['with a condition that does not compile', (given) => ({ ...given, condition: 'a &&' })],
])('a capability that cannot be read is quarantined, and never allows: %s', (_title, spoil) => {
  const request = { subject: { type: 'user', id: 'a' }, action: { name: 'read' }, resource: { type: 'doc', id: 'a' } }
  const sound: GivenCapability = {
    id: IDS[0],
    subject: request.subject,
    actions: ['read'],
    resources: [{ type: 'doc' }],
    condition: null,
    constraints: { memory: 2 },
    expires_at: '2040-01-01T00:00:00Z',
    justification: null,
    name: null,
    delegable: false,
    from: null,
    granted_by: { type: 'user', id: 'x' },
    request: null,
  }
  const { index, lookup } = loadBundle({ verdict: 1 })
  const answer = () => decide(index, factsFor(lookup, request), request, Date.parse('2030-01-01T00:00:00Z'))
  const put = (after: unknown) =>
    index.apply({ kind: 'capability', key: { id: IDS[0] }, operation: 'create', before: null, after: after as never })
  put(sound)
  expect(answer().decision).toBe(true)
  put(spoil(sound))
  expect(answer()).toMatchObject({ decision: false, reason: 'condition_error', rules: [`capabilities/${IDS[0]}`] })
  expect(index.quarantined).toBe(1)
  expect(index.faultOf('capability', IDS[0])).toEqual(expect.any(String))
  put(sound)
  expect([answer().decision, index.quarantined]).toEqual([true, 0])
})
