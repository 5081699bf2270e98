import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, eventually, type Reply } from '../support/service.ts'

// The built program on its embedded database, killed together with it, again and again: what it has answered is
// recorded once. The list of answers is kept out here.

const ROUNDS = Number(process.env['VERDICT_KILL_ROUNDS'] ?? 2)
const ANSWERS = 1000
const CONNECTIONS = 64

let dataDir: string
let verdict: Running | undefined

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'verdict-kill-'))
  await chmod(dataDir, 0o711)
})

afterAll(async () => {
  if (verdict !== undefined) await stopProcess(verdict)
  await rm(dataDir, { recursive: true, force: true })
})

const secret = async (name: string) => (await readFile(join(dataDir, `${name}.key`), 'utf8')).trim()

async function call(route: string, body?: unknown): Promise<Reply> {
  return askAt(verdict?.url ?? '', route, await secret('admin'), body)
}

/** Asks from many connections at once until the server is gone; the ids of what it answered, as they came. */
async function askUntilGone(round: number, answered: string[]): Promise<void> {
  const key = await secret('admin')
  const url = verdict?.url ?? ''
  const ask = async (worker: number) => {
    for (let n = 0; ; n++) {
      const body = question(`round-${round}`, `${worker}-${n}`)
      const answer = await askAt(url, 'POST /v1/authorize', key, body).catch(() => undefined)
      if (answer === undefined) return
      if (answer.status === 200) answered.push(answer.body.context.decision_id)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, worker) => ask(worker)))
}

const question = (subject: string, resource: string) => ({
  subject: { type: 'user', id: subject },
  action: { name: 'document:read' },
  resource: { type: 'document', id: resource },
})

async function databasePid(): Promise<number> {
  const [pid] = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}

async function recorded(round: number): Promise<string[]> {
  const ids: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const from: string = cursor === '' ? '' : `&cursor=${cursor}`
    const { body } = await call(
      `GET /v1/audit?type=decision&subject_type=user&subject_id=round-${round}&limit=1000${from}`,
    )
    ids.push(...body.items.map(({ id }: { id: string }) => id))
    cursor = body.next_cursor
  }
  return ids
}

test(`of ${ANSWERS} answers before a kill -9 of service and database, every one is recorded once, ${ROUNDS} times`, async () => {
  const answers: string[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    verdict = await startProcess({ VERDICT_DATA_DIR: dataDir })
    const answered: string[] = []
    const asking = askUntilGone(round, answered)
    await eventually(
      async () => answered.length,
      (count) => count >= ANSWERS,
    )
    const database = await databasePid()
    verdict.child.kill('SIGKILL')
    process.kill(database, 'SIGKILL')
    await verdict.ended
    await asking
    answers.push(answered)
  }
  verdict = await startProcess({ VERDICT_DATA_DIR: dataDir })
  for (const [round, answered] of answers.entries()) {
    expect(new Set(answered).size).toBe(answered.length)
    const found = await eventually(
      () => recorded(round),
      (ids) => answered.every((id) => new Set(ids).has(id)),
    )
    expect(new Set(found).size).toBe(found.length)
  }
}, 300_000)

test('a stop and a start lose nothing and change no answer', async () => {
  verdict ??= await startProcess({ VERDICT_DATA_DIR: dataDir })
  const subjects = [{ type: 'user', id: 'restart' }]
  const rule = { effect: 'allow', subjects, actions: ['*'], resources: [{ type: '*' }] }
  await call('PUT /v1/rules/restart', rule)
  const before = await call('POST /v1/authorize', question('restart', '1'))
  expect(before.body.decision).toBe(true)
  expect(await stopProcess(verdict)).toBe(0)
  verdict = await startProcess({ VERDICT_DATA_DIR: dataDir })
  const after = await call('POST /v1/authorize', question('restart', '1'))
  const { decision_id } = after.body.context
  expect(after.body).toEqual({ ...before.body, context: { ...before.body.context, decision_id } })
  expect((await call(`GET /v1/audit/${before.body.context.decision_id}`)).status).toBe(200)
})
