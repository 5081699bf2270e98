import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Snapshots } from '../../src/snapshot/snapshots.ts'
import { appendChange } from '../../src/store/changes.ts'
import { Hints } from '../../src/store/hints.ts'
import { revokeToken } from '../../src/store/sessions.ts'
import { snapshotSource } from '../../src/store/snapshot.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { eventually } from '../support/service.ts'

let database: FreshDatabase
const closing: (() => unknown)[] = []
beforeAll(async () => {
  database = await freshDatabase()
  await sql`insert into tenants (id, name) values ('acme', 'Acme')`.execute(database.db)
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(() => database.close())

function write(work: () => Promise<void> = async () => undefined): Promise<number> {
  const db = database.db.of('acme')
  return db.transaction().execute(async (trx) => {
    const actor = { type: 'user', id: 'admin' }
    const changes = [{ kind: 'entity', key: actor, operation: 'delete', before: null, after: null }] as const
    const revision = await appendChange(trx, { tenant: 'acme', actor, reason: null, at: new Date(), changes })
    await work()
    return revision
  })
}

/** One who listens, and all that it was told. */
async function listening(url = database.url, patience = 2_000) {
  const told: string[] = []
  const hints = new Hints({
    url,
    heartbeat: 50,
    patience,
    listener: {
      changed: (tenant, revision) => told.push(`${tenant} ${revision}`),
      revoked: () => told.push('revoked'),
      listening: () => told.push('listening'),
      lost: () => told.push('lost'),
    },
  })
  closing.push(() => hints.stop())
  hints.start()
  const saw = (what: string, times = 1) =>
    eventually(
      async () => told.filter((one) => one === what).length,
      (count) => count >= times,
    )
  await saw('listening')
  return { hints, told, saw }
}

test('a change is told when it is committed, with its tenant and revision, and not before', async () => {
  const { hints, told, saw } = await listening()
  const first = await write()
  await saw(`acme ${first}`)
  const second = await write(async () => {
    // Everything that was committed by now has come by the time that this has.
    await revokeToken(database.db, randomUUID(), 60)
    await saw('revoked')
    expect(told).not.toContain(`acme ${first + 1}`)
  })
  await saw(`acme ${second}`)
  expect(hints.isListening).toBe(true)
  expect(hints.heard).toBe(3)
})

test('nobody is told of a change that is rolled back', async () => {
  const { told, saw } = await listening()
  await expect(write(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await saw(`acme ${await write()}`)
  expect(told.filter((one) => one.startsWith('acme'))).toHaveLength(1)
})

test('a connection that the server ends is made again, and what was told meanwhile is asked for', async () => {
  const { saw } = await listening()
  await sql`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'verdict listen' and datname = current_database()`.execute(database.db)
  await saw('lost')
  await saw('listening', 2)
  await saw(`acme ${await write()}`)
})

test('a connection that dies without a word is found out, and made again', async () => {
  const { proxy, url } = await FaultyProxy.before(database.url)
  closing.push(() => proxy.close())
  const { hints, saw } = await listening(url, 500)
  proxy.mode = 'hang'
  await saw('lost')
  expect(hints.isListening).toBe(false)
  proxy.mode = 'pass'
  await saw('listening', 2)
})

test('what is told is in force long before the next poll', async () => {
  const source = snapshotSource(database.service)
  const snapshots = new Snapshots({ source, entities: 100, maxStaleness: 1e6, interval: 1e6 })
  closing.push(() => snapshots.stop())
  const hints = new Hints({
    url: database.url,
    listener: {
      changed: (tenant, revision) => void snapshots.hint(tenant, revision),
      revoked: () => undefined,
      listening: () => undefined,
      lost: () => undefined,
    },
  })
  closing.push(() => hints.stop())
  hints.start()
  await eventually(
    async () => hints.isListening,
    (is) => is,
  )
  const tenant = await snapshots.tenant('acme')
  const revision = await write()
  await eventually(
    async () => tenant?.revision,
    (reached) => reached === revision,
    5_000,
  )
})

test('a hint about what is not in memory, or was taken over already, asks nothing', async () => {
  const asked: string[] = []
  const source = snapshotSource(database.service)
  const revisions = (ids: readonly string[]) => {
    asked.push(...ids)
    return source.revisions(ids)
  }
  const snapshots = new Snapshots({ source: { ...source, revisions }, entities: 100, maxStaleness: 1e6, interval: 1e6 })
  closing.push(() => snapshots.stop())
  await snapshots.hint('acme', 1_000)
  const tenant = await snapshots.tenant('acme')
  await snapshots.hint('acme', tenant?.revision ?? -1)
  expect(asked).toEqual([])
})
