import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Failure } from '../../src/failure.ts'
import { isUnavailable, type OpenDatabase, openDatabase, sqlState } from '../../src/store/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { FaultyProxy } from '../support/proxy.ts'
import { timed } from '../support/stopwatch.ts'

let fresh: FreshDatabase
beforeAll(async () => {
  fresh = await freshDatabase()
})
afterAll(() => fresh.close())

async function throughProxy(
  size = 4,
  onIdleError: (error: Error) => void = () => undefined,
): Promise<{ proxy: FaultyProxy; open: OpenDatabase }> {
  const { proxy, url } = await FaultyProxy.before(fresh.url)
  const open = openDatabase({ url, size, onIdleError })
  onTestFinished(async () => {
    proxy.mode = 'reset'
    await open.close()
    await proxy.close()
  })
  return { proxy, open }
}

const ask = (open: OpenDatabase) => sql<{ one: number }>`select 1 as one`.execute(open.db)

async function failureOf(work: () => Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const { outcome: error, ms } = await timed(() =>
    work().then(
      () => undefined,
      (thrown: unknown) => thrown,
    ),
  )
  return { error, ms }
}

function expectUnavailable({ error, ms }: { error: unknown; ms: number }): void {
  expect(error).toMatchObject({ name: 'Failure', code: 'store_unavailable', retryAfter: 1 })
  expect(isUnavailable(error)).toBe(true)
  expect(ms).toBeLessThan(2_000)
}

describe('a database that is away', () => {
  test('is unavailable within 2 s when nothing listens', async () => {
    const open = openDatabase({ url: 'postgres://nobody:none@127.0.0.1:1/none' })
    onTestFinished(() => open.close())
    expectUnavailable(await failureOf(() => ask(open)))
  })

  test('is unavailable within 2 s when it takes connections and never answers', async () => {
    const { proxy, open } = await throughProxy()
    proxy.mode = 'hang'
    expectUnavailable(await failureOf(() => ask(open)))
  })

  test('is unavailable within 2 s when it hangs behind connections that were good', async () => {
    const { proxy, open } = await throughProxy()
    await ask(open)
    proxy.mode = 'hang'
    expectUnavailable(await failureOf(() => ask(open)))
  })

  test('is unavailable within 2 s when it hangs in the middle of a transaction', async () => {
    const { proxy, open } = await throughProxy()
    const result = await failureOf(() =>
      open.db.transaction().execute(async (trx) => {
        await sql`select 1`.execute(trx)
        proxy.mode = 'hang'
        await sql`select 2`.execute(trx)
      }),
    )
    expectUnavailable(result)
  })

  test('is unavailable within 2 s for every caller when all connections are taken by hung queries', async () => {
    const { proxy, open } = await throughProxy(2)
    await Promise.all([ask(open), ask(open)])
    proxy.mode = 'hang'
    for (const result of await Promise.all(Array.from({ length: 8 }, () => failureOf(() => ask(open))))) {
      expectUnavailable(result)
    }
  })

  test('is unavailable when it breaks the connection that is in use, and does not end the process', async () => {
    const { proxy, open } = await throughProxy()
    const asked = failureOf(() => sql`select pg_sleep(0.5)`.execute(open.db))
    await sleep(100)
    proxy.mode = 'reset'
    expectUnavailable(await asked)
  })

  test('does not end the process through idle connections, and says that they were lost', async () => {
    const lost: Error[] = []
    const { proxy, open } = await throughProxy(3, (error) => lost.push(error))
    await Promise.all([ask(open), ask(open), ask(open)])
    proxy.mode = 'reset'
    await expect.poll(() => lost.length).toBe(3)
    expect(open.pool.totalCount).toBe(0)
  })

  test.each(['hang', 'reset'] as const)('is used again at once when it is back after a %s', async (mode) => {
    const { proxy, open } = await throughProxy(2)
    await Promise.all([ask(open), ask(open)])
    proxy.mode = mode
    await Promise.all([failureOf(() => ask(open)), failureOf(() => ask(open))])
    proxy.mode = 'pass'
    const { outcome, ms } = await timed(() => ask(open))
    expect(outcome.rows).toEqual([{ one: 1 }])
    expect(ms).toBeLessThan(600)
  })
})

/** As a machine does that runs something else. */
const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

describe('a statement', () => {
  let open: OpenDatabase
  beforeAll(() => {
    open = openDatabase({ url: fresh.url, size: 1 })
  })
  afterAll(() => open.close())

  test('that takes too long is given up by the server, and its connection goes on', async () => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(open.db)
    expectUnavailable(await failureOf(() => sql`select pg_sleep(5)`.execute(open.db)))
    expect((await sql`select pg_backend_pid() as pid`.execute(open.db)).rows).toEqual(rows)
  })

  test('that was answered while this process stood still is not given up', async () => {
    await ask(open)
    const asked = ask(open)
    await new Promise(setImmediate)
    standStill(1_500)
    expect((await asked).rows).toEqual([{ one: 1 }])
  })

  test('that is wrong fails as what it is, with its SQLSTATE', async () => {
    const { error } = await failureOf(() =>
      sql`insert into tenants (id, name) values ('t', 'T'), ('t', 'T')`.execute(open.db),
    )
    expect(isUnavailable(error)).toBe(false)
    expect(error).not.toBeInstanceOf(Failure)
    expect(sqlState(error)).toBe('23505')
  })

  test('gives whole numbers as numbers, and refuses one that no number holds exactly', async () => {
    expect((await sql`select 9007199254740991::bigint as n`.execute(open.db)).rows).toEqual([{ n: 9007199254740991 }])
    await expect(sql`select 9007199254740993::bigint as n`.execute(open.db)).rejects.toThrow('9007199254740993')
  })
})
