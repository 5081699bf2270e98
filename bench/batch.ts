import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Question, rounded } from './audit/callers.ts'
import { median } from './audit/http.ts'
import { Room } from './audit/room.ts'
import { Service } from './audit/service.ts'
import { sustained } from './audit/sustained.ts'
import type { Section } from './section.ts'

const ITEMS = 100
const GIB = 2 ** 30
const WARM_DECISIONS = 200_000
const WARM_SECONDS = 12

/** A way of asking: how many decisions a call is, over how many connections. */
interface Door {
  readonly name: string
  readonly decisions: number
  readonly connections: number
  readonly question?: () => Question
}

/** Batches as most callers make them: one subject may do one thing to which of these? */
export const batchDoor = {
  name: 'batch, subject and action given once',
  decisions: ITEMS,
  connections: 8,
  question: shared,
} satisfies Door

const DOORS: readonly Door[] = [
  { name: 'single calls', decisions: 1, connections: 64 },
  batchDoor,
  { name: 'batch, every item whole', decisions: ITEMS, connections: 8, question: whole },
  { name: 'AuthZEN evaluations, every item whole', decisions: ITEMS, connections: 8, question: authzen },
]

/**
 * `batch [--seconds 3] [--rounds 1] [--hold 5] [--skip burst | sustained]`: batches of 100 over HTTP against single calls,
 * in one run. Every item asks about a resource that nobody asked about before, one in eight is denied, and every answer is
 * checked; a condition decides each.
 */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '1' },
      hold: { type: 'string', default: '5' },
      skip: { type: 'string' },
    },
  })
  return Room.with('batch', 8 * GIB, async (room) => {
    const service = await Service.start(room, 'batch')
    await checkAnswers(service)
    for (const door of DOORS) await warm(service, door)
    const sections: Section[] = []
    if (values.skip !== 'burst') sections.push(await burst(service, Number(values.seconds), Number(values.rounds)))
    if (values.skip !== 'sustained') {
      const asked = { question: shared, decisions: ITEMS, name: 'batches of 100' }
      sections.push(await sustained(service, Number(values.hold), asked))
    }
    return sections
  })
}

/** Before anything is timed: a batch answers as single calls do, item by item. */
async function checkAnswers(service: Service): Promise<void> {
  const item = (at: number) => JSON.parse(`{${subjectOf(at)},${ACTION},${resourceOf(at)}}`)
  const items = Array.from({ length: ITEMS }, (_, at) => item(at))
  const { evaluations, decision } = await service.answer('/v1/authorize/batch', { evaluations: items })
  const theirs = await service.answer('/access/v1/evaluations', { evaluations: items })
  for (const [at, asked] of items.entries()) {
    const single = await service.answer('/v1/authorize', asked)
    const { decision_id: _one, ...wanted } = single.context
    const { decision_id: _other, ...found } = evaluations[at].context
    if (single.decision !== isAllowed(at)) throw new Error(`a wrong answer for item ${at}`)
    if (evaluations[at].decision !== single.decision || theirs.evaluations[at].decision !== single.decision)
      throw new Error(`item ${at} is answered otherwise in a batch`)
    if (JSON.stringify(wanted) !== JSON.stringify(found)) throw new Error(`item ${at} has another context in a batch`)
  }
  if (decision !== false) throw new Error('a batch with denies is allowed as a whole')
}

async function warm(service: Service, door: Door): Promise<void> {
  const until = performance.now() + (WARM_SECONDS * 1000) / DOORS.length
  for (let decisions = 0; decisions < WARM_DECISIONS / DOORS.length && performance.now() < until; ) {
    decisions += (await service.press({ ...door, seconds: 1 })).answers * door.decisions
  }
  await service.drained()
}

async function burst(service: Service, seconds: number, rounds: number): Promise<Section> {
  const runs: {
    readonly door: Door
    readonly per_second: number
    readonly cpu_us: number
    readonly p50_ms: number
    readonly p99_ms: number
  }[] = []
  for (let round = 0; round < rounds; round++) {
    for (const door of [...DOORS.slice(round % DOORS.length), ...DOORS.slice(0, round % DOORS.length)]) {
      await pause(300)
      const [cpu, shipped] = [service.cpu, await service.shipped()]
      const { answers, per_second, p50_ms, p99_ms } = await service.press({ ...door, seconds })
      const decisions = answers * door.decisions
      const cpu_us = ((service.cpu - cpu) / decisions) * 1e6
      await service.drained()
      const recorded = (await service.shipped()) - shipped
      if (recorded < decisions) throw new Error(`${door.name}: ${decisions} decisions left ${recorded} records`)
      runs.push({ door, per_second: per_second * door.decisions, cpu_us, p50_ms, p99_ms })
      console.error(`${door.name}: ${Math.round(per_second * door.decisions).toLocaleString('en')} decisions a second`)
    }
  }
  const of = (door: Door) => runs.filter((each) => each.door === door)
  const singles = median(
    DOORS.slice(0, 1)
      .flatMap(of)
      .map((each) => each.per_second),
  )
  const rows = DOORS.map((door) => {
    const figure = (pick: (each: (typeof runs)[number]) => number) => median(of(door).map(pick))
    return {
      asked_as: door.name,
      decisions_per_second: Math.round(figure((each) => each.per_second)),
      times_single_calls: rounded(figure((each) => each.per_second) / singles),
      cpu_us_per_decision: rounded(figure((each) => each.cpu_us)),
      p50_ms: figure((each) => each.p50_ms),
      p99_ms: figure((each) => each.p99_ms),
    }
  })
  return {
    title: 'Batches of 100 against single calls, as a burst',
    method: `\`POST /v1/authorize/batch\` and \`/access/v1/evaluations\` over 8 connections, \`POST /v1/authorize\` over 64, one service,
alternating: ${rounds} × ${seconds} s, medians. Every decision is recorded before its answer leaves (\`journal\`, \`batch\`), and it was counted
that every one has reached Postgres afterwards. The service decides on one thread; \`cpu_us\` is its processor time in all threads,
shipping meanwhile included. Load generator and Postgres stand on the same machine.`,
    rows,
  }
}

const ACTION = '"action":{"name":"document:read"}'
const isAllowed = (at: number) => at % 8 !== 0
const subjectOf = (at: number) => `"subject":{"type":"user","id":"user-${at % 1000}"}`

function resourceOf(at: number, user = at % 1000): string {
  const owner = isAllowed(at) ? user : 1000
  return `"resource":{"type":"document","id":"fresh/${at}","properties":{"owner":"user-${owner}"}}`
}

// Beyond what single calls ask about.
let asked = 1_000_000_000

function next(): number {
  asked += ITEMS
  return asked
}

function shared(): Question {
  const first = next()
  let items = ''
  for (let at = first; at < first + ITEMS; at++) items += `${at === first ? '' : ','}{${resourceOf(at, 7)}}`
  return {
    path: '/v1/authorize/batch',
    body: `{${subjectOf(7)},${ACTION},"evaluations":[${items}]}`,
    isRight: inOrder(first),
  }
}

function whole(): Question {
  const first = next()
  return { path: '/v1/authorize/batch', body: wholeItems(first), isRight: inOrder(first) }
}

function authzen(): Question {
  const first = next()
  let wanted = ''
  for (let at = first; at < first + ITEMS; at++) wanted += `${at === first ? '' : ','}{"decision":${isAllowed(at)}}`
  const isRight = (answer: string) => answer.endsWith(`\r\n\r\n{"evaluations":[${wanted}]}`)
  return { path: '/access/v1/evaluations', body: wholeItems(first), isRight }
}

function wholeItems(first: number): string {
  let items = ''
  for (let at = first; at < first + ITEMS; at++)
    items += `${at === first ? '' : ','}{${subjectOf(at)},${ACTION},${resourceOf(at)}}`
  return `{"evaluations":[${items}]}`
}

/** The decision at the top, then those of the items. */
function inOrder(first: number): (answer: string) => boolean {
  return (answer) => {
    let from = answer.indexOf('"evaluations":[')
    if (!answer.includes('{"decision":false,"evaluations":[') || from === -1) return false
    for (let at = first; at < first + ITEMS; at++) {
      from = answer.indexOf('{"decision":', from)
      if (from === -1 || answer.startsWith('true', from + 12) !== isAllowed(at)) return false
      from += 12
    }
    return answer.indexOf('{"decision":', from) === -1
  }
}
