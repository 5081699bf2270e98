import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Balancer } from '../../test/support/balancer.ts'
import { type Answers, ask, compare, noAnswers } from './asking.ts'
import { backlogOf, PROJECT, type Program, startProgram } from './program.ts'
import { type SharedDatabase, withDatabase } from './replicas.ts'

/**
 * `rolling [--rounds 6] [--rate 500] [--connections 32] [--drain 3] [--between 2]`: two replicas behind a balancer of
 * connections that goes by `/readyz`, steady load on kept-alive connections, and in each round one of the two ended by
 * SIGTERM and started again on its data directory. Says how many answers there were of which status, the longest, and
 * how many seconds each stop took; then whether each decision that was answered is recorded, once. Status 1 if a request
 * failed, a stop took 10 s or ended otherwise than with 0, or a record is missing.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '6' },
      rate: { type: 'string', default: '500' },
      connections: { type: 'string', default: '32' },
      drain: { type: 'string', default: '3' },
      between: { type: 'string', default: '2' },
    },
  })
  const [rounds = 0, rate = 0, connections = 0, between = 0] = [
    values.rounds,
    values.rate,
    values.connections,
    values.between,
  ].map(Number)
  const outcome = await withDatabase((database) =>
    soak(database, { rounds, rate, connections, between, drain: values.drain }),
  )
  console.log(JSON.stringify(outcome))
  const { failed, stops, lost, doubled } = outcome
  const isCleanly = stops.every(({ seconds, status }) => seconds < 10 && status === 0)
  if (failed > 0 || !isCleanly || lost > 0 || doubled > 0) process.exitCode = 1
}

interface Rolling {
  readonly rounds: number
  /** Questions a second. */
  readonly rate: number
  readonly connections: number
  /** Seconds of VERDICT_DRAIN_DELAY. */
  readonly drain: string
  /** Seconds from a replica that is ready again to the next that is ended. */
  readonly between: number
}

async function soak(database: SharedDatabase, { rounds, rate, connections, drain, between }: Rolling) {
  const { folder, env, adminKey, ownerUrl } = database
  const balancer = await Balancer.start()
  const start = async (name: string): Promise<Replica> => {
    const own = { VERDICT_DRAIN_DELAY: drain, VERDICT_DATA_DIR: join(folder, name) }
    const program = await startProgram(PROJECT, { ...env, ...own })
    balancer.add(program.url)
    return { name, program }
  }
  const replicas = [await start('one'), await start('other')]
  const answers = noAnswers()
  const load = new AbortController()
  const stops: { seconds: number; status: number | null }[] = []
  try {
    await untilReady(balancer)
    const asking = ask({ url: balancer.url, key: adminKey, connections, rate, signal: load.signal }, answers)
    await pause(between * 1000)
    // What the first of all answers took is a start's, and no change's.
    answers.slowest = 0
    for (let round = 0; round < rounds; round++) {
      const at = round % replicas.length
      const going = replicas[at]
      if (going === undefined) break
      stops.push(await stop(going.program))
      balancer.remove(going.program.url)
      replicas[at] = await start(going.name)
      await untilReady(balancer)
      await pause(between * 1000)
      console.error(`round ${round + 1} of ${rounds}: ${JSON.stringify(told(answers))}`)
    }
    load.abort()
    await asking
    for (const { program } of replicas) await shipped(program)
    const compared = compare(answers.decided, await decisions(ownerUrl))
    return { rounds, rate, connections, drain: Number(drain), ...told(answers), stops, ...compared }
  } finally {
    load.abort()
    for (const { program } of replicas) await stop(program)
    await balancer.close()
  }
}

interface Replica {
  /** Of its data directory, which stays. */
  readonly name: string
  readonly program: Program
}

function told({ statuses, slowest }: Answers) {
  const failed = [...statuses].reduce((sum, [status, count]) => (status === 200 ? sum : sum + count), 0)
  return { answers: Object.fromEntries(statuses), failed, longest_ms: Math.round(slowest) }
}

async function stop({ child, ended }: Program): Promise<{ seconds: number; status: number | null }> {
  const began = performance.now()
  child.kill('SIGTERM')
  await ended
  return { seconds: Math.round((performance.now() - began) / 10) / 100, status: child.exitCode }
}

async function untilReady(balancer: Balancer): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (balancer.ready === 2) return
    await pause(100)
  }
  throw new Error('the two replicas did not become ready within a minute')
}

async function shipped(program: Program): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if ((await backlogOf(program)) === 0) return
    await pause(100)
  }
  throw new Error('the backlog did not drain within a minute')
}

async function decisions(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ id: string }>("select id from audit where type = 'decision'")
    return rows.map(({ id }) => id)
  } finally {
    await client.end()
  }
}
