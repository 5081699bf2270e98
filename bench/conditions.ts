import { Budget, STEPS_PER_REQUEST } from '../src/policy/budget.ts'
import { CLEAR } from '../src/policy/condition-trace.ts'
import { decide } from '../src/policy/decide.ts'
import { explain } from '../src/policy/explain.ts'
import { factsFor, type LoadedBundle } from '../src/policy/in-memory.ts'
import { judgeRequest } from '../src/policy/judgement.ts'
import type { AccessRequest } from '../src/policy/model.ts'
import { HOSTILE } from '../test/support/hostile-conditions.ts'
import { hostileRequests, NOW, ofConditions, type Scenario } from './hostile-requests.ts'
import type { Row, Section } from './section.ts'
import { quantile, rounded } from './timing.ts'

const RUNS = 5
const GOAL_MS = 20
const SHOWN = 20
const BATCH = 1000
// Of the processor's time: what costs more is told after fewer items.
const ENOUGH_MS = 3000

/** What conditions can be made to cost: the dearest that were found, alone, as whole requests, and as a batch. */
export async function run(): Promise<readonly Section[]> {
  const alone = HOSTILE.map(({ condition, context = {} }) => ofConditions(short(condition), [condition], context))
    .map((scenario) => ({ scenario, row: decisionRow(scenario) }))
    .sort((a, b) => b.row.ms - a.row.ms)
  const dearest = alone.slice(0, 3).map(({ scenario }) => scenario)
  const requests = [...dearest, ...hostileRequests()]
  return [
    {
      title: 'The dearest conditions',
      method: `Single decisions by one rule, each condition over lists and texts as long as a request of 256 KiB can carry them:
the processor's time, the median of ${RUNS} and the most, after as many others. All of them together spend one budget of
${STEPS_PER_REQUEST.toLocaleString('en')} steps, which is meant to be about ${GOAL_MS} ms.`,
      rows: alone.slice(0, SHOWN).map(({ row }) => row),
      notes: [`Of ${alone.length} conditions. Past its budget each came to an error, none to an answer.`, over(alone)],
    },
    {
      title: 'The dearest requests',
      method: `As wholes: the properties are judged by their types, then decided, facts at hand; \`explain\` decides and then
traces, on a second budget of the same size.`,
      rows: requests.map(requestRow),
    },
    {
      title: 'The dearest batches',
      method: `${BATCH.toLocaleString('en')} items that share one budget, as one request does, decided one after another without the pauses that a
server makes between them: in all (of the processor's time, and no more items once that is ${ENOUGH_MS / 1000} s), and the one item that takes longest after the first.`,
      rows: requests.map(batchRow),
    },
  ]
}

function over(alone: readonly { readonly row: { readonly ms: number } }[]): string {
  const count = alone.filter(({ row }) => row.ms > GOAL_MS).length
  return count === 0 ? `None took more than ${GOAL_MS} ms.` : `${count} took more than ${GOAL_MS} ms.`
}

function decisionRow({ name, world, request }: Scenario) {
  let steps = 0
  const times = measured(() => {
    steps = STEPS_PER_REQUEST - decided(world, request, new Budget()).left
  })
  return { condition: name, ms: times.ms, most_ms: times.most_ms, steps }
}

function requestRow({ name, world, request }: Scenario): Row {
  const { index, lookup } = world
  const facts = factsFor(lookup, request)
  const judged = measured(() => judgeRequest(index, facts, request))
  const whole = measured(() => {
    judgeRequest(index, facts, request)
    decided(world, request, new Budget())
  })
  const explained = measured(() => explain(index, facts, request, NOW, lookup, CLEAR))
  const bytes = Buffer.byteLength(JSON.stringify(request))
  return {
    request: name,
    kib: Math.round(bytes / 1024),
    ms: whole.ms,
    most_ms: whole.most_ms,
    judged_ms: judged.ms,
    explain_ms: explained.ms,
  }
}

function batchRow({ name, world, request }: Scenario): Row {
  const budget = new Budget()
  const times: number[] = []
  const began = process.cpuUsage()
  while (times.length < BATCH && spentSince(began) < ENOUGH_MS) {
    const at = performance.now()
    decided(world, request, budget)
    times.push(performance.now() - at)
  }
  return {
    batch_of: name,
    items: times.length,
    all_ms: rounded(spentSince(began)),
    first_ms: rounded(times[0] ?? 0),
    later_p50_ms: rounded(quantile(times.slice(1), 0.5)),
    later_most_ms: rounded(Math.max(...times.slice(1))),
  }
}

function spentSince(began: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}

/** What is left of the budget. A condition that does not spend it must have been true. */
function decided({ index, lookup }: LoadedBundle, request: AccessRequest, budget: Budget): Budget {
  const { reason } = decide(index, factsFor(lookup, request), request, NOW, budget)
  if (budget.spent && reason !== 'condition_error') throw new Error(`past its budget a condition came to ${reason}`)
  return budget
}

function measured(work: () => unknown): { readonly ms: number; readonly most_ms: number } {
  for (let run = 0; run < RUNS; run++) work()
  const times = Array.from({ length: RUNS }, () => {
    const began = process.cpuUsage()
    work()
    return spentSince(began)
  })
  return { ms: rounded(quantile(times, 0.5)), most_ms: rounded(Math.max(...times)) }
}

function short(condition: string): string {
  const text = condition.replace(/\s+/g, ' ')
  return text.length > 90 ? `${text.slice(0, 87)}…` : text
}
