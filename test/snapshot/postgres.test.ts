import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { GivenAssignment, PolicyChange } from '../../src/policy/change.ts'
import type { Entity, EntityRef } from '../../src/policy/model.ts'
import { entityNode } from '../../src/snapshot/entity-node.ts'
import { deleteApiKeys, insertApiKey } from '../../src/store/api-keys.ts'
import { deleteAssignments, insertAssignments } from '../../src/store/assignments.ts'
import { appendChange } from '../../src/store/changes.ts'
import { deleteEntity, putEntities } from '../../src/store/entities.ts'
import { rules } from '../../src/store/rules.ts'
import { snapshotSource } from '../../src/store/snapshot.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import {
  assigned,
  assignment,
  doc,
  entity,
  group,
  key,
  noAssignment,
  noEntity,
  noKey,
  over,
  rule,
  user,
} from './support.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

async function newTenant(): Promise<string> {
  const id = `t-${randomUUID()}`
  await database.db.insertInto('tenants').values({ id, name: id }).execute()
  return id
}

/** One write of a tenant: the rows, and the log that tells of them. */
async function write(tenant: string, ...changes: PolicyChange[]): Promise<number> {
  const at = new Date()
  return database.db.transaction().execute(async (trx) => {
    const actor = user('admin')
    const revision = await appendChange(trx, { tenant, actor, reason: null, at, changes })
    const stamp = { tenant, revision, at }
    for (const change of changes) {
      if (change.kind === 'entity') {
        if (change.after === null) await deleteEntity(trx, tenant, change.key)
        else await putEntities(trx, stamp, [whole(change.after)])
      } else if (change.kind === 'assignment') {
        if (change.after === null) await deleteAssignments(trx, tenant, [change.key.id])
        else await insertAssignments(trx, stamp, [change.after])
      } else if (change.kind === 'api_key') {
        if (change.after === null) await deleteApiKeys(trx, tenant, [change.key.id])
        else await insertApiKey(trx, stamp, { ...change.after, secret_sha256: Buffer.alloc(32, change.key.id) })
      } else if (change.kind === 'rule' && change.after !== null) await rules.put(trx, stamp, [change.after])
    }
    return revision
  })
}

function whole({ type, id, properties = {}, parents = [], disabled = false }: Entity): Required<Entity> {
  return { type, id, properties, parents, disabled }
}

/** As administration writes it: everything is there. */
const full = (subject: EntityRef, role: string, more: Partial<GivenAssignment> = {}): GivenAssignment =>
  assigned(subject, role, { valid_from: null, valid_until: null, reason: null, ...more })

const source = () => snapshotSource(database.db)

async function all<T>(parts: AsyncIterable<readonly T[]>): Promise<T[]> {
  const items: T[] = []
  for await (const part of parts) items.push(...part)
  return items
}

test('facts are the same from a tenant held whole, from one held in part, and from one that followed', async () => {
  const tenant = await newTenant()
  const followed = [over(source()), over(source(), { entities: 0 })]
  for (const snapshots of followed) await snapshots.tenant(tenant)
  const gone = full(user('alice'), 'viewer')
  await write(
    tenant,
    entity(user('alice'), [group('eng'), group('unknown')], { properties: { level: 1.5, 'ü"\\': [null, { a: 'é' }] } }),
    entity(group('eng'), [group('all')]),
    entity(group('all'), [group('eng')]),
    assignment(full(group('all'), 'editor', { within: doc('1'), valid_from: '2020-01-01T00:00:00.000Z' })),
    assignment(full(group('unknown'), 'auditor', { valid_until: '2999-12-31T23:59:59.123Z', reason: 'why' })),
    assignment(gone),
  )
  await write(tenant, entity(doc('1'), [doc('2')]), entity(doc('2'), [], { disabled: true }), entity(doc('3')))
  await write(tenant, noAssignment(gone), noEntity(doc('3')))

  const facts = []
  for (const snapshots of [...followed, over(source()), over(source(), { entities: 0 })]) {
    await snapshots.poll()
    for (const resource of [doc('1'), doc('3'), doc('none')]) {
      const found = await snapshots.withFacts(tenant, { subject: user('alice'), resource }, (_tenant, each) => each)
      facts.push({ resource, found })
    }
  }
  for (const [place, each] of facts.entries()) expect(each).toEqual(facts[place % 3])
  expect(facts[0]?.found.subject).toMatchObject({
    known: true,
    ancestors: [group('eng'), group('unknown'), group('all')],
  })
  expect(
    facts[0]?.found.subject.given
      .flat()
      .map(({ role }) => role)
      .sort(),
  ).toEqual(['auditor', 'editor'])
  expect(facts[0]?.found.resource).toMatchObject({ known: true, ancestors: [doc('2')], disabled: false })
  expect(facts[1]?.found.resource).toMatchObject({ known: false })
})

test('a tenant of many pages comes whole, with those who are not stored but hold a role', async () => {
  const tenant = await newTenant()
  await sql`insert into entities (tenant_id, type, id) select ${tenant}, 'user', 'u' || n from generate_series(1, 12000) n`.execute(
    database.db,
  )
  await sql`
    insert into assignments (tenant_id, id, subject_type, subject_id, role, granted_by)
    select ${tenant}, gen_random_uuid(), 'user', 'u' || n * 2, 'editor', '{"type": "user", "id": "admin"}'
    from generate_series(1, 7000) n`.execute(database.db)
  await sql`
    insert into rules (tenant_id, name, policy, effect, body)
    select ${tenant}, 'r' || n, 'default', 'allow', '{}' from generate_series(1, 10001) n`.execute(database.db)
  const policy = await all(source().policy(tenant))
  expect(policy).toHaveLength(10_001)
  expect(new Set(policy.map(({ name }) => name)).size).toBe(10_001)
  const entities = (await all(source().entities(tenant))).map(entityNode)
  expect(new Set(entities.map(({ id }) => id)).size).toBe(13_000)
  expect(entities).toHaveLength(13_000)
  expect(entities.filter(({ assignments }) => assignments.length === 1)).toHaveLength(7000)
  expect(entities.find(({ id }) => id === 'u14000')).toMatchObject({ known: false })
  expect([await source().fits(tenant, 19_000), await source().fits(tenant, 18_999)]).toEqual([true, false])
})

test('the log comes in whole revisions, with what names the one before', async () => {
  const tenant = await newTenant()
  const { changesAfter, changesOf, revisions } = source()
  expect(await changesAfter(tenant, 0, 3)).toEqual({ anchor: null, revisions: [], big: null })
  await write(tenant, entity(doc('1')), entity(doc('2')))
  await write(tenant, ...Array.from({ length: 10 }, (_, place) => entity(doc(`big ${place}`))))
  await write(tenant, entity(doc('3')))
  const first = await changesAfter(tenant, 0, 3)
  expect(first).toMatchObject({ anchor: null, revisions: [{ revision: 1 }], big: null })
  expect(first.revisions[0]?.changes).toHaveLength(2)
  const second = await changesAfter(tenant, 1, 3)
  expect(second).toMatchObject({ anchor: first.revisions[0]?.revision_id, revisions: [], big: { revision: 2 } })
  const big = { revision: 2, revision_id: second.big?.revision_id ?? '' }
  const part = await changesOf(tenant, big, 0, true)
  expect(part?.next).toBe(null)
  expect(await changesOf(tenant, { ...big, revision_id: randomUUID() }, 0, true)).toBe(undefined)
  expect(await changesOf(tenant, big, 0, false)).toEqual(part)
  expect(part?.changes.map(({ key: named }) => named)).toMatchObject(
    Array.from({ length: 10 }, (_, place) => doc(`big ${place}`)),
  )
  expect((await changesAfter(tenant, 1, 10)).revisions.map(({ changes: of }) => of.length)).toEqual([10])
  const last = await changesAfter(tenant, 2, 3)
  expect(last.anchor).toBe(second.big?.revision_id)
  expect(last.revisions).toMatchObject([{ revision: 3, changes: [{ kind: 'entity', operation: 'create' }] }])
  const [now] = await revisions([tenant, 'none'])
  expect(now).toEqual({ id: tenant, status: 'active', revision: 3, revision_id: last.revisions[0]?.revision_id })
})

test('of a revision, the changes that no index takes can be had without the others', async () => {
  const tenant = await newTenant()
  const issuer: PolicyChange = { kind: 'issuer', key: { name: 'corp' }, operation: 'delete', before: null, after: null }
  const whole = { policy: 'default', enabled: true }
  await write(tenant, rule('first', whole), entity(doc('1')), issuer, rule('last', whole))
  const [now] = await source().revisions([tenant])
  const part = now && (await source().changesOf(tenant, now, 0, false))
  expect(part?.changes.map(({ kind }) => kind)).toEqual(['entity', 'issuer'])
})

test('a key is known by its hash, which the log does not hold', async () => {
  const tenant = await newTenant()
  const snapshots = over(source())
  await snapshots.tenant(tenant)
  await snapshots.applied(tenant, await write(tenant, key('ab12', user('alice'))))
  const wanted = {
    id: 'ab12',
    tenant,
    subject: user('alice'),
    roles: null,
    secret_sha256: Buffer.alloc(32, 'ab12'),
    expires_at: null,
  }
  expect(await snapshots.findApiKey('ab12')).toMatchObject(wanted)
  expect(await over(source()).findApiKey('ab12')).toMatchObject(wanted)
  await snapshots.applied(tenant, await write(tenant, noKey('ab12')))
  expect(await snapshots.findApiKey('ab12')).toBe(undefined)
})

test('what one process writes, another sees by its next poll, and at once with min_revision', async () => {
  const tenant = await newTenant()
  const [here, there] = [over(source()), over(source(), { interval: 50 })]
  const roles = async (snapshots: typeof here) =>
    snapshots.withEntity(tenant, user('alice'), (_tenant, { given }) => given.flat().map(({ role }) => role))
  const given = full(user('alice'), 'editor')
  await write(tenant, assignment(given))
  expect([await roles(here), await roles(there)]).toEqual([['editor'], ['editor']])
  const revoked = await write(tenant, noAssignment(given))
  await here.applied(tenant, revoked)
  expect([await roles(here), await roles(there)]).toEqual([[], ['editor']])
  await there.atLeast(tenant, revoked)
  expect(await roles(there)).toEqual([])
  there.start()
  await write(tenant, assignment(given))
  await expect.poll(() => roles(there)).toEqual(['editor'])
  await there.stop()
})

test('a deleted tenant is not loaded', async () => {
  const tenant = await newTenant()
  await database.db.updateTable('tenants').set({ status: 'deleted' }).where('id', '=', tenant).execute()
  expect(await over(source()).tenant(tenant)).toBe(undefined)
  expect(await over(source()).tenant('none')).toBe(undefined)
})
