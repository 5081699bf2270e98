import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Balancer } from '../support/balancer.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { eventually, newKey } from '../support/service.ts'

// Two replicas behind a balancer, one of them replaced under load: `npm run soak -- rolling` is the same for longer.

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
  // Long against how often the balancer looks, so that a busy machine does not decide it.
  VERDICT_DRAIN_DELAY: '3',
}

async function started(dataDir: string): Promise<Running> {
  const running = await startProcess({ ...secrets, DATABASE_URL: database.url, VERDICT_DATA_DIR: dataDir })
  onTestFinished(async () => {
    if (running.child.exitCode === null) await stopProcess(running)
  })
  return running
}

async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'verdict-rolling-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** The id of the decision; what went wrong, where there is none. */
function askOnce(url: string, agent: Agent, id: string): Promise<{ id: string } | { failed: string }> {
  const body = { subject: { type: 'user', id: 'ann' }, action: { name: 'read' }, resource: { type: 'doc', id } }
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
    const asking = request(`${url}/v1/authorize`, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('error', ({ message }) => resolve({ failed: message }))
      response.on('end', () => {
        if (response.statusCode !== 200) resolve({ failed: `${response.statusCode} ${text}` })
        else resolve({ id: JSON.parse(text).context.decision_id })
      })
    })
    asking.on('error', ({ message }) => resolve({ failed: message })).end(JSON.stringify(body))
  })
}

test('a replica that is replaced under load fails nobody, and loses no record', async () => {
  const balancer = await Balancer.start()
  onTestFinished(() => balancer.close())
  const directory = await dataDirectory()
  const [first, second] = await Promise.all([started(directory), started(await dataDirectory())])
  for (const { url } of [first, second]) balancer.add(url)
  await eventually(
    async () => balancer.ready,
    (ready) => ready === 2,
  )

  const ids: string[] = []
  const failed: string[] = []
  const load = { isOver: false }
  const agent = new Agent({ keepAlive: true })
  const worker = async (name: number) => {
    for (let n = 0; !load.isOver; n++) {
      const outcome = await askOnce(balancer.url, agent, `${name}-${n}`)
      if ('id' in outcome) ids.push(outcome.id)
      else failed.push(outcome.failed)
      await pause(20)
    }
  }
  const working = Promise.all(Array.from({ length: 24 }, (_, name) => worker(name)))
  const more = async () => {
    const before = ids.length
    await eventually(
      async () => ids.length,
      (now) => now > before + 200,
    )
  }
  await more()
  const began = Date.now()
  expect(await stopProcess(first)).toBe(0)
  expect(Date.now() - began).toBeLessThan(10_000)
  balancer.remove(first.url)
  await more()
  balancer.add((await started(directory)).url)
  await eventually(
    async () => balancer.ready,
    (ready) => ready === 2,
  )
  await more()
  load.isOver = true
  await working
  agent.destroy()
  expect(failed).toEqual([])

  const missing = async () => {
    const { rows } = await sql<{ id: string }>`select id from audit where type = 'decision'`.execute(database.db)
    const found = new Set(rows.map(({ id }) => id))
    return ids.filter((id) => !found.has(id))
  }
  await eventually(missing, ({ length }) => length === 0)
})
