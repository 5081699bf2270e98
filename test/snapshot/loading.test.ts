import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Slices } from '../../src/snapshot/slices.ts'
import type { Fault, SnapshotsOptions } from '../../src/snapshot/snapshots.ts'
import type { LoggedChange } from '../../src/snapshot/source.ts'
import { doc, entity, FakeDatabase, failure, group, noRule, over, rule, type Statement, user } from './support.ts'

const MANY = Array.from({ length: 400 }, (_, place) => rule(`r${place}`))

/** Slices of ten pieces of work each, whatever the time. */
function countedSlices(): Slices {
  let asked = 0
  return new Slices(10, () => asked++)
}

/** How many turns of the event loop there are, until it is told to stop. */
function countTurns(): { readonly stop: () => number } {
  let turns = 0
  let counting = true
  void (async () => {
    for (; counting; turns++) await turn()
  })()
  return {
    stop() {
      counting = false
      return turns
    },
  }
}

function tenantOf(...changes: LoggedChange[]): FakeDatabase {
  const database = new FakeDatabase()
  database.tenant('t').write(...changes)
  return database
}

/** A statement of the database is held back until it is let go. */
function hold(database: FakeDatabase, statement: Statement) {
  let release = () => {}
  let arrive = () => {}
  const closed = new Promise<void>((resolve) => {
    release = resolve
  })
  const asked = new Promise<void>((resolve) => {
    arrive = resolve
  })
  database.pace = async (of) => {
    if (of !== statement) return
    arrive()
    await closed
  }
  return { asked, release }
}

const allows = async (snapshots: ReturnType<typeof over>) => (await snapshots.tenant('t'))?.index.size

describe('loading', () => {
  test('goes in slices, with a turn of the event loop for everybody else after each', async () => {
    const slices = countedSlices()
    const turns = countTurns()
    const snapshots = over(tenantOf(...MANY), { slices })
    expect(await allows(snapshots)).toBe(400)
    expect(slices.count).toBeGreaterThanOrEqual(40)
    expect(turns.stop()).toBeGreaterThanOrEqual(slices.count)
  })

  test('of many tenants at once, takes no more of a turn than of one', async () => {
    const slices = countedSlices()
    const turns = countTurns()
    const database = new FakeDatabase()
    const ids = Array.from({ length: 8 }, (_, place) => `t${place}`)
    for (const id of ids) database.tenant(id).write(...MANY)
    const snapshots = over(database, { slices })
    // On a busy machine it may take longer than a request would wait.
    for (const id of ids) void failure(snapshots.tenant(id))
    await expect.poll(() => snapshots.tenantsLoaded, { timeout: 20_000 }).toBe(8)
    expect(slices.count).toBeGreaterThanOrEqual(320)
    expect(turns.stop()).toBeGreaterThanOrEqual(slices.count)
  })

  test('takes what is written meanwhile from the log', async () => {
    const database = tenantOf(...MANY, entity(user('a'), [group('old')]), entity(user('b')))
    const { asked, release } = hold(database, 'fits')
    const snapshots = over(database)
    const loading = snapshots.tenant('t')
    await asked
    database.tenant('t').write(noRule('r1'), rule('late'), entity(user('a'), [group('new')]))
    database.tenant('t').write(noRule('r2'))
    release()
    const tenant = await loading
    expect([tenant?.revision, tenant?.index.size]).toEqual([3, 399])
    expect(tenant?.facts(user('a'), [])).toMatchObject({ ancestors: [group('new')] })
  })

  test('begins anew where the database was restored meanwhile', async () => {
    const database = tenantOf(rule('a'))
    database.tenant('t').write(rule('b'))
    const { asked, release } = hold(database, 'fits')
    const snapshots = over(database)
    const loading = snapshots.tenant('t')
    await asked
    database.tenant('t').restore(1)
    release()
    expect(await loading).toMatchObject({ revision: 1, index: { size: 1 } })
  })

  test('that fails half-way leaves nothing, and is tried again by whoever asks next', async () => {
    const users = Array.from({ length: 12 }, (_, place) => entity(user(`u${place}`)))
    const database = tenantOf(...MANY, ...users)
    let held = 0
    database.pace = async (statement) => {
      held = Math.max(held, snapshots.entitiesCached)
      if (statement === 'entities' && held > 0) database.away = true
    }
    const errors: unknown[] = []
    const snapshots = over(database, { onError: (error) => errors.push(error) })
    expect(await failure(snapshots.tenant('t'))).toBe('store_unavailable')
    expect(held).toBe(5)
    expect([snapshots.tenantsLoaded, snapshots.entitiesCached, errors.length]).toEqual([0, 0, 1])
    database.pace = () => Promise.resolve()
    database.away = false
    expect(await allows(snapshots)).toBe(400)
    expect(snapshots.entitiesCached).toBe(12)
  })

  test('keeps its own requests waiting for two seconds, and nobody else', async () => {
    const database = tenantOf(...MANY)
    database.tenant('other').write(entity(user('a')))
    const snapshots = over(database)
    await snapshots.tenant('other')
    const { asked, release } = hold(database, 'policy')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let ended = false
    const question = { subject: user('a'), resource: doc('1') }
    const waiting = Promise.resolve(snapshots.withFacts('t', question, () => true))
      .catch((error: unknown) => error)
      .finally(() => {
        ended = true
      })
    await asked
    expect(snapshots.withFacts('other', question, () => true)).toBe(true)
    await vi.advanceTimersByTimeAsync(1_999)
    expect(ended).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await waiting).toMatchObject({ code: 'store_unavailable', retryAfter: 1 })
    vi.useRealTimers()
    release()
    await expect.poll(() => snapshots.tenantsLoaded).toBe(2)
    expect(snapshots.withFacts('t', question, ({ index }) => index.size)).toBe(400)
  })

  test('ends when the process does', async () => {
    const database = tenantOf(...MANY)
    const { asked, release } = hold(database, 'apiKeys')
    const errors: unknown[] = []
    const snapshots = over(database, { slices: new Slices(0), onError: (error) => errors.push(error) })
    const loading = failure(snapshots.tenant('t'))
    await asked
    const stopped = snapshots.stop()
    release()
    await stopped
    expect(snapshots.tenantsLoaded).toBe(0)
    expect(await loading).toBe('store_unavailable')
    expect(errors).toEqual([])
  })

  test('tells of each document that is quarantined, and so does what comes later', async () => {
    const faults: Fault[] = []
    const database = tenantOf(rule('good'), rule('bad', { condition: 'context.' }))
    const snapshots = over(database, { onFault: (fault) => faults.push(fault) })
    await snapshots.tenant('t')
    expect(faults).toMatchObject([
      { tenant: 't', kind: 'rule', name: 'bad', reason: expect.stringContaining('line 1') },
    ])
    await snapshots.applied('t', database.tenant('t').write(rule('worse', { actions: 'read' })))
    expect(faults[1]).toMatchObject({ name: 'worse', reason: expect.stringContaining('/actions') })
    expect([snapshots.quarantined, snapshots.faultOf('t', 'rule', 'good')]).toEqual([2, undefined])
  })
})

describe('a revision of more changes than one turn takes', () => {
  const big = (prefix: string, count = 30) => Array.from({ length: count }, (_, place) => rule(`${prefix}${place}`))

  async function following(options: Partial<SnapshotsOptions> = {}) {
    const database = tenantOf(rule('first'), entity(user('a')))
    const snapshots = over(database, { inPlace: 10, slices: new Slices(0), ...options })
    const before = await snapshots.tenant('t')
    return { database, tenant: database.tenant('t'), snapshots, before }
  }

  test('is made beside the index, which goes on deciding, and is then there at once', async () => {
    const { database, tenant, snapshots } = await following()
    const { asked, release } = hold(database, 'policy')
    const seen = new Set<number>()
    const applied = snapshots.applied('t', tenant.write(...big('x')))
    await asked
    tenant.write(rule('later'))
    for (let count = 0; count < 50; count++) {
      seen.add(Number(await allows(snapshots)))
      await turn()
    }
    expect([...seen]).toEqual([1])
    release()
    expect(await applied).toBe(true)
    // What came later waited, and came with it.
    expect(await snapshots.tenant('t')).toMatchObject({ revision: 3, index: { size: 32 } })
    expect(snapshots.revisionsApplied).toBe(2)
  })

  test('may be few, if they take long to be made', async () => {
    const { database, tenant, snapshots, before } = await following()
    const index = before?.index
    const read = database.asked.policy
    await snapshots.applied('t', tenant.write(...big('light', 10)))
    expect([database.asked.policy, (await snapshots.tenant('t'))?.index === index]).toEqual([read, true])
    const condition = Array.from({ length: 60 }, () => 'context.something == "other"').join(' && ')
    await snapshots.applied('t', tenant.write(rule('heavy', { condition })))
    expect(database.asked.policy).toBeGreaterThan(read)
    expect(await snapshots.tenant('t')).toMatchObject({ revision: 3, index: { size: 12 } })
  })

  test('does not keep other tenants from following', async () => {
    const { database, tenant, snapshots } = await following()
    database.tenant('other').write(rule('a'))
    await snapshots.tenant('other')
    const { asked, release } = hold(database, 'policy')
    const applied = snapshots.applied('t', tenant.write(...big('x')))
    await asked
    expect(await snapshots.applied('other', database.tenant('other').write(rule('b')))).toBe(true)
    release()
    expect(await applied).toBe(true)
  })

  test('whose making fails leaves what there was, and is made again', async () => {
    const errors: unknown[] = []
    const { database, tenant, snapshots } = await following({ onError: (error) => errors.push(error) })
    const { asked, release } = hold(database, 'policy')
    tenant.write(...big('x'))
    await snapshots.poll()
    await asked
    database.away = true
    release()
    await expect.poll(() => errors.length).toBe(1)
    expect(await snapshots.tenant('t')).toMatchObject({ revision: 1, index: { size: 1 } })
    database.away = false
    await snapshots.poll()
    await expect.poll(() => allows(snapshots)).toBe(31)
  })

  test('about entities alone leaves the index as it is', async () => {
    const { database, tenant, snapshots, before } = await following()
    const index = before?.index
    const read = database.asked.policy
    const changes = Array.from({ length: 30 }, (_, place) => entity(user(`u${place}`), [group('eng')]))
    expect(await snapshots.applied('t', tenant.write(...changes, rule('one')))).toBe(true)
    const after = await snapshots.tenant('t')
    expect(after?.index).toBe(index)
    expect(after?.index.size).toBe(2)
    expect(database.asked.policy).toBe(read)
    expect(after?.facts(user('u29'), [])).toMatchObject({ known: true, ancestors: [group('eng')] })
    expect(after?.facts(user('a'), [])).toMatchObject({ known: true })
    expect(snapshots.entitiesCached).toBe(31)
  })

  test('is not in force while the database is away, which is no failure of the write', async () => {
    const { database, tenant, snapshots } = await following()
    const revision = tenant.write(...big('x'))
    database.away = true
    expect(await snapshots.applied('t', revision, 30)).toBe(false)
    database.away = false
    expect(await snapshots.applied('t', revision, 30)).toBe(true)
  })
})
