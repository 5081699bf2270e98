import { randomBytes, randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SessionStore } from '../../src/authn/session.ts'
import { openDatabase } from '../../src/store/database.ts'
import { revokeSessionsOf, sessionStore } from '../../src/store/sessions.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const SUBJECT = { type: 'user', id: 'ada' }
const LIMITS = { idle_s: 3_600, lifetime_s: 7_200 }

let database: FreshDatabase
let store: SessionStore

beforeAll(async () => {
  database = await freshDatabase()
  store = sessionStore(database.db)
  await sql`insert into tenants (id, name) values ('acme', 'Acme')`.execute(database.db)
  await sql`
    insert into passwords (tenant_id, subject_type, subject_id, username, username_key, hash, version, created_at,
                           updated_at)
    values ('acme', 'user', 'ada', 'ada', 'ada', 'hash', 1, now(), now())`.execute(database.db)
})

afterAll(() => database.close())

async function opened(hash = 'hash') {
  const [id, sha256] = [randomUUID(), randomBytes(32)]
  const session = { tenant: 'acme', subject: SUBJECT, method: 'password', hash, id, sha256, lifetime_s: 7_200 }
  return { id, sha256, rotation: await store.open(session) }
}

test('of twenty who spend a refresh token at once, one gets another, in each of 200 rounds', {
  timeout: 180_000,
}, async () => {
  for (let round = 0; round < 200; round++) {
    const { sha256 } = await opened()
    const next = Array.from({ length: 20 }, () => randomBytes(32))
    const rotations = await Promise.all(next.map((to) => store.rotate('acme', sha256, to, LIMITS)))
    expect(rotations.filter((rotation) => rotation !== undefined).length).toBe(1)
    const found = await Promise.all(next.map((to) => store.find('acme', to, LIMITS)))
    expect(found.filter((token) => token !== undefined).length).toBe(1)
  }
})

test('a session that has ended is not gone on with, and neither is one that was idle too long', async () => {
  const { id, sha256 } = await opened()
  expect(await store.revoke('acme', id)).toBe(true)
  expect(await store.revoke('acme', id)).toBe(false)
  expect(await store.rotate('acme', sha256, randomBytes(32), LIMITS)).toBeUndefined()
  const idle = await opened()
  expect(await store.rotate('acme', idle.sha256, randomBytes(32), { ...LIMITS, idle_s: 0 })).toBeUndefined()
})

test('a password that was changed after it was verified opens no session', async () => {
  expect((await opened('another hash')).rotation).toBeUndefined()
})

test('a session that is opened while the password changes is ended by that, or not opened', async () => {
  const { db, close } = openDatabase({ url: database.url, size: 2, queryTimeout: 10_000, connectTimeout: 10_000 })
  const held = new EventEmitter()
  const isHeld = once(held, 'held')
  const changing = db
    .of('acme')
    .transaction()
    .execute(async (trx) => {
      await sql`update passwords set hash = 'new' where subject_id = 'ada'`.execute(trx)
      held.emit('held')
      // The login waits for the password's row meanwhile.
      await sql`select pg_sleep(0.2)`.execute(trx)
      await revokeSessionsOf(trx, 'acme', SUBJECT)
    })
  await isHeld
  const late = await opened('hash')
  await changing
  expect(late.rotation).toBeUndefined()
  await sql`update passwords set hash = 'hash'`.execute(db.of('acme'))
  await close()
})

test('sessions that are over are deleted when the next one is opened, with their tokens', async () => {
  const { id } = await opened()
  await sql`update sessions set expires_at = now() - interval '1 second' where id = ${id}`.execute(database.db)
  await opened()
  const { rows } = await sql`
    select 1 from sessions s full join refresh_tokens r on r.session_id = s.id
    where s.id = ${id}::uuid or r.session_id = ${id}::uuid`.execute(database.db)
  expect(rows).toEqual([])
})
