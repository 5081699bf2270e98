import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { askAt, eventually, newKey } from '../support/service.ts'
import { timed } from '../support/stopwatch.ts'

// The built program, in a process of its own, behind a network that fails it. What is found here stands in docs/faults.md.

const adminKey = newKey()
const secrets = {
  VERDICT_ROOT_KEY: newKey(),
  VERDICT_ADMIN_KEY: adminKey,
  VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
}
const ROLE = { name: 'reader', permissions: [{ actions: ['read'], resources: [{ type: 'doc' }] }] }

type Cleaning = (clean: () => Promise<void>) => void

const cleaning: (() => Promise<void>)[] = []
let database: FreshDatabase
/** One that all tests share, behind a network of its own. */
let verdict: Running
let network: FaultyProxy

beforeAll(async () => {
  database = await freshDatabase()
  const atTheEnd: Cleaning = (clean) => cleaning.push(clean)
  const { proxy, url } = await behindProxy(atTheEnd)
  network = proxy
  // So few entities fit that the tenant is not held whole.
  verdict = await started({ DATABASE_URL: url, VERDICT_ENTITY_CACHE: '20' }, atTheEnd)
  const users = Array.from({ length: 30 }, (_, n) => ({ type: 'user', id: `u${n}` }))
  const assignments = [{ subject: { type: 'user', id: 'alice' }, role: 'reader' }]
  await ask(verdict, 'PUT /v1/bundle', { verdict: 1, roles: [ROLE], entities: users, assignments })
})
afterAll(async () => {
  for (const clean of cleaning.reverse()) await clean()
  await database.close()
})

/** A process on a data directory of its own. */
async function started(
  env: Readonly<Record<string, string>> = {},
  cleaned: Cleaning = onTestFinished,
): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), 'verdict-fault-'))
  cleaned(() => rm(directory, { recursive: true, force: true }))
  const running = await startProcess({ ...secrets, DATABASE_URL: database.url, VERDICT_DATA_DIR: directory, ...env })
  cleaned(async () => {
    await stopProcess(running)
  })
  return running
}

async function behindProxy(cleaned: Cleaning = onTestFinished): Promise<{ proxy: FaultyProxy; url: string }> {
  const before = await FaultyProxy.before(database.url)
  cleaned(() => before.proxy.close())
  return before
}

const question = (id: string) => ({
  subject: { type: 'user', id },
  action: { name: 'read' },
  resource: { type: 'doc', id: '1' },
})
const ask = ({ url }: Running, route: string, body?: unknown) => askAt(url, route, adminKey, body)
const decide = (running: Running, id: string) => ask(running, 'POST /v1/authorize', question(id))

const health = ({ url }: Running) => askAt(url, 'GET /readyz', null)

async function figure({ url }: Running, name: string): Promise<number> {
  const { body } = await askAt(url, 'GET /metrics', null)
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)?.[1])
}

/** How often each decision stands in the audit. */
async function recorded(ids: readonly string[]): Promise<readonly number[]> {
  const { rows } = await sql<{ id: string }>`select id from audit where type = 'decision'`.execute(database.db)
  return ids.map((id) => rows.filter((row) => row.id === id).length)
}

describe.each<readonly [string, 'hang' | 'reset' | 'pass', number]>([
  ['hangs', 'hang', 0],
  ['breaks every connection', 'reset', 0],
  ['takes 1.2 s for each message', 'pass', 1_200],
])('while Postgres %s', (what, mode, delay) => {
  test('a process decides by what it knows, refuses the rest and every write within 2.5 s, and heals by itself', async () => {
    expect((await decide(verdict, 'alice')).body.decision).toBe(true)
    network.delay = delay
    network.mode = mode
    const answered: string[] = []
    const times: number[] = []
    for (let n = 0; n < 30; n++) {
      const { ms, outcome: reply } = await timed(() => decide(verdict, 'alice'))
      expect([reply.status, reply.body.decision]).toEqual([200, true])
      times.push(ms)
      answered.push(reply.body.context.decision_id)
    }
    // None waits for Postgres; one or the other waits for a busy machine.
    expect(times.sort((one, other) => one - other)[15]).toBeLessThan(500)
    const [unknown, write] = await Promise.all([
      timed(() => decide(verdict, `stranger, ${what}`)),
      timed(() => ask(verdict, 'PUT /v1/roles/other', {})),
    ])
    expect([unknown.outcome.status, unknown.outcome.body.type]).toEqual([503, 'urn:verdict:problem:facts_unavailable'])
    expect(write.outcome.status).toBe(503)
    for (const { ms } of [unknown, write]) expect(ms).toBeLessThan(2_500)
    expect((await health(verdict)).status).toBe(200)

    network.delay = 0
    network.mode = 'pass'
    await eventually(
      async () => (await decide(verdict, `stranger, ${what}`)).status,
      (status) => status === 200,
    )
    await eventually(
      async () => (await health(verdict)).body.status,
      (status) => status === 'ok',
    )
    await eventually(
      () => recorded(answered),
      (counts) => counts.every((count) => count > 0),
    )
    expect(await recorded(answered)).toEqual(answered.map(() => 1))
  })
})

test('a connection for LISTEN that dies without a word costs a second of freshness, and is made anew', async () => {
  const { proxy, url } = await behindProxy()
  const listener = await started({ VERDICT_LISTEN_DATABASE_URL: url })
  const assign = (id: string) => ask(verdict, 'POST /v1/assignments', { subject: { type: 'user', id }, role: 'reader' })
  const seen = (id: string) =>
    eventually(
      async () => (await decide(listener, id)).body.decision,
      (decision) => decision === true,
    )
  await eventually(
    () => figure(listener, 'verdict_listening'),
    (listening) => listening === 1,
  )
  const told = await figure(listener, 'verdict_hints_total')
  await assign('ann')
  await seen('ann')
  expect(await figure(listener, 'verdict_hints_total')).toBeGreaterThan(told)

  proxy.mode = 'hang'
  const before = await figure(listener, 'verdict_hints_total')
  await assign('bob')
  expect((await timed(() => seen('bob'))).ms).toBeLessThan(3_000)
  expect(await figure(listener, 'verdict_hints_total')).toBe(before)
  // It is not known yet that nothing comes any more: the next beat tells.
  await eventually(
    () => figure(listener, 'verdict_listening'),
    (listening) => listening === 0,
  )
  expect((await health(listener)).body.status).toBe('ok')

  proxy.mode = 'pass'
  await eventually(
    () => figure(listener, 'verdict_listening'),
    (listening) => listening === 1,
  )
})

test('a process that has not heard from Postgres for too long refuses what it knows as well, until it has', async () => {
  const { proxy, url } = await behindProxy()
  const impatient = await started({ DATABASE_URL: url, VERDICT_MAX_STALENESS: '3' })
  const subject = { type: 'user', id: 'stale' }
  await ask(impatient, 'PUT /v1/rules/stale', {
    effect: 'allow',
    subjects: [subject],
    actions: ['*'],
    resources: [{ type: '*' }],
  })
  expect((await decide(impatient, 'stale')).body.decision).toBe(true)
  proxy.mode = 'hang'
  const refused = await eventually(
    () => decide(impatient, 'stale'),
    ({ status }) => status !== 200,
  )
  expect([refused.status, refused.body.type]).toEqual([503, 'urn:verdict:problem:stale'])
  const ready = await health(impatient)
  expect([ready.status, ready.body.problems]).toEqual([503, expect.arrayContaining(['stale'])])
  expect(ready.body.staleness_ms).toBeGreaterThan(3_000)
  proxy.mode = 'pass'
  await eventually(
    async () => (await decide(impatient, 'stale')).body.decision,
    (decision) => decision === true,
  )
  expect((await health(impatient)).status).toBe(200)
})

test('a rule that a hand has spoiled is quarantined by the process that loads it: it denies, and says so everywhere', async () => {
  const rule = { effect: 'deny', subjects: [{ any: true }], actions: ['spoil'], resources: [{ type: 'doc' }] }
  const allow = { ...rule, effect: 'allow' }
  await ask(verdict, 'PUT /v1/rules/open', allow)
  await ask(verdict, 'PUT /v1/rules/closed', { ...rule, condition: 'context.x == 1' })
  await sql`update rules set body = jsonb_set(body, '{condition}', '"context.x =="') where name = 'closed'`.execute(
    database.db,
  )
  const loading = await started()
  const { body } = await ask(loading, 'POST /v1/authorize', { ...question('ann'), action: { name: 'spoil' } })
  expect(body).toMatchObject({ decision: false, context: { reason: 'condition_error', rules: ['default/closed'] } })
  const ready = await health(loading)
  expect(ready.status).toBe(200)
  expect(ready.body).toMatchObject({ status: 'degraded', problems: ['rules_quarantined'], quarantined_rules: 1 })
  expect(await figure(loading, 'verdict_rules_quarantined')).toBe(1)
  expect(loading.output()).toContain('quarantined')
  await ask(loading, 'DELETE /v1/rules/closed')
  await ask(loading, 'DELETE /v1/rules/open')
})

test('an unsafe configuration does not start, and says every complaint at once', async () => {
  const unsafe = {
    VERDICT_ROOT_KEY: `vdt_root_${'x'.repeat(40)}`,
    VERDICT_MASTER_KEY: Buffer.alloc(16, 'short').toString('base64'),
    VERDICT_MAX_STALENESS: 'forever',
    VERDICT_NO_SUCH: '1',
  }
  const refused = await started(unsafe).catch((error: Error) => error.message)
  expect(refused).toContain('ended with 1')
  for (const name of Object.keys(unsafe)) expect(refused).toContain(name)
  expect(refused).not.toContain('x'.repeat(40))
})
