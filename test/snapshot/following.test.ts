import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { EntityRef } from '../../src/policy/model.ts'
import type { Mismatch, Snapshots } from '../../src/snapshot/snapshots.ts'
import { doc, entity, FakeDatabase, failure, group, noEntity, over, tenantStatus, user } from './support.ts'

const ALICE = user('alice')
const MANY = Array.from({ length: 50 }, (_, place) => entity(user(`other ${place}`)))

/** A tenant at revision 2, and memory that has it. */
async function following(options: Parameters<typeof over>[1] = {}) {
  const database = new FakeDatabase()
  const tenant = database.tenant('t')
  tenant.write(...MANY)
  tenant.write(entity(ALICE, [group('eng')]))
  const mismatches: Mismatch[] = []
  const errors: unknown[] = []
  const snapshots = over(database, {
    onMismatch: (mismatch) => mismatches.push(mismatch),
    onError: (error) => errors.push(error),
    ...options,
  })
  await snapshots.tenant('t')
  return { database, tenant, snapshots, mismatches, errors }
}

const knows = async (snapshots: Snapshots, ref: EntityRef) =>
  snapshots.withEntity('t', ref, (_tenant, { known }) => known)
const revision = async (snapshots: Snapshots, id = 't') => (await snapshots.tenant(id))?.revision
const gate = () => {
  let open = () => {}
  const closed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, closed }
}

describe('loading', () => {
  test('a tenant is loaded once, however many ask for it', async () => {
    const database = new FakeDatabase()
    database.tenant('t').write(entity(ALICE))
    const snapshots = over(database)
    const tenants = await Promise.all(Array.from({ length: 10 }, () => snapshots.tenant('t')))
    expect(new Set(tenants).size).toBe(1)
    expect(database.asked.apiKeys).toBe(1)
    expect(snapshots.tenantsLoaded).toBe(1)
  })

  test('a load that failed is not kept', async () => {
    const database = new FakeDatabase()
    database.tenant('t').write(entity(ALICE))
    database.away = true
    const snapshots = over(database)
    expect(await failure(snapshots.tenant('t'))).toBe('store_unavailable')
    database.away = false
    expect(await revision(snapshots)).toBe(1)
  })

  test('that there is no such tenant is known for a moment, and forgotten when something is written', async () => {
    const database = new FakeDatabase()
    const snapshots = over(database)
    for (let time = 0; time < 5; time++) expect(await snapshots.tenant('t')).toBe(undefined)
    expect(database.asked.standing).toBe(1)
    database.tenant('t').write(entity(ALICE))
    await snapshots.applied('system', 1)
    expect(await revision(snapshots)).toBe(1)
  })

  test('a deleted tenant is as one that never was', async () => {
    const { database, tenant, snapshots } = await following()
    tenant.status = 'deleted'
    await snapshots.poll()
    expect(await snapshots.tenant('t')).toBe(undefined)
    expect([snapshots.tenantsLoaded, snapshots.entitiesCached]).toEqual([0, 0])
    expect(await over(database).tenant('t')).toBe(undefined)
  })
})

describe('following', () => {
  test('a poll brings every tenant to where the database is', async () => {
    const { database, tenant, snapshots } = await following()
    database.tenant('other').write(entity(ALICE))
    await snapshots.tenant('other')
    tenant.write(entity(doc('1')))
    tenant.write(noEntity(ALICE))
    database.tenant('other').write(entity(doc('1')))
    await snapshots.poll()
    expect([await revision(snapshots), await revision(snapshots, 'other')]).toEqual([4, 2])
    expect([await knows(snapshots, ALICE), await knows(snapshots, doc('1'))]).toEqual([false, true])
    expect(snapshots.revisionsApplied).toBe(3)
    expect(database.asked.revisions).toBe(1)
  })

  test('the timer polls, and stops', async () => {
    const { database, tenant, snapshots } = await following({ interval: 5 })
    snapshots.start()
    tenant.write(noEntity(ALICE))
    await expect.poll(() => revision(snapshots)).toBe(3)
    await snapshots.stop()
    const asked = database.asked.revisions
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(database.asked.revisions).toBe(asked)
  })

  test('polls never overlap, and one that fails does not end the following', async () => {
    const { database, tenant, snapshots, errors } = await following({ interval: 1 })
    let flying = 0
    let most = 0
    database.pace = async () => {
      most = Math.max(most, ++flying)
      await new Promise((resolve) => setTimeout(resolve, 8))
      flying--
    }
    snapshots.start()
    database.away = true
    await expect.poll(() => errors.length).toBeGreaterThan(1)
    database.away = false
    tenant.write(noEntity(ALICE))
    await expect.poll(() => revision(snapshots)).toBe(3)
    await snapshots.stop()
    expect(most).toBe(1)
  })

  test('a suspension is seen by the next poll, and at once where the log of system tells of it', async () => {
    const { database, tenant, snapshots } = await following()
    database.tenant('system').write(entity(user('root')))
    await snapshots.tenant('system')
    tenant.status = 'suspended'
    await snapshots.poll()
    expect((await snapshots.tenant('t'))?.status).toBe('suspended')

    tenant.status = 'active'
    await snapshots.applied('system', database.tenant('system').write(tenantStatus('t', 'active')))
    expect((await snapshots.tenant('t'))?.status).toBe('active')

    tenant.status = 'deleted'
    await snapshots.applied('system', database.tenant('system').write(tenantStatus('t', 'deleted')))
    expect(await snapshots.tenant('t')).toBe(undefined)
  })

  test('a suspension is not missed by a tenant that was being loaded', async () => {
    const { database, snapshots } = await following()
    database.tenant('system').write(entity(user('root')))
    await snapshots.tenant('system')
    database.tenant('new').write(entity(ALICE))
    const read = gate()
    let turns = 0
    database.pace = async (statement) => {
      // The answer is held back, after the row was read.
      if (statement === 'standing' && ++turns === 4) await read.closed
    }
    const loading = snapshots.tenant('new')
    await expect.poll(() => turns).toBe(4)
    database.tenant('new').status = 'suspended'
    await snapshots.applied('system', database.tenant('system').write(tenantStatus('new', 'suspended')))
    read.open()
    expect((await loading)?.status).toBe('suspended')
  })
})

describe('another history', () => {
  async function reloaded({ snapshots, mismatches }: Awaited<ReturnType<typeof following>>, how: string) {
    expect(mismatches).toMatchObject([{ tenant: 't', how }])
    return snapshots.tenant('t')
  }

  test('a lower revision', async () => {
    const all = await following()
    all.tenant.restore(1)
    await all.snapshots.poll()
    expect((await reloaded(all, 'behind'))?.revision).toBe(1)
    expect(await knows(all.snapshots, ALICE)).toBe(false)
    expect(all.mismatches).toMatchObject([{ held: { revision: 2 }, found: { revision: 1 } }])
  })

  test('the same revision with another id', async () => {
    const all = await following()
    all.tenant.restore(1)
    all.tenant.write(entity(doc('1')))
    await all.snapshots.poll()
    await reloaded(all, 'other_revision')
    expect([await knows(all.snapshots, ALICE), await knows(all.snapshots, doc('1'))]).toEqual([false, true])
  })

  test('a higher revision that does not come after ours', async () => {
    const all = await following()
    all.tenant.restore(1)
    all.tenant.write(entity(doc('1')))
    all.tenant.write(entity(doc('2')))
    await all.snapshots.poll()
    await reloaded(all, 'other_revision')
    expect([await knows(all.snapshots, ALICE), await knows(all.snapshots, doc('1'))]).toEqual([false, true])
  })

  test('a gap in the log', async () => {
    const all = await following()
    all.tenant.write(entity(doc('1')))
    all.tenant.write(entity(doc('2')))
    const { changesAfter } = all.database
    all.database.changesAfter = async (...asked) => {
      const after = await changesAfter.apply(all.database, asked)
      return { ...after, revisions: after.revisions.slice(1) }
    }
    await all.snapshots.poll()
    expect((await reloaded(all, 'gap'))?.revision).toBe(4)
    expect([await knows(all.snapshots, doc('1')), await knows(all.snapshots, doc('2'))]).toEqual([true, true])
  })

  test('a tenant that is gone', async () => {
    const all = await following()
    all.database.tenants.delete('t')
    await all.snapshots.poll()
    expect(await reloaded(all, 'missing')).toBe(undefined)
  })

  test.each([
    ['', 1000],
    [', nor does one of a big revision', 1],
  ])('a change that cannot be taken over leaves nothing half done%s', async (_of, inPlace) => {
    const all = await following({ inPlace })
    let broken = true
    all.tenant.write(entity(doc('1')), {
      kind: 'assignment',
      key: { id: 'x' },
      operation: 'delete',
      before: null,
      get after() {
        if (!broken) return null
        broken = false
        throw new Error('unreadable')
      },
    })
    await all.snapshots.poll()
    await expect.poll(() => all.mismatches.length).toBe(1)
    expect((await reloaded(all, 'unreadable'))?.revision).toBe(3)
    expect(await knows(all.snapshots, doc('1'))).toBe(true)
    expect(all.errors).toHaveLength(1)
  })

  test('entities that were read from another history are not used', async () => {
    const all = await following({ entities: 20 })
    all.tenant.restore(1)
    expect(await knows(all.snapshots, ALICE)).toBe(false)
    await reloaded(all, 'other_revision')
  })
})

describe('min_revision', () => {
  test('is met at once by what is in memory', async () => {
    const { snapshots } = await following()
    expect(snapshots.atLeast('t', 2)).toBe(undefined)
  })

  test('brings a tenant that is behind to it, with one question for all who ask', async () => {
    const { database, tenant, snapshots } = await following()
    tenant.write(noEntity(ALICE))
    await Promise.all(Array.from({ length: 20 }, () => snapshots.atLeast('t', 3)))
    expect(await revision(snapshots)).toBe(3)
    expect(database.asked.revisions).toBe(1)
    const fresh = over(database)
    await fresh.atLeast('t', 3)
    expect(await revision(fresh)).toBe(3)
  })

  test('that the tenant does not have is unknown, at once', async () => {
    const { snapshots } = await following()
    // No time passes.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    expect(await failure(snapshots.atLeast('t', 3))).toBe('revision_unknown')
    expect(await failure(snapshots.atLeast('none', 3))).toBe('not_found')
  })

  test('that does not come within a second is not waited for, nor by more than a thousand', async () => {
    const { database, tenant, snapshots } = await following()
    tenant.write(noEntity(ALICE))
    database.pace = (statement) => (statement === 'changesAfter' ? new Promise(() => {}) : Promise.resolve())
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let ended = 0
    const waiting = Array.from({ length: 1000 }, () =>
      failure(snapshots.atLeast('t', 3)).finally(() => {
        ended++
      }),
    )
    expect(await failure(snapshots.atLeast('t', 3))).toBe('revision_not_reached')
    await vi.advanceTimersByTimeAsync(999)
    expect(ended).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['revision_not_reached']))
    expect(snapshots.atLeast('t', 2)).toBe(undefined)
  })
})

describe('a write of this process', () => {
  test('is in memory when it is applied', async () => {
    const { tenant, snapshots } = await following()
    await snapshots.applied('t', tenant.write(noEntity(ALICE)))
    expect(await knows(snapshots, ALICE)).toBe(false)
  })

  test('to a tenant that is not in memory is applied at once', async () => {
    const { database, snapshots } = await following()
    await snapshots.applied('other', database.tenant('other').write(entity(ALICE)))
    expect(database.asked.revisions).toBe(0)
  })

  test('is not missed by a tenant that was being loaded', async () => {
    const { database, snapshots } = await following()
    const read = gate()
    let turns = 0
    database.pace = async (statement) => {
      if (statement === 'standing' && ++turns === 4) await read.closed
    }
    database.tenant('other').write(entity(ALICE))
    const loading = snapshots.tenant('other')
    await expect.poll(() => turns).toBe(4)
    const applied = snapshots.applied('other', database.tenant('other').write(noEntity(ALICE)))
    read.open()
    await Promise.all([loading, applied])
    expect(await revision(snapshots, 'other')).toBe(2)
  })
})
