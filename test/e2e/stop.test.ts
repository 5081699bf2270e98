import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { askAt, eventually, newKey } from '../support/service.ts'

// The built program, ended by a signal as a balancer or an orchestrator ends it.

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

const adminKey = newKey()
const secrets = {
  VERDICT_ROOT_KEY: newKey(),
  VERDICT_ADMIN_KEY: adminKey,
  VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
}

const question = (id: string) => ({
  subject: { type: 'user', id: 'ann' },
  action: { name: 'read' },
  resource: { type: 'doc', id },
})

async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'verdict-stop-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

test.each(['0', '3'])(
  'with a Postgres that hangs it stops with status 0 within 10 s, drain delay %s s, and keeps what it has answered',
  async (delay) => {
    const { proxy, url } = await FaultyProxy.before(database.url)
    onTestFinished(() => proxy.close())
    const env = { ...secrets, DATABASE_URL: url, VERDICT_DATA_DIR: await dataDirectory(), VERDICT_DRAIN_DELAY: delay }
    const verdict = await startProcess(env)
    await askAt(verdict.url, 'POST /v1/authorize', adminKey, question('warm'))
    proxy.mode = 'hang'
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => askAt(verdict.url, 'POST /v1/authorize', adminKey, question(`q-${n}`))),
    )
    // A write in flight, and the polls: every pool has something that hangs.
    const writing = askAt(verdict.url, 'PUT /v1/roles/nobody', adminKey, {}).catch(() => undefined)
    const began = Date.now()
    expect(await stopProcess(verdict)).toBe(0)
    expect(Date.now() - began).toBeLessThan(10_000)
    await writing

    proxy.mode = 'pass'
    const next = await startProcess({ ...env, VERDICT_DRAIN_DELAY: '0' })
    const found = await eventually(
      async () => {
        const { body } = await askAt(next.url, 'GET /v1/audit?type=decision&subject_id=ann&limit=1000', adminKey)
        return body.items.map(({ id }: { id: string }) => id) as string[]
      },
      (ids) => answers.every(({ body }) => ids.includes(body.context.decision_id)),
    )
    expect(new Set(found).size).toBe(found.length)
    expect(await stopProcess(next)).toBe(0)
  },
)

interface Tally {
  answered: number
  /** The connection was refused: nothing was sent. */
  refused: number
  /** Sent, and not answered. */
  readonly lost: string[]
}

/** A client that keeps its connections and asks again as soon as it is answered, until nobody takes its connection. */
async function hammer(url: string, connections: number, tally: Tally): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const worker = async (name: number) => {
    for (let n = 0; ; n++) {
      const outcome = await askOnce(url, agent, JSON.stringify(question(`${name}-${n}`)))
      if (outcome === 'refused') {
        tally.refused++
        return
      }
      if (outcome === 'answered') tally.answered++
      else tally.lost.push(outcome)
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, name) => worker(name)))
  agent.destroy()
}

function askOnce(url: string, agent: Agent, body: string): Promise<string> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
    const asking = request(`${url}/v1/authorize`, { method: 'POST', agent, headers }, (response) => {
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
      })
      response.on('error', (error: NodeJS.ErrnoException) => resolve(`cut off: ${error.code}`))
      response.on('end', () =>
        resolve(response.statusCode === 200 && length > 0 ? 'answered' : `${response.statusCode}`),
      )
    })
    asking.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED' ? 'refused' : `${code}`))
    asking.end(body)
  })
}

test.each(['0', '1'])(
  'a stop under load loses no request of a client with kept-alive connections, drain delay %s s',
  async (delay) => {
    for (let round = 0; round < Number(process.env['VERDICT_STOP_ROUNDS'] ?? 2); round++) {
      const dataDir = await dataDirectory()
      const env = { ...secrets, DATABASE_URL: database.url, VERDICT_DATA_DIR: dataDir, VERDICT_DRAIN_DELAY: delay }
      const verdict: Running = await startProcess(env)
      const tally: Tally = { answered: 0, refused: 0, lost: [] }
      const hammering = hammer(verdict.url, 64, tally)
      await eventually(
        async () => tally.answered,
        (answered) => answered > 500,
      )
      await pause(Math.random() * 100)
      const before = tally.answered
      expect(await stopProcess(verdict)).toBe(0)
      await hammering
      expect(tally.lost).toEqual([])
      expect(tally.answered).toBeGreaterThan(before)
      // Nobody comes back while the door is closing: else it would not have been seen to close.
      expect(tally.refused).toBe(64)
      expect(await readdir(join(dataDir, 'journal'))).toEqual([])
    }
  },
)

test('failed authentications that were only counted are recorded when it stops', async () => {
  const env = { ...secrets, DATABASE_URL: database.url, VERDICT_DATA_DIR: await dataDirectory() }
  const verdict = await startProcess(env)
  const guesses = Array.from({ length: 15 }, () => askAt(verdict.url, 'GET /v1/rules', newKey()))
  expect((await Promise.all(guesses)).map(({ status }) => status)).toEqual(Array(15).fill(401))
  expect(await stopProcess(verdict)).toBe(0)
  const { rows } = await sql<{ count: number | null }>`
    select (convert_from(record, 'utf8')::jsonb #>> '{context,count}')::int as count from audit
    where tenant_id = 'system' and type = 'authentication' order by count`.execute(database.db)
  expect(rows.map(({ count }) => count)).toEqual([5, ...Array(10).fill(null)])
})
