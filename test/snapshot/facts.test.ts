import { expect, onTestFinished, test, vi } from 'vitest'
import type { Facts } from '../../src/policy/entity-graph.ts'
import { builtInRoles, type TenantSnapshot } from '../../src/snapshot/tenant-snapshot.ts'
import {
  assigned,
  assignment,
  doc,
  entity,
  FakeDatabase,
  failure,
  group,
  over,
  rule,
  settings,
  type,
  user,
} from './support.ts'

const ask = { subject: user('alice'), resource: doc('1') }
const both = (_tenant: TenantSnapshot, facts: Facts): Facts => facts

const one = (query: typeof ask) => query

function tenantOf(...changes: Parameters<ReturnType<FakeDatabase['tenant']>['write']>): FakeDatabase {
  const database = new FakeDatabase()
  database.tenant('t').write(...changes)
  return database
}

const ALICE = entity(user('alice'), [group('eng')])
const MANY = Array.from({ length: 50 }, (_, place) => entity(user(`other ${place}`)))

test('what is in memory is decided at once, without a promise', async () => {
  const database = tenantOf(ALICE, entity(doc('1')), ...MANY)
  const whole = over(database)
  await whole.tenant('t')
  expect(whole.withFacts('t', ask, both)).toMatchObject({ subject: { known: true, ancestors: [group('eng')] } })
  expect(whole.tenant('t')).toMatchObject({ id: 't' })

  const partial = over(database, { entities: 20 })
  await partial.withFacts('t', ask, both)
  expect(partial.withFacts('t', ask, both)).toMatchObject({ subject: { known: true } })
})

test('of a tenant that is held whole, absence is known without asking', async () => {
  const database = tenantOf(ALICE)
  const snapshots = over(database)
  await snapshots.tenant('t')
  expect(snapshots.withFacts('t', { ...ask, resource: doc('none') }, both)).toMatchObject({
    resource: { known: false },
  })
  expect(database.asked.loadEntities).toBe(0)
})

test('of any other tenant, absence is asked for once', async () => {
  const database = tenantOf(ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  for (let time = 0; time < 3; time++) {
    expect(await snapshots.withFacts('t', { ...ask, resource: doc('none') }, both)).toMatchObject({
      resource: { known: false },
    })
  }
  expect(database.asked.loadEntities).toBe(1)
  expect([snapshots.cacheMisses, snapshots.cacheHits]).toEqual([2, 4])
})

test('entities of a type that is never stored are not looked up', async () => {
  const database = tenantOf(type('document', 'never'), ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  await snapshots.withEntity('t', user('alice'), () => {})
  const before = database.asked.loadEntities
  expect(snapshots.withFacts('t', ask, both)).toMatchObject({ resource: { known: false } })
  expect(database.asked.loadEntities).toBe(before)
})

test('a thousand requests that miss the same and other entities become a few statements', async () => {
  const database = tenantOf(ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  await snapshots.tenant('t')
  const requests = Array.from({ length: 1000 }, (_, place) => ({ ...ask, resource: doc(`${place}`) }))
  const answers = await Promise.all(requests.map((request) => snapshots.withFacts('t', request, both)))
  expect(answers.map(({ resource }) => resource.id)).toEqual(requests.map(({ resource }) => resource.id))
  expect(database.asked.loadEntities).toBeLessThan(10)
})

test('many requests are answered at one revision', async () => {
  const database = tenantOf(ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  const facts = await snapshots.withAllFacts('t', [ask, { ...ask, resource: doc('2') }], (tenant, all) => {
    expect(tenant.revision).toBe(1)
    return all
  })
  expect(facts.map(({ resource }) => resource.id)).toEqual(['1', '2'])
})

test('what many questions of one call lack is loaded together, and each is decided once, in order', async () => {
  const database = tenantOf(ALICE, ...MANY)
  // However slow the machine is: no turn ends by its time.
  const snapshots = over(database, { entities: 20, clock: () => 0 })
  await snapshots.tenant('t')
  const before = database.asked.loadEntities
  const questions = Array.from({ length: 1000 }, (_, place) => ({ ...ask, resource: doc(`${place}`) }))
  const decided: string[] = []
  await snapshots.withEachFacts('t', questions, one, (_tenant, facts) => {
    decided.push(`${facts?.subject.known} ${facts?.resource.id}`)
    return true
  })
  expect(decided).toEqual(questions.map(({ resource }) => `true ${resource.id}`))
  // A thousand and one, in loads of a thousand at most; then what alice is in.
  expect(database.asked.loadEntities - before).toBeLessThanOrEqual(3)
})

test('of many questions none is decided after the one that is enough, nor one that is none looked up', async () => {
  const snapshots = over(tenantOf(ALICE, ...MANY), { entities: 20 })
  const decided: unknown[] = []
  await snapshots.withEachFacts(
    't',
    [1, 2, 3, 4],
    (n) => (n === 2 ? undefined : ask),
    (_tenant, facts, n) => {
      decided.push([n, facts === undefined])
      return n < 3
    },
  )
  expect(decided).toEqual([
    [1, false],
    [2, true],
    [3, false],
  ])
})

test('others have their turn between many questions of one call, and each is decided by the revision of its turn', async () => {
  const database = tenantOf(ALICE)
  // A clock that says each question takes a millisecond.
  let now = 0
  const snapshots = over(database, { clock: () => now })
  await snapshots.tenant('t')
  let turns = 0
  const count = () => {
    turns++
    if (turns === 5) database.tenant('t').write(entity(user('alice'), [], { disabled: true }))
    void snapshots.poll()
    waiting = setImmediate(count)
  }
  let waiting = setImmediate(count)
  const seen: (readonly [number, boolean])[] = []
  await snapshots.withEachFacts(
    't',
    Array.from({ length: 200 }, () => ask),
    one,
    (tenant, facts) => {
      now++
      seen.push([tenant.revision, facts?.subject.disabled === true])
      return true
    },
  )
  clearImmediate(waiting)
  expect(turns).toBeGreaterThan(10)
  expect(seen[0]).toEqual([1, false])
  expect(seen.at(-1)).toEqual([2, true])
  for (const [revision, disabled] of seen) expect(disabled).toBe(revision === 2)
})

test('a tenant that grows beyond the room is held in part from then on, and keeps its facts', async () => {
  const database = tenantOf(ALICE, assignment(assigned(user('alice'), 'editor')))
  const snapshots = over(database, { entities: 20 })
  const tenant = await snapshots.tenant('t')
  expect(tenant?.held_whole).toBe(true)
  database.tenant('t').write(...MANY)
  await snapshots.poll()
  expect(tenant?.held_whole).toBe(false)
  expect(snapshots.entitiesCached).toBeLessThanOrEqual(20)
  expect(await snapshots.withFacts('t', ask, both)).toMatchObject({
    subject: { known: true, given: [[{ role: 'editor' }]] },
  })
  expect(await snapshots.withEntity('t', user('other 7'), (_tenant, facts) => facts.known)).toBe(true)
})

test('what the cache has no room for is decided all the same', async () => {
  const chain = Array.from({ length: 40 }, (_, place) => entity(group(`${place}`), [group(`${place + 1}`)]))
  const snapshots = over(tenantOf(entity(user('alice'), [group('0')]), ...chain), { entities: 3 })
  const facts = await snapshots.withFacts('t', ask, both)
  expect(facts.subject.ancestors).toHaveLength(41)
  expect(snapshots.entitiesCached).toBeLessThanOrEqual(3)
})

test('with the database away, what is known is decided, and what is not is refused', async () => {
  const database = tenantOf(ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  await snapshots.withFacts('t', ask, both)
  database.away = true
  expect(snapshots.withFacts('t', ask, both)).toMatchObject({ subject: { known: true } })
  expect(await failure(snapshots.withFacts('t', { ...ask, resource: doc('2') }, both))).toBe('facts_unavailable')
  expect(await failure(snapshots.withFacts('other', ask, both))).toBe('store_unavailable')
  database.away = false
  expect(await snapshots.withFacts('t', { ...ask, resource: doc('2') }, both)).toMatchObject({
    resource: { known: false },
  })
})

test('a database that hangs is given up on within two seconds', async () => {
  const database = tenantOf(ALICE, ...MANY)
  const snapshots = over(database, { entities: 20 })
  await snapshots.tenant('t')
  database.pace = () => new Promise(() => {})
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const failures = [
    failure(snapshots.withFacts('t', ask, both)),
    failure(snapshots.withFacts('other', ask, both)),
    failure(snapshots.findApiKey('stranger')),
    failure(snapshots.poll()),
  ]
  await vi.advanceTimersByTimeAsync(2_000)
  expect(await Promise.all(failures)).toEqual([
    'facts_unavailable',
    'store_unavailable',
    'store_unavailable',
    'store_unavailable',
  ])
})

test('nothing is decided once the database has been away for longer than allowed', async () => {
  let now = 0
  const database = tenantOf(ALICE)
  const snapshots = over(database, { maxStaleness: 5000, clock: () => now })
  await snapshots.tenant('t')
  now = 5000
  expect(snapshots.staleness).toBe(5000)
  expect(snapshots.withFacts('t', ask, both)).toMatchObject({ subject: { known: true } })
  now = 5001
  expect(await failure(async () => snapshots.withFacts('t', ask, both))).toBe('stale')
  expect(await failure(async () => snapshots.withEntity('t', user('alice'), () => {}))).toBe('stale')
  database.away = true
  expect(await failure(snapshots.poll())).toBe('store_unavailable')
  expect(await failure(async () => snapshots.withFacts('t', ask, both))).toBe('stale')
  database.away = false
  await snapshots.poll()
  expect([snapshots.staleness, snapshots.oldestRevisionAge]).toEqual([0, 0])
  expect(snapshots.withFacts('t', ask, both)).toMatchObject({ subject: { known: true } })
})

test('no facts are had of a tenant that does not exist', async () => {
  expect(await failure(over(new FakeDatabase()).withFacts('none', ask, both))).toBe('not_found')
})

test('facts are gathered once, until a write is about the entity or what it is in', async () => {
  const database = tenantOf(ALICE, entity(group('eng')))
  const snapshots = over(database)
  const first = await snapshots.withFacts('t', ask, both)
  expect((await snapshots.withFacts('t', ask, both)).subject).toBe(first.subject)
  database
    .tenant('t')
    .write(rule('any'), entity(user('ben'), [group('eng')]), assignment(assigned(user('ben'), 'editor')))
  await snapshots.poll()
  expect((await snapshots.withFacts('t', ask, both)).subject).toBe(first.subject)
  database.tenant('t').write(assignment(assigned(group('eng'), 'editor')))
  await snapshots.poll()
  expect((await snapshots.withFacts('t', ask, both)).subject.given).toMatchObject([[{ role: 'editor' }]])
})

test('what a type comes to say of its entities holds for facts that were gathered before', async () => {
  const database = tenantOf(ALICE, entity(group('eng'), [group('all')]))
  const snapshots = over(database)
  expect((await snapshots.withFacts('t', ask, both)).subject.ancestors).toEqual([group('eng'), group('all')])
  database.tenant('t').write(type('group', 'never'))
  await snapshots.poll()
  expect((await snapshots.withFacts('t', ask, both)).subject.ancestors).toEqual([group('eng')])
})

test('settings come with the tenant and with its changes', async () => {
  const database = tenantOf(settings({ audit_mode: 'commit' }))
  const snapshots = over(database)
  const tenant = await snapshots.tenant('t')
  expect(tenant?.index.settings.audit_mode).toBe('commit')
  expect(snapshots.hasCommitting).toBe(true)
  database.tenant('t').write(settings({ audit_mode: 'journal' }))
  await snapshots.poll()
  expect(tenant?.index.settings.audit_mode).toBe('journal')
  expect(snapshots.hasCommitting).toBe(false)
})

test('a built-in role is held by a direct, unscoped, valid assignment only', async () => {
  const at = (ms: number) => new Date(ms).toISOString()
  const given = [
    assigned(user('alice'), 'pdp:admin', { valid_from: at(1000), valid_until: at(2000) }),
    assigned(user('alice'), 'pdp:decider', { valid_from: null, valid_until: null }),
    assigned(user('alice'), 'pdp:operator'),
    assigned(user('alice'), 'pdp:entity_writer', { within: doc('1') }),
    assigned(user('alice'), 'editor'),
    assigned(group('alice'), 'pdp:auditor'),
    assigned(user('team'), 'pdp:policy_admin'),
  ]
  const alice = entity(user('alice'), [group('alice'), user('team')])
  const database = tenantOf(alice, ...given.map(assignment))
  database.tenant('system').write(alice, ...given.map(assignment))
  const snapshots = over(database)
  const roles = async (tenant: string, now: number) =>
    snapshots.withEntity(tenant, user('alice'), (held, subject) => builtInRoles(held, subject, now).sort())
  expect(await roles('t', 999)).toEqual(['pdp:decider'])
  expect(await roles('t', 1000)).toEqual(['pdp:admin', 'pdp:decider'])
  expect(await roles('t', 2000)).toEqual(['pdp:decider'])
  expect(await roles('system', 2000)).toEqual(['pdp:decider', 'pdp:operator'])
})
