import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Section } from '../section.ts'
import { type Answered, rounded } from './callers.ts'
import { Room } from './room.ts'
import { Service } from './service.ts'
import { sustained } from './sustained.ts'

/** Each a service of its own with a database of its own: they differ in this alone. */
const MODES = ['audit off', 'journal, batch', 'journal, off', 'commit'] as const
type Mode = (typeof MODES)[number]

const CONNECTIONS = [32, 256]
const NO_AUDIT = new URL('no-audit.js', import.meta.url).href
const GIB = 2 ** 30
const WARM_ANSWERS = 20_000
const WARM_SECONDS = 15

/**
 * `audit-http [--seconds 3] [--rounds 1] [--hold 6] [--skip burst | sustained]`: what the audit costs an answer of
 * `POST /v1/authorize`. As a burst, whose records are shipped afterwards; and sustained, at the highest rate at which
 * no backlog grows.
 */
export async function run(args: readonly string[]): Promise<readonly Section[]> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '1' },
      hold: { type: 'string', default: '6' },
      skip: { type: 'string' },
    },
  })
  const bursts = async () =>
    values.skip === 'burst' ? [] : [await burst(Number(values.seconds), Number(values.rounds))]
  const holds = async () => (values.skip === 'sustained' ? [] : [await held(Number(values.hold))])
  return [...(await bursts()), ...(await holds())]
}

interface Run extends Answered {
  readonly mode: Mode
  readonly connections: number
  /** Processor time of the service, shipping meanwhile included. */
  readonly cpu_us: number
  /** Records shipped a second while questions were asked, and while none were. */
  readonly beside: number
  readonly alone: number
}

function burst(seconds: number, rounds: number): Promise<Section> {
  return Room.with('audit-http', 8 * GIB, async (room) => {
    const services = new Map<Mode, Service>()
    for (const mode of MODES) services.set(mode, await started(room, mode))
    const runs: Run[] = []
    for (const connections of CONNECTIONS) {
      for (let round = 0; round < rounds; round++) {
        // Each is first once: none has the warmer machine always.
        for (const mode of [...MODES.slice(round % MODES.length), ...MODES.slice(0, round % MODES.length)]) {
          const service = services.get(mode)
          if (service !== undefined) runs.push(await one(service, mode, connections, seconds))
        }
      }
    }
    return burstSection(runs, seconds, rounds)
  })
}

async function started(room: Room, mode: Mode): Promise<Service> {
  const service = await Service.start(room, mode, {
    ...(mode === 'audit off' && { NODE_OPTIONS: `--import=${NO_AUDIT}` }),
    ...(mode === 'journal, off' && { VERDICT_JOURNAL_FSYNC: 'off' }),
  })
  if (mode === 'commit') await service.ask('PUT', '/v1/settings', { audit_mode: 'commit' })
  await warm(service)
  return service
}

/** Until the engine has compiled what it is to run: the first answers cost many times as much. */
async function warm(service: Service): Promise<void> {
  const until = performance.now() + WARM_SECONDS * 1000
  for (let answers = 0; answers < WARM_ANSWERS && performance.now() < until; ) {
    answers += (await service.press({ connections: 64, seconds: 1 })).answers
  }
  await service.drained()
}

async function one(service: Service, mode: Mode, connections: number, seconds: number): Promise<Run> {
  await pause(500)
  const [cpu, before] = [service.cpu, await service.shipped()]
  const answered = await service.press({ connections, seconds })
  const [spent, middle, backlog] = [service.cpu - cpu, await service.shipped(), await service.backlog()]
  const rest = await service.drained()
  const recorded = (await service.shipped()) - before
  if (mode === 'audit off' ? recorded > 10 : recorded < answered.answers)
    throw new Error(`${mode}: ${answered.answers} answers left ${recorded} records`)
  const per = Math.round(answered.per_second).toLocaleString('en')
  console.error(`${mode}, ${connections} connections: ${per} answers a second, ${backlog} records shipped afterwards`)
  return {
    ...answered,
    mode,
    connections,
    cpu_us: (spent / answered.answers) * 1e6,
    beside: (middle - before) / answered.seconds,
    alone: backlog / rest,
  }
}

function burstSection(runs: readonly Run[], seconds: number, rounds: number): Section {
  const rows = CONNECTIONS.flatMap((connections) => {
    const of = (mode: Mode) => runs.filter((run) => run.connections === connections && run.mode === mode)
    const off = median(of('audit off').map((run) => run.per_second))
    return MODES.map((mode) => {
      const figure = (pick: (run: Run) => number) => median(of(mode).map(pick))
      return {
        connections,
        audit: mode,
        answers_per_second: Math.round(figure((run) => run.per_second)),
        times_audit_off: rounded(figure((run) => run.per_second) / off),
        p50_ms: figure((run) => run.p50_ms),
        p99_ms: figure((run) => run.p99_ms),
        cpu_us_per_answer: rounded(figure((run) => run.cpu_us)),
        shipped_per_second: Math.round(figure((run) => run.beside)),
      }
    })
  })
  const drains = runs.filter(({ mode, alone }) => mode.startsWith('journal') && Number.isFinite(alone) && alone > 0)
  const drain = Math.round(median(drains.map(({ alone }) => alone))).toLocaleString('en')
  return {
    title: 'What the audit costs an answer, as a burst',
    method: `\`POST /v1/authorize\`, every question about another resource, one in eight denied, every answer checked; a
service of its own with its embedded database for each way of auditing, alternating: ${rounds} × ${seconds} s, medians. Off is no
setting of the product: the bench replaces the function that records. The load generator and Postgres stand on the same
machine, so that shipping takes from what answers; \`shipped\` is how many records reached Postgres meanwhile, the rest
waits in the journal. With \`commit\` the answer waits for Postgres.`,
    rows,
    notes:
      drains.length === 0
        ? ['After a burst there was no backlog left to speak of.']
        : [`After a burst, with nobody asking, the backlog went into Postgres at ${drain} records a second.`],
  }
}

function held(seconds: number): Promise<Section> {
  return Room.with('audit-sustained', 8 * GIB, async (room) =>
    sustained(await started(room, 'journal, batch'), seconds),
  )
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
