import { Budget, STEPS_PER_REQUEST } from '../src/policy/budget.ts'
import { decide } from '../src/policy/decide.ts'
import { factsFor, type LoadedBundle, loadBundle } from '../src/policy/in-memory.ts'
import type { AccessRequest, Rule } from '../src/policy/model.ts'
import { HOSTILE, type Hostile } from '../test/support/hostile-conditions.ts'

const NOW = Date.parse('2030-07-01T22:30:00.123Z')
const RUNS = 5

interface Row {
  readonly ms: number
  readonly worst_ms: number
  readonly steps: number
  readonly condition: string
}

/** The dearest requests that were found, each a single decision that spends the budget of its conditions; dearest first. */
export async function run(): Promise<void> {
  const rows = [...HOSTILE.map(one), manyRules(1000)].sort((a, b) => b.ms - a.ms)
  console.table(rows.slice(0, 25))
  console.log(JSON.stringify({ node: process.version, budget: STEPS_PER_REQUEST, rows }))
}

function one({ condition, context = {} }: Hostile): Row {
  return measure([condition], context, short(condition))
}

/** A thousand rules for one question, each with a condition of its own that spends all it gets. */
function manyRules(count: number): Row {
  const conditions = Array.from({ length: count }, (_, at) => `context.l.all(a, context.l.all(b, a + b >= -${at}))`)
  const l = Array.from({ length: 1000 }, (_, at) => at)
  return measure(conditions, { l }, `${count} rules: ${conditions[0]}`)
}

function measure(conditions: readonly string[], context: Record<string, unknown>, condition: string): Row {
  const world = loadBundle({ verdict: 1, rules: conditions.map(rule) })
  const request = asked(context)
  decided(world, request)
  const times: number[] = []
  let steps = 0
  for (let at = 0; at < RUNS; at++) {
    const began = process.cpuUsage()
    steps = STEPS_PER_REQUEST - decided(world, request).left
    const { user, system } = process.cpuUsage(began)
    times.push((user + system) / 1000)
  }
  times.sort((a, b) => a - b)
  return { ms: times[RUNS >> 1] ?? 0, worst_ms: times.at(-1) ?? 0, steps, condition }
}

function rule(condition: string, at: number): Rule {
  return {
    name: `r${at}`,
    effect: 'allow',
    subjects: [{ any: true }],
    actions: ['read'],
    resources: [{ type: 'doc' }],
    condition,
  }
}

function asked(context: Record<string, unknown>): AccessRequest {
  const subject = { type: 'user', id: 'alice', properties: { level: 'admin' } }
  // As a request brings it: read from JSON.
  return JSON.parse(JSON.stringify({ subject, action: { name: 'read' }, resource: { type: 'doc', id: 'd' }, context }))
}

/** What is left of the budget. A condition that does not spend it must have been true. */
function decided({ index, lookup }: LoadedBundle, request: AccessRequest): Budget {
  const budget = new Budget()
  const { reason } = decide(index, factsFor(lookup, request), request, NOW, budget)
  if (budget.spent && reason !== 'condition_error') throw new Error(`past its budget a condition came to ${reason}`)
  return budget
}

function short(condition: string): string {
  const text = condition.replace(/\s+/g, ' ')
  return text.length > 90 ? `${text.slice(0, 87)}…` : text
}
