import { cpus } from 'node:os'
import { Budget } from '../src/policy/budget.ts'
import { decide } from '../src/policy/decide.ts'
import type { Facts } from '../src/policy/entity-graph.ts'
import { factsFor, type LoadedBundle, loadBundle } from '../src/policy/in-memory.ts'
import type { AccessRequest, Assignment, Bundle, Entity, Rule } from '../src/policy/model.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const APPLICABLE = 10
const QUESTIONS = 20_000

interface Question {
  readonly request: AccessRequest
  readonly facts: Facts
}

interface Row {
  readonly rules: number
  readonly decide_p50_us: number
  readonly decide_p99_us: number
  readonly with_facts_p50_us: number
  readonly change_p50_us: number
  readonly change_max_us: number
  readonly load_s: number
  readonly bytes_per_rule: number
}

/**
 * `decide` at 1,000 and 100,000 rules (and 1,000,000 with `--million`): ten rules apply to each question, found in ten
 * different ways, one of them with a condition. Questions are drawn uniformly at random from all subjects and resources.
 */
export async function run(args: readonly string[]): Promise<void> {
  const sizes = args.includes('--million') ? [1000, 100_000, 1_000_000] : [1000, 100_000]
  const rows = sizes.map(measure)
  console.log(`node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`)
  console.table(rows)
  console.log(JSON.stringify(rows))
}

function measure(rules: number): Row {
  const before = heapUsed()
  const began = performance.now()
  const loaded = loadBundle(policyOf(rules / APPLICABLE, 0))
  const load_s = round((performance.now() - began) / 1000)
  const bytes_per_rule = Math.round((heapUsed() - before) / rules)
  const { lookup } = loadBundle(policyOf(0, rules / APPLICABLE))
  const world: LoadedBundle = { index: loaded.index, lookup }
  const questions = Array.from({ length: QUESTIONS }, () => question(world, rules / APPLICABLE))
  checkAnswers(world, questions)
  const decided = timed(questions, ({ request, facts }) => decide(world.index, facts, request, NOW, new Budget()))
  const whole = timed(questions, ({ request }) => decide(world.index, factsFor(lookup, request), request, NOW))
  const changes = timed(
    rulesOf(rules / APPLICABLE - 1).flatMap((rule) => Array.from({ length: 100 }, () => rule)),
    (rule) => change(world, rule),
  )
  return {
    rules,
    decide_p50_us: decided.p50,
    decide_p99_us: decided.p99,
    with_facts_p50_us: whole.p50,
    change_p50_us: changes.p50,
    change_max_us: changes.max,
    load_s,
    bytes_per_rule,
  }
}

/** Takes a rule away and puts it back. */
function change({ index }: LoadedBundle, rule: Rule): void {
  const key = { name: rule.name }
  index.apply({ kind: 'rule', key, operation: 'delete', before: rule, after: null })
  index.apply({ kind: 'rule', key, operation: 'create', before: null, after: rule })
}

/** Nothing is timed before it is known to be right. */
function checkAnswers(world: LoadedBundle, questions: readonly Question[]): void {
  for (const { request, facts } of questions) {
    const { decision, reason, rules } = decide(world.index, facts, request, NOW)
    if (decision && reason === 'allowed_by_rule' && rules.length === APPLICABLE) continue
    throw new Error(`a wrong answer: ${reason}, ${rules.length} rules, to ${JSON.stringify(request)}`)
  }
  for (const { request, facts } of questions.slice(0, 100)) {
    const other = { ...request, action: { name: 'document:shred' } }
    const { reason, rules } = decide(world.index, facts, other, NOW)
    // By the pattern of actions alone.
    if (reason !== 'allowed_by_rule' || rules.length !== 1) throw new Error(`a wrong answer: ${reason}, ${rules}`)
  }
}

function question({ lookup }: LoadedBundle, count: number): Question {
  const subject = Math.floor(Math.random() * count)
  const resource = Math.floor(Math.random() * count)
  const request = {
    subject: { type: 'user', id: `u${subject}` },
    action: { name: 'document:read' },
    resource: { type: 'document', id: `p${resource}/d${resource}`, properties: { owner: `u${subject}` } },
    context: { ip: '10.0.0.1' },
  }
  return { request, facts: factsFor(lookup, request) }
}

function policyOf(rules: number, entities: number): Bundle {
  const numbers = Array.from({ length: rules }, (_, at) => at)
  const places = Array.from({ length: entities }, (_, at) => at)
  return {
    verdict: 1,
    rules: numbers.flatMap(rulesOf),
    entities: places.flatMap(entitiesOf),
    assignments: places.map((at): Assignment => ({ subject: { type: 'user', id: `u${at}` }, role: `r${at}` })),
  }
}

function entitiesOf(at: number): Entity[] {
  return [
    { type: 'user', id: `u${at}`, parents: [{ type: 'group', id: `g${at}` }] },
    { type: 'document', id: `p${at}/d${at}`, parents: [{ type: 'folder', id: `f${at}` }] },
  ]
}

/** Ten rules: those for user number `at` and those for document number `at`. */
function rulesOf(at: number): Rule[] {
  const any = [{ any: true as const }]
  const user = [{ type: 'user', id: `u${at}` }]
  const role = [{ role: `r${at}` }]
  const document = [{ type: 'document' }]
  const exact = [{ type: 'document', id: `p${at}/d${at}` }]
  const allow = (
    name: string,
    subjects: Rule['subjects'],
    resources: Rule['resources'],
    action = 'document:read',
  ): Rule => ({
    name: `${name}-${at}`,
    effect: 'allow',
    subjects,
    actions: [action],
    resources,
  })
  return [
    allow('exact-id', any, exact),
    allow('prefix', any, [{ type: 'document', id: `p${at}/**` }]),
    allow('suffix', any, [{ type: 'document', id: `**/d${at}` }]),
    allow('within', any, [{ type: 'document', within: { type: 'folder', id: `f${at}` } }]),
    { ...allow('owner', any, exact), condition: 'resource.properties.owner == subject.id' },
    allow('user', user, document),
    allow('role', role, document),
    allow('group', [{ type: 'group', id: `g${at}` }], document),
    allow('any-type', role, [{ type: '*' }]),
    allow('any-action', user, document, 'document:*'),
  ]
}

interface Times {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Microseconds of each call by itself, in three rounds, of which the last counts; the clock's own time taken off. */
function timed<T>(items: readonly T[], call: (item: T) => void): Times {
  const nothing = median(items.map((item) => clocked(item, () => undefined)))
  let times: number[] = []
  for (let round = 0; round < 3; round++) times = items.map((item) => clocked(item, call) - nothing)
  times.sort((a, b) => a - b)
  const at = (share: number) => round((times[Math.floor((times.length - 1) * share)] ?? Number.NaN) / 1000)
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

function clocked<T>(item: T, call: (item: T) => void): number {
  const began = process.hrtime.bigint()
  call(item)
  return Number(process.hrtime.bigint() - began)
}

function heapUsed(): number {
  // With --expose-gc; without it the figure is too high by what was not yet collected.
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const round = (value: number) => Math.round(value * 1000) / 1000
