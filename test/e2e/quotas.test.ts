import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, eventually, newKey, type Reply } from '../support/service.ts'

// Two replicas over one database: never is more allowed than the limit, whoever asks whom, and nothing is lost but what
// a killed replica held in hand.

const CALLERS = 64
const LIMIT = 1000
const DAY = 86_400

let database: FreshDatabase
const replicas: Running[] = []
const dirs: string[] = []
const key = newKey()

const env = () => ({
  DATABASE_URL: database.url,
  VERDICT_PUBLIC_URL: 'https://verdict.test',
  VERDICT_MASTER_KEY: MASTER,
  VERDICT_ROOT_KEY: ROOT,
  VERDICT_ADMIN_KEY: key,
  VERDICT_ADMIN_PER_MINUTE: '1000000',
})
const ROOT = newKey()
const MASTER = randomBytes(32).toString('base64')

async function startReplica(): Promise<Running> {
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-quotas-'))
  dirs.push(dataDir)
  const replica = await startProcess({ ...env(), VERDICT_DATA_DIR: dataDir })
  replicas.push(replica)
  return replica
}

const call = (replica: Running, route: string, body?: unknown): Promise<Reply> => askAt(replica.url, route, key, body)

beforeAll(async () => {
  database = await freshDatabase()
  const one = await startReplica()
  await startReplica()
  const body = { effect: 'allow', subjects: [{ any: true }], actions: ['*'], resources: [{ type: '*' }] }
  expect((await call(one, 'PUT /v1/rules/everything', body)).status).toBe(201)
})

afterAll(async () => {
  await Promise.all(replicas.map((replica) => stopProcess(replica)))
  await database.close()
  for (const dir of dirs) await rm(dir, { recursive: true, force: true })
})

interface Counted {
  readonly name: string
  readonly min_revision: number
}

async function quota(name: string, members: object): Promise<Counted> {
  const [one] = replicas
  if (one === undefined) throw new Error('there are two')
  const body = { subjects: [{ any: true }], actions: ['use'], resources: [{ type: name }], per: 'tenant', ...members }
  const put = await call(one, `PUT /v1/quotas/${name}`, { window_seconds: DAY, ...body })
  return { name, min_revision: Number(put.headers.get('verdict-revision')) }
}

const question = ({ name, min_revision }: Counted, subject = 'ann') => ({
  subject: { type: 'user', id: subject },
  action: { name: 'use' },
  resource: { type: name, id: '1' },
  options: { min_revision },
})

/** Asks until it has been refused often enough to know that there is nothing left. */
async function askUntilRefused(of: Counted, urls: readonly string[], enough: () => boolean): Promise<number> {
  let allowed = 0
  const ask = async (caller: number) => {
    for (let refused = 0, n = caller; refused < 3 && !enough(); n++) {
      const url = urls[n % urls.length] ?? ''
      const answer = await askAt(url, 'POST /v1/authorize', key, question(of)).catch(() => undefined)
      if (answer === undefined) continue
      expect([answer.status, answer.body.detail]).toEqual([200, undefined])
      if (answer.body.decision) allowed++
      else refused++
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, (_, caller) => ask(caller)))
  return allowed
}

async function reserved(name: string): Promise<number> {
  const { rows } = await sql<{ reserved: number }>`
    select coalesce(sum(reserved), 0)::bigint as reserved from quota_counters where quota = ${name}`.execute(
    database.db,
  )
  return rows[0]?.reserved ?? 0
}

test(`of a limit of ${LIMIT}, ${CALLERS} callers at two replicas are allowed exactly as many`, async () => {
  const of = await quota('exact', { limit: LIMIT })
  const urls = replicas.map(({ url }) => url)
  let allowed = 0
  // What one replica holds in hand, the other is refused for a moment: nothing of it is lost.
  await eventually(
    async () => {
      allowed += await askUntilRefused(of, urls, () => false)
      return allowed
    },
    (count) => count >= LIMIT,
  )
  expect(await askUntilRefused(of, urls, () => false)).toBe(0)
  expect([allowed, await reserved('exact')]).toEqual([LIMIT, LIMIT])
})

test('a small limit is shared without a block that one replica keeps from the other', async () => {
  const of = await quota('small', { limit: 10 })
  const decisions: boolean[] = []
  for (let n = 0; n < 12; n++) {
    const replica = replicas[n % 2]
    if (replica === undefined) throw new Error('there are two')
    decisions.push((await call(replica, 'POST /v1/authorize', question(of))).body.decision)
  }
  expect(decisions).toEqual([...Array(10).fill(true), false, false])
})

test('what a replica holds in hand and does not use goes back', async () => {
  const of = await quota('idle', { limit: 100_000 })
  const [one, other] = replicas
  if (one === undefined || other === undefined) throw new Error('there are two')
  for (let n = 0; n < 50; n++) await call(one, 'POST /v1/authorize', question(of))
  await call(other, 'POST /v1/authorize', question(of))
  await eventually(
    () => reserved('idle'),
    (units) => units === 51,
  )
})

test('a replica that is killed takes what it had in hand with it, and a stopped one gives it back', async () => {
  const of = await quota('killed', { limit: LIMIT * 2 })
  const victim = await startReplica()
  const stopped = await startReplica()
  const [one] = replicas
  if (one === undefined) throw new Error('there are two')
  let isEnough = false
  const asking = [victim, stopped, one].map(({ url }) => askUntilRefused(of, [url], () => isEnough))
  await eventually(
    () => reserved('killed'),
    (units) => units > LIMIT / 2,
  )
  isEnough = true
  const counted = await Promise.all(asking)
  expect(await stopProcess(stopped)).toBe(0)
  victim.child.kill('SIGKILL')
  await victim.ended
  let allowed = counted.reduce((sum, one) => sum + one, 0)
  const left = async () => {
    const more = await askUntilRefused(of, [one.url], () => false)
    allowed += more
    return more
  }
  await eventually(left, (more) => more === 0, 30_000)
  const lost = LIMIT * 2 - allowed
  expect(await reserved('killed')).toBe(LIMIT * 2)
  expect(lost).toBeGreaterThanOrEqual(0)
  // At most a block: a part of the limit, or what so many callers waited for at once.
  expect(lost).toBeLessThanOrEqual(Math.max(CALLERS, Math.ceil((LIMIT * 2) / 64)) * 2)
})
