import { setTimeout as pause } from 'node:timers/promises'
import { type Answered, rounded } from '../audit/callers.ts'
import { median } from '../audit/http.ts'
import type { Row } from '../section.ts'
import type { Door } from './doors.ts'

interface Run extends Answered {
  readonly door: string
  readonly connections: number
  /** Processor time for an answer, µs. */
  readonly own_us: number
  readonly database_us: number
  readonly asking_us: number
}

export interface Rounds {
  readonly seconds: number
  readonly rounds: number
  readonly levels: readonly number[]
}

/** Every door at every level, alternating, so that none has the quieter minute. */
export async function against(doors: readonly Door[], { seconds, rounds, levels }: Rounds): Promise<Run[]> {
  const runs: Run[] = []
  for (const connections of levels) {
    for (let round = 0; round < rounds; round++) {
      for (const door of [...doors.slice(round % doors.length), ...doors.slice(0, round % doors.length)])
        runs.push(await one(door, connections, seconds))
    }
  }
  return runs
}

async function one(door: Door, connections: number, seconds: number): Promise<Run> {
  await pause(500)
  const [spent, asking] = [door.spent(), process.cpuUsage()]
  const answered = await door.press({ connections, seconds })
  const [after, { user, system }] = [door.spent(), process.cpuUsage(asking)]
  const per = (total: number) => (total / answered.answers) * 1e6
  console.error(
    `${door.name}, ${connections} connections: ${Math.round(answered.per_second).toLocaleString('en')} a second`,
  )
  await door.settled()
  return {
    ...answered,
    door: door.name,
    connections,
    own_us: per(after.own - spent.own),
    database_us: per(after.database - spent.database),
    asking_us: (user + system) / answered.answers,
  }
}

/** Medians, each beside those of the door that `reference` names, at as many connections. */
export function rowsOf(
  runs: readonly Run[],
  doors: readonly Door[],
  reference: string,
  levels: readonly number[],
): Row[] {
  return levels.flatMap((connections) => {
    const figure = (door: string, pick: (run: Run) => number) =>
      median(runs.filter((run) => run.connections === connections && run.door === door).map(pick))
    const ratio = (door: string, pick: (run: Run) => number) => rounded(figure(door, pick) / figure(reference, pick))
    return doors.map(({ name }) => ({
      connections,
      server: name,
      answers_per_second: Math.round(figure(name, (run) => run.per_second)),
      [`times_${reference}`]: ratio(name, (run) => run.per_second),
      p50_ms: figure(name, (run) => run.p50_ms),
      p99_ms: figure(name, (run) => run.p99_ms),
      [`p99_times_${reference}`]: ratio(name, (run) => run.p99_ms),
      cpu_us: rounded(figure(name, (run) => run.own_us)),
      database_us: rounded(figure(name, (run) => run.database_us)),
      generator_us: rounded(figure(name, (run) => run.asking_us)),
    }))
  })
}

/** One line for each run, so that a reader sees how far they lie apart. */
export function rawOf(runs: readonly Run[]): string {
  const by = new Map<string, string[]>()
  for (const { door, connections, per_second } of runs) {
    const name = `${door} at ${connections}`
    by.set(name, [...(by.get(name) ?? []), Math.round(per_second).toLocaleString('en')])
  }
  return `Answers a second in each run: ${[...by].map(([name, values]) => `${name}: ${values.join(', ')}`).join('; ')}.`
}
