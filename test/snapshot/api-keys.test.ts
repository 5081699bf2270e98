import { expect, test } from 'vitest'
import { entity, FakeDatabase, failure, key, noKey, over, user } from './support.ts'

function keyed() {
  const database = new FakeDatabase()
  const tenant = database.tenant('t')
  tenant.write(key('abcd'))
  return { database, tenant, snapshots: over(database) }
}

test('a key is found with its tenant, its subject and its hash, and then at once', async () => {
  const { snapshots } = keyed()
  const wanted = {
    id: 'abcd',
    tenant: 't',
    subject: user('alice'),
    roles: null,
    secret_sha256: Buffer.alloc(32, 'abcd'),
  }
  expect(await snapshots.findApiKey('abcd')).toMatchObject(wanted)
  expect(snapshots.findApiKey('abcd')).toMatchObject(wanted)
})

test('guessing the same id again is not a query each', async () => {
  const { database, snapshots } = keyed()
  expect(await Promise.all([1, 2, 3].map(() => snapshots.findApiKey('guess')))).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  expect(snapshots.findApiKey('guess')).toBe(undefined)
  expect(database.asked.tenantsOfApiKeys).toBe(1)
})

test('strangers that come in crowds, each with an id of its own, are asked about together', async () => {
  const { database, snapshots } = keyed()
  let atOnce = 0
  let most = 0
  database.pace = async () => {
    most = Math.max(most, ++atOnce)
    await new Promise((resolve) => setTimeout(resolve, 1))
    atOnce--
  }
  const crowd = Array.from({ length: 500 }, async (_, n) => {
    await new Promise((resolve) => setTimeout(resolve, n % 10))
    return snapshots.findApiKey(`guess${n}`)
  })
  const known = snapshots.findApiKey('abcd')
  expect(await known).toMatchObject({ id: 'abcd' })
  expect(new Set(await Promise.all(crowd))).toEqual(new Set([undefined]))
  // One for the crowd, and the tenant of the key that is one.
  expect(most).toBeLessThanOrEqual(2)
  expect(database.asked.tenantsOfApiKeys).toBeLessThan(20)
})

test('after a question that failed the next is asked', async () => {
  const { database, snapshots } = keyed()
  database.away = true
  expect(await Promise.all(['a', 'b'].map((id) => failure(snapshots.findApiKey(id))))).toEqual([
    'store_unavailable',
    'store_unavailable',
  ])
  database.away = false
  expect(await snapshots.findApiKey('abcd')).toMatchObject({ id: 'abcd' })
})

test('a key made here works at once, also if it was asked for just before', async () => {
  const { tenant, snapshots } = keyed()
  await snapshots.findApiKey('abcd')
  expect(await snapshots.findApiKey('efgh')).toBe(undefined)
  await snapshots.applied('t', tenant.write(key('efgh')))
  expect(await snapshots.findApiKey('efgh')).toMatchObject({ id: 'efgh' })
})

test('the first key of a tenant that is not in memory works at once too', async () => {
  const { database, snapshots } = keyed()
  expect(await snapshots.findApiKey('efgh')).toBe(undefined)
  await snapshots.applied('new', database.tenant('new').write(key('efgh')))
  expect(await snapshots.findApiKey('efgh')).toMatchObject({ id: 'efgh', tenant: 'new' })
})

test('a key that is made while it is looked up is not taken for a stranger', async () => {
  const { database, tenant, snapshots } = keyed()
  await snapshots.tenant('t')
  let answer = () => {}
  let turns = 0
  database.pace = (statement) =>
    statement === 'tenantsOfApiKeys' && ++turns === 2
      ? new Promise((resolve) => {
          answer = resolve
        })
      : Promise.resolve()
  const early = snapshots.findApiKey('efgh')
  await expect.poll(() => turns).toBe(2)
  await snapshots.applied('t', tenant.write(key('efgh')))
  answer()
  expect(await early).toBe(undefined)
  expect(await snapshots.findApiKey('efgh')).toMatchObject({ id: 'efgh' })
})

test('a key that another replica made a moment ago is found before the poll', async () => {
  const { tenant, snapshots } = keyed()
  await snapshots.tenant('t')
  tenant.write(key('efgh'))
  expect(await snapshots.findApiKey('efgh')).toMatchObject({ id: 'efgh' })
})

test('a deleted key is gone when the change is applied', async () => {
  const { tenant, snapshots } = keyed()
  await snapshots.findApiKey('abcd')
  await snapshots.applied('t', tenant.write(noKey('abcd')))
  expect(await snapshots.findApiKey('abcd')).toBe(undefined)
  expect(snapshots.findApiKey('abcd')).toBe(undefined)
})

test('a key of a tenant that was deleted is no key', async () => {
  const { tenant, snapshots } = keyed()
  await snapshots.findApiKey('abcd')
  tenant.status = 'deleted'
  await snapshots.poll()
  expect(await snapshots.findApiKey('abcd')).toBe(undefined)
})

test('with the database away, keys in memory are found, and others are not said to be wrong', async () => {
  const { database, tenant, snapshots } = keyed()
  tenant.write(entity(user('alice')))
  await snapshots.findApiKey('abcd')
  database.away = true
  expect(snapshots.findApiKey('abcd')).toMatchObject({ id: 'abcd' })
  expect(await failure(snapshots.findApiKey('efgh'))).toBe('store_unavailable')
})
