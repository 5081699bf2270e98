import { expect, test } from 'vitest'
import type { Issuer } from '../../src/policy/issuer.ts'
import { Slices } from '../../src/snapshot/slices.ts'
import type { Snapshots } from '../../src/snapshot/snapshots.ts'
import type { LoggedChange } from '../../src/snapshot/source.ts'
import { entity, FakeDatabase, over, rule, user } from './support.ts'

const CORP: Issuer = {
  name: 'corp',
  issuer: 'https://corp.test',
  audiences: ['verdict'],
  claims: { subject: { type: 'user' } },
}

function issuer(more: object = {}): LoggedChange {
  return { kind: 'issuer', key: { name: 'corp' }, operation: 'update', before: null, after: { ...CORP, ...more } }
}

const NO_ISSUER: LoggedChange = {
  kind: 'issuer',
  key: { name: 'corp' },
  operation: 'delete',
  before: null,
  after: null,
}
const MANY = Array.from({ length: 20 }, (_, place) => [entity(user(`${place}`)), rule(`rule-${place}`)]).flat()

const trusted = async (snapshots: Snapshots) => (await snapshots.tenant('t'))?.issuers.named('corp')

function holding(...changes: LoggedChange[]) {
  const database = new FakeDatabase()
  database.tenant('t').write(...changes)
  return { database, tenant: database.tenant('t') }
}

test('an issuer is trusted by a tenant from when it is loaded, as of the revision that wrote it', async () => {
  const { database, tenant } = holding(issuer())
  tenant.write(entity(user('alice')))
  expect((await trusted(over(database)))?.version).toBe(1)
})

test('each change of an issuer is followed, and so is its end', async () => {
  const { database, tenant } = holding(entity(user('alice')))
  const snapshots = over(database)
  expect(await trusted(snapshots)).toBe(undefined)
  for (const version of [2, 3]) {
    await snapshots.applied('t', tenant.write(issuer({ audiences: [`of ${version}`] })))
    expect(await trusted(snapshots)).toMatchObject({ version, issuer: { audiences: [`of ${version}`] } })
  }
  await snapshots.applied('t', tenant.write(NO_ISSUER))
  expect(await trusted(snapshots)).toBe(undefined)
})

test.each([
  ['registered', issuer({ audiences: ['other'] }), { version: 2, issuer: { audiences: ['other'] } }],
  ['removed', NO_ISSUER, undefined],
])('what is %s while its tenant is being loaded is not missed', async (_how, change, wanted) => {
  const { database, tenant } = holding(issuer())
  database.pace = async (statement) => {
    // The issuers have been read by now.
    if (statement === 'fits' && tenant.revision === 1) tenant.write(change)
  }
  const found = await trusted(over(database))
  if (wanted === undefined) expect(found).toBe(undefined)
  else expect(found).toMatchObject(wanted)
})

test.each([
  ['registered', [issuer({ audiences: ['other'] }), ...MANY], { version: 2, issuer: { audiences: ['other'] } }],
  ['removed', [...MANY, NO_ISSUER], undefined],
])('what is %s by a revision that is made beside memory is taken over with it', async (_how, changes, wanted) => {
  const { database, tenant } = holding(issuer())
  const snapshots = over(database, { inPlace: 5, slices: new Slices(0) })
  await trusted(snapshots)
  await snapshots.applied('t', tenant.write(...changes))
  const found = await trusted(snapshots)
  if (wanted === undefined) expect(found).toBe(undefined)
  else expect(found).toMatchObject(wanted)
})

test('one that cannot be read is not trusted, keeps nobody from anything else, and is counted until it is put right', async () => {
  const { database, tenant } = holding(entity(user('alice')), issuer({ audiences: 'verdict' }))
  const snapshots = over(database)
  expect([await trusted(snapshots), snapshots.quarantined]).toEqual([undefined, 1])
  await snapshots.applied('t', tenant.write(issuer()))
  expect([(await trusted(snapshots))?.version, snapshots.quarantined]).toEqual([2, 0])
  await snapshots.applied('t', tenant.write(issuer({ algorithms: ['none'] })))
  expect([await trusted(snapshots), snapshots.quarantined]).toEqual([undefined, 1])
  await snapshots.applied('t', tenant.write(NO_ISSUER))
  expect(snapshots.quarantined).toBe(0)
})
