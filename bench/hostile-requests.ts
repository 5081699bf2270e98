import { type LoadedBundle, loadBundle } from '../src/policy/in-memory.ts'
import type { AccessRequest, Bundle, Properties, Role, Rule } from '../src/policy/model.ts'

export const NOW = Date.parse('2030-07-01T22:30:00.123Z')

/** A policy with the question that costs it most. */
export interface Scenario {
  readonly name: string
  readonly world: LoadedBundle
  readonly request: AccessRequest
}

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
const members = (count: number, value: (at: number) => unknown) =>
  Object.fromEntries(many(count, (at) => [`k${at}`, value(at)]))
const loops = (at: number) => `context.l.all(a, context.l.all(b, a + b >= -${at}))`
const NUMBERS = many(1000, (at) => at)

/** One rule for each condition. */
export function ofConditions(name: string, conditions: readonly string[], context: Properties): Scenario {
  return scenario(name, { rules: conditions.map((condition, at) => rule(at, { condition })) }, { context })
}

/** Whole requests that cost much, by other means than one condition alone. */
export function hostileRequests(): Scenario[] {
  const context = { l: NUMBERS }
  return [
    ofConditions('1,000 rules with a dear condition each', many(1000, loops), context),
    ofConditions(
      '10,000 rules with a condition each that errs',
      many(10_000, (at) => `context.missing == ${at}`),
      context,
    ),
    scenario('10,000 rules that apply, without conditions', { rules: many(10_000, (at) => rule(at)) }, { context }),
    derivedRoles(context),
    wideRequest(),
    schemas(),
    obligations(),
  ]
}

function derivedRoles(context: Properties): Scenario {
  const derived = many(100, (at): Role => ({ name: `d${at}`, derived: { from: ['base'], condition: loops(at) } }))
  const rules = many(1000, (at) => rule(at, { subjects: [{ role: `d${at % 100}` }], condition: loops(1000 + at) }))
  const assignments = [{ subject: { type: 'user', id: 'alice' }, role: 'base' }]
  const roles = [{ name: 'base' }, ...derived]
  return scenario(
    '100 derived roles and 1,000 rules for them, a dear condition each',
    { roles, rules, assignments },
    { context },
  )
}

/** As many properties as a request can carry, over as many that are stored. */
function wideRequest(): Scenario {
  const properties = members(8000, (at) => at)
  const entities = [
    { type: 'user', id: 'alice', properties },
    { type: 'doc', id: 'd', properties },
  ]
  const types = ['user', 'doc'].map((name) => ({ name, protected_properties: ['k1', 'k2'] }))
  const conditions = many(100, (at) => `subject.properties == resource.properties && resource.properties.k9 == ${at}`)
  const rules = conditions.map((condition, at) => rule(at, { condition }))
  return scenario(
    '8,000 properties of subject and resource each, over as many stored',
    { types, entities, rules },
    { properties },
  )
}

/** Schemas that spend their own budgets, beside conditions that spend theirs. */
function schemas(): Scenario {
  const schema = {
    properties: { l: { type: 'array', items: { anyOf: many(40, (at) => ({ type: 'string', minLength: at + 2 })) } } },
  }
  const types = ['user', 'doc'].map((name) => ({ name, schema, on_invalid: 'warn' as const }))
  const properties = { l: many(25_000, () => 'a') }
  const rules = many(1000, (at) => rule(at, { condition: loops(at) }))
  return scenario(
    'schemas with 40 alternatives for each of 25,000 items, and dear conditions',
    { types, rules },
    { properties, context: { l: NUMBERS } },
  )
}

/** Obligations of one id that are all different: each is compared with the others. */
function obligations(): Scenario {
  const rules = many(1000, (at) =>
    rule(at, { obligations: many(10, (of) => ({ id: 'mask', type: 'mask', properties: { fields: { at, of } } })) }),
  )
  return scenario('1,000 rules with ten obligations each, all different', { rules }, {})
}

function rule(at: number, more: Partial<Rule> = {}): Rule {
  return {
    name: `r${at}`,
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['read'],
    resources: [{ type: 'doc' }],
    ...more,
  }
}

interface Sent {
  readonly context?: Properties
  readonly properties?: Properties
}

function scenario(name: string, policy: Omit<Bundle, 'verdict'>, { context = {}, properties = {} }: Sent): Scenario {
  const request = {
    subject: { type: 'user', id: 'alice', properties: { level: 'admin', ...properties } },
    action: { name: 'read' },
    resource: { type: 'doc', id: 'd', properties },
    context,
  }
  // As a request brings it: read from JSON.
  return { name, world: loadBundle({ verdict: 1, ...policy }), request: JSON.parse(JSON.stringify(request)) }
}
