import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Balancer } from '../../test/support/balancer.ts'
import { type Answers, ask, compare, noAnswers } from './asking.ts'
import { backlogOf, PROJECT, type Program, startProgram } from './program.ts'
import { call, migrated, type SharedDatabase, withDatabase } from './replicas.ts'

/**
 * `rolling [--rounds 6] [--rate 500] [--connections 32] [--drain 3] [--between 2] [--older <commit>]`: two replicas behind
 * a balancer of connections that goes by `/readyz`, steady load on kept-alive connections, and in each round one of the
 * two ended by SIGTERM and started again on its data directory. With an older version, both begin as that; the schema is
 * brought on while they run, two rounds put the newer version in their places, two more go back, and so on; after each, what
 * one replica writes is asked of the other. Says how many answers there were of which status, the longest, and how many
 * seconds each stop took; then whether each decision that was answered is recorded, once. Status 1 if a request failed, a
 * stop took 10 s or ended otherwise than with 0, or a record is missing.
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
      older: { type: 'string' },
    },
  })
  const older = values.older === undefined ? undefined : await built(values.older)
  const [rounds = 0, rate = 0, connections = 0, between = 0] = [
    values.rounds,
    values.rate,
    values.connections,
    values.between,
  ].map(Number)
  const rolling = { rounds, rate, connections, between, drain: values.drain, older: older?.folder ?? PROJECT }
  const outcome = await withDatabase((database) => soak(database, rolling), rolling.older).finally(older?.remove)
  console.log(JSON.stringify({ ...outcome, older: values.older }))
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
  /** The program that is there at first, and in every second pair of rounds. */
  readonly older: string
}

async function soak(database: SharedDatabase, rolling: Rolling) {
  const { rounds, rate, connections, drain, between, older } = rolling
  const { folder, env, adminKey, ownerUrl } = database
  const balancer = await Balancer.start()
  const start = async (name: string, version: string): Promise<Replica> => {
    const own = { VERDICT_DRAIN_DELAY: drain, VERDICT_DATA_DIR: join(folder, name) }
    const program = await startProgram(version, { ...env, ...own })
    balancer.add(program.url)
    return { name, program }
  }
  const replicas: [Replica, Replica] = [await start('one', older), await start('other', older)]
  const answers = noAnswers()
  const load = new AbortController()
  const stops: { seconds: number; status: number | null }[] = []
  try {
    await untilReady(balancer)
    const asking = ask({ url: balancer.url, key: adminKey, connections, rate, signal: load.signal }, answers)
    await pause(between * 1000)
    // What the first of all answers took is a start's, and no change's.
    answers.slowest = 0
    if (older !== PROJECT) migrated(PROJECT, env['DATABASE_URL'] ?? '', ownerUrl)
    for (let round = 0; round < rounds; round++) {
      const at = round % 2 === 0 ? 0 : 1
      const going = replicas[at]
      stops.push(await stop(going.program))
      balancer.remove(going.program.url)
      replicas[at] = await start(going.name, Math.floor(round / 2) % 2 === 0 ? PROJECT : older)
      await untilReady(balancer)
      await followEachOther(replicas, adminKey, round)
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

/** What one writes is in force at the other, and so for each of the two. */
async function followEachOther(replicas: readonly [Replica, Replica], key: string, round: number): Promise<void> {
  const [one, other] = replicas
  for (const [writer, reader] of [
    [one, other],
    [other, one],
  ] as const) {
    const action = `round-${round}:${writer.name}`
    const rule = { effect: 'allow', subjects: [{ any: true }], actions: [action], resources: [{ type: 'doc' }] }
    const { status } = await call(writer.program.url, 'PUT', '/v1/rules/of-the-round', key, rule)
    if (status >= 300) throw new Error(`round ${round}: ${writer.name} could not write: ${status}`)
    const subject = { type: 'user', id: 'ann' }
    const question = { subject, action: { name: action }, resource: { type: 'doc', id: '1' } }
    const asked = () => call(reader.program.url, 'POST', '/v1/authorize', key, question)
    for (let tries = 0; !(await asked()).is('decision', true); tries++) {
      if (tries > 50) throw new Error(`round ${round}: ${reader.name} does not follow ${writer.name}`)
      await pause(100)
    }
  }
}

/** The program as it was at a commit of this repository, built with the libraries that are here. */
async function built(commit: string): Promise<{ folder: string; remove: () => Promise<void> }> {
  const place = await mkdtemp(join(tmpdir(), 'verdict-soak-older-'))
  const folder = join(place, 'project')
  const git = (...args: string[]) => execFileSync('git', args, { cwd: PROJECT, stdio: ['ignore', 'ignore', 'inherit'] })
  git('worktree', 'add', '--detach', folder, commit)
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
  const remove = async () => {
    git('worktree', 'remove', '--force', folder)
    await rm(place, { recursive: true, force: true })
  }
  return { folder, remove }
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
