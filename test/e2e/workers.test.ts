import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, eventually, newKey } from '../support/service.ts'

// Several workers behind one port, as a process of its own starts them.

const adminKey = newKey()
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function started(
  workers: number,
  more: Record<string, string> = {},
  answering = workers,
): Promise<Running & { database: FreshDatabase }> {
  const database = await freshDatabase()
  closing.push(() => database.close())
  const directory = await mkdtemp(join(tmpdir(), 'verdict-workers-'))
  closing.push(() => rm(directory, { recursive: true, force: true }))
  const running = await startProcess({
    DATABASE_URL: database.url,
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: adminKey,
    VERDICT_DATA_DIR: directory,
    VERDICT_WORKERS: String(workers),
    LOG_LEVEL: 'info',
    ...more,
  })
  closing.push(() => stopProcess(running))
  await eventually(
    async () => pidsIn(running).length,
    (count) => count >= answering,
  )
  return { ...running, database }
}

/** Each worker that has come to answer, in the order in which they did. */
function pidsIn({ output }: Pick<Running, 'output'>): number[] {
  return [...output().matchAll(/"pid":(\d+)[^\n]*a worker answers/g)].map(([, pid]) => Number(pid))
}

const QUESTION = {
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
}

const NO_ANSWER = 'no answer'

/** On a connection of its own, so that any worker may take it. */
function ask(
  url: string,
  body: object,
): Promise<{ status: number; body: { decision?: boolean; context: { decision_id: string } } }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
    const asking = request(`${url}/v1/authorize`, { method: 'POST', agent: false, headers }, async (response) => {
      try {
        resolve({ status: response.statusCode ?? 0, body: (await json(response)) as never })
      } catch (error) {
        reject(error)
      }
    })
    asking.setTimeout(10_000, () => asking.destroy(new Error(NO_ANSWER)))
    asking.on('error', reject).end(JSON.stringify(body))
  })
}

async function figure(url: string, line: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return text
    .split('\n')
    .filter((one) => one.startsWith(line))
    .reduce((sum, one) => sum + Number(one.split(' ').at(-1)), 0)
}

async function writersOf({ db }: FreshDatabase): Promise<string[]> {
  const found = await db.selectFrom('audit').select('writer').distinct().where('type', '=', 'decision').execute()
  return found.map(({ writer }) => writer)
}

test('several workers answer behind one port, each with a log of its own, and show their figures together', async () => {
  const { url, database } = await started(2)
  const answers = await Promise.all(Array.from({ length: 200 }, () => ask(url, QUESTION)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(await figure(url, 'verdict_decisions_total{decision="false"')).toBe(200)
  const writers = await eventually(
    () => writersOf(database),
    ({ length }) => length > 1,
  )
  expect(writers).toHaveLength(2)
})

test('a worker that is killed is started anew, and nothing that it answered is missing', async () => {
  const running = await started(2)
  const { url, database } = running
  const pids = () => pidsIn(running)
  const answered: string[] = []
  const broken: string[] = []
  const asking = Array.from({ length: 40 }, async (_, n) => {
    const reply = await ask(url, { ...QUESTION, resource: { type: 'doc', id: String(n) } }).catch(
      ({ message }: Error) => {
        broken.push(message)
      },
    )
    if (reply?.status === 200) answered.push(reply.body.context.decision_id)
    if (n === 10) process.kill(pids()[0] ?? 0, 'SIGKILL')
  })
  await Promise.all(asking)
  expect(answered.length).toBeGreaterThan(10)
  expect(broken).not.toContain(NO_ANSWER)
  await eventually(
    async () => pids().length,
    (count) => count === 3,
  )
  await eventually(
    async () => {
      const kept = await database.db.selectFrom('audit').select('id').where('type', '=', 'decision').execute()
      const ids = new Set(kept.map(({ id }) => id))
      return answered.filter((id) => !ids.has(id))
    },
    (missing) => missing.length === 0,
  )
  expect((await ask(url, QUESTION)).status).toBe(200)
})

test('a worker that is killed before all have started is started anew', async () => {
  const running = await started(2, {}, 1)
  const [first = 0] = pidsIn(running)
  process.kill(first, 'SIGKILL')
  expect(
    await eventually(
      async () => pidsIn(running),
      ({ length }) => length === 3,
      60_000,
    ),
  ).toHaveLength(3)
  expect((await ask(running.url, QUESTION)).status).toBe(200)
})

test('what one worker is told to change is in force at the others', async () => {
  const { url } = await started(2)
  const rule = { effect: 'allow', subjects: [{ any: true }], actions: ['read'], resources: [{ type: 'doc' }] }
  const { headers } = await askAt(url, 'PUT /v1/rules/open', adminKey, rule)
  const options = { min_revision: Number(headers.get('verdict-revision')) }
  for (let n = 0; n < 6; n++) {
    expect((await ask(url, { ...QUESTION, options })).body.decision).toBe(true)
  }
})

test('a stop stops all, with status 0', async () => {
  const { child, ended, url } = await started(3)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  await expect(fetch(`${url}/livez`)).rejects.toThrow()
})

test('a start that fails in a worker says so, and leaves nothing behind', async () => {
  await expect(started(2, { DATABASE_URL: 'postgres://nobody:x@127.0.0.1:1/none' })).rejects.toThrow(/ended with 1/)
})
