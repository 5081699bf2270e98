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
  expect(database.asked.tenantOfApiKey).toBe(1)
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
    statement === 'tenantOfApiKey' && ++turns === 2
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
