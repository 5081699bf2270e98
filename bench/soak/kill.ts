import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Answers, ask, compare, noAnswers } from './asking.ts'
import { backlogOf, PROJECT, type Program, startProgram, stopProgram, withoutWaiting } from './program.ts'

/**
 * `kill [--rounds 100] [--connections 64] [--least 500] [--most 2500]`: kill -9 at a random moment under load, of the
 * service alone and of service and database in turn, on one data directory. The answers are listed out here and
 * compared with the trail at the end; then the same, for `--faulty` rounds, with a program that does not wait for its
 * journal. Status 1 if the program lost a record or doubled one, or the faulty one did not lose any.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '100' },
      faulty: { type: 'string', default: '10' },
      connections: { type: 'string', default: '64' },
      least: { type: 'string', default: '500' },
      most: { type: 'string', default: '2500' },
    },
  })
  const [rounds = 0, faulty = 0, connections = 0, least = 0, most = 0] = [
    values.rounds,
    values.faulty,
    values.connections,
    values.least,
    values.most,
  ].map(Number)
  const good = await soak({ program: PROJECT, rounds, connections, least, most })
  console.log(JSON.stringify({ program: 'as it is', ...good }))
  if (good.lost > 0 || good.doubled > 0 || good.gaps > 0) process.exitCode = 1
  if (faulty === 0) return
  const mutant = await withoutWaiting()
  try {
    const bad = await soak({ program: mutant.folder, rounds: faulty, connections, least, most })
    console.log(JSON.stringify({ program: 'without waiting for the journal', ...bad }))
    if (bad.lost === 0) process.exitCode = 1
  } finally {
    await mutant.remove()
  }
}

interface Soak {
  readonly program: string
  readonly rounds: number
  readonly connections: number
  readonly least: number
  readonly most: number
}

async function soak({ program, rounds, connections, least, most }: Soak) {
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-soak-kill-'))
  await chmod(dataDir, 0o711)
  const answers = noAnswers()
  let running: Program | undefined
  try {
    for (let round = 0; round < rounds; round++) {
      running = await startProgram(program, { VERDICT_DATA_DIR: dataDir })
      const withDatabase = round % 2 === 1
      await killUnderLoad(running, dataDir, withDatabase, {
        answers,
        connections,
        after: least + Math.random() * (most - least),
      })
      running = undefined
      console.error(`round ${round + 1} of ${rounds}: ${answers.decided.length} answers so far`)
    }
    running = await startProgram(program, { VERDICT_DATA_DIR: dataDir })
    await shipped(running, dataDir)
    const trail = await readTrail(running, dataDir)
    await stopProgram(running)
    running = undefined
    return { rounds, ...compare(answers.decided, trail.decisions), writers: trail.writers, gaps: trail.gaps }
  } finally {
    running?.child.kill('SIGKILL')
    await rm(dataDir, { recursive: true, force: true })
  }
}

interface Load {
  readonly answers: Answers
  readonly connections: number
  readonly after: number
}

async function killUnderLoad(program: Program, dataDir: string, withDatabase: boolean, load: Load): Promise<void> {
  const { url, child, ended } = program
  const key = await keyIn(dataDir)
  const stop = new AbortController()
  const asking = ask({ url, key, connections: load.connections, signal: stop.signal }, load.answers)
  await pause(load.after)
  const database = withDatabase ? await databasePid(dataDir) : undefined
  child.kill('SIGKILL')
  if (database !== undefined) process.kill(database, 'SIGKILL')
  await ended
  stop.abort()
  await asking
}

async function keyIn(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
}

async function databasePid(dataDir: string): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10)
}

/** Waits until every journal that a killed process left is in the database, and this one's too. */
async function shipped(program: Program, dataDir: string): Promise<void> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const journals = await readdir(join(dataDir, 'journal'))
    if (journals.length === 1 && (await backlogOf(program)) === 0) return
    await pause(100)
  }
  throw new Error('the journals were not shipped within two minutes')
}

/** All decisions of the trail, and how many numbers of a tenant's records are missing in its writers' logs. */
async function readTrail({ url }: Program, dataDir: string) {
  const key = await keyIn(dataDir)
  const to = encodeURIComponent(new Date().toISOString())
  const decisions: string[] = []
  const counts = new Map<string, { numbers: number; highest: number }>()
  for (let cursor: string | null = ''; cursor !== null; ) {
    const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const response = await fetch(`${url}/v1/audit?to=${to}&limit=1000${from}`, {
      headers: { authorization: `Bearer ${key}` },
    })
    if (!response.ok) throw new Error(`the trail could not be read: ${response.status}`)
    const page = (await response.json()) as TrailPage
    for (const { id, type, writer, tenant_seq } of page.items) {
      if (type === 'decision') decisions.push(id)
      const count = counts.get(writer) ?? { numbers: 0, highest: 0 }
      counts.set(writer, { numbers: count.numbers + 1, highest: Math.max(count.highest, tenant_seq) })
    }
    cursor = page.next_cursor
  }
  let gaps = 0
  for (const { numbers, highest } of counts.values()) gaps += Math.abs(highest - numbers)
  return { decisions, writers: counts.size, gaps }
}

interface TrailPage {
  readonly items: readonly { id: string; type: string; writer: string; tenant_seq: number }[]
  readonly next_cursor: string | null
}
