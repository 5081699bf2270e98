import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Revoked, RevokedTokens } from '../../src/snapshot/revoked-tokens.ts'
import { openDatabase } from '../../src/store/database.ts'
import { revocationSource, revokeToken, sessionStore } from '../../src/store/sessions.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase()
})

afterAll(() => database.close())

function following(maxStaleness = 60_000, clock = () => performance.now()): RevokedTokens {
  return new RevokedTokens({ source: revocationSource(database.db), maxStaleness, clock })
}

test('what was revoked before the start is known from the start on', async () => {
  const id = randomUUID()
  await sessionStore(database.db).revokeToken(id, 600)
  const revoked = following()
  await revoked.start()
  expect(revoked.isRevoked(id)).toBe(true)
  expect(revoked.isRevoked(randomUUID())).toBe(false)
  await revoked.stop()
})

test('what a long transaction revokes is known, though later ones were read before it ended', async () => {
  const revoked = following()
  await revoked.poll()
  const { db, close } = openDatabase({ url: database.url, size: 1, queryTimeout: 10_000, connectTimeout: 10_000 })
  const [slow, quick] = [randomUUID(), randomUUID()]
  await db.transaction().execute(async (trx) => {
    await revokeToken(trx, slow, 600)
    await sessionStore(database.db).revokeToken(quick, 600)
    for (let n = 0; n < 3; n++) await revoked.poll()
    expect([revoked.isRevoked(slow), revoked.isRevoked(quick)]).toEqual([false, true])
  })
  await revoked.poll()
  expect(revoked.isRevoked(slow)).toBe(true)
  await close()
})

test('a database that was restored is read anew', async () => {
  const all: Revoked[] = [{ id: 'a', expires_at: Date.now() + 60_000 }]
  let position = '900'
  const asked: string[] = []
  const source = {
    revokedSince: async (since: string) => {
      asked.push(since)
      return { position, revoked: since === '0' ? all : [] }
    },
  }
  const revoked = new RevokedTokens({ source, maxStaleness: 60_000 })
  await revoked.poll()
  all.push({ id: 'b', expires_at: Date.now() + 60_000 })
  position = '500'
  await revoked.poll()
  expect(asked).toEqual(['0', '900', '0'])
  expect(revoked.isRevoked('b')).toBe(true)
})

test('what nothing names any more is forgotten', async () => {
  const source = {
    revokedSince: async () => ({ position: '1', revoked: [{ id: 'a', expires_at: Date.now() - 1 }] }),
  }
  const revoked = new RevokedTokens({ source, maxStaleness: 60_000 })
  await revoked.poll()
  expect(revoked.size).toBe(0)
})

test('no session is believed before the first word from the database, nor too long after the last', async () => {
  let now = 0
  const revoked = following(1_000, () => now)
  expect(() => revoked.isRevoked('a')).toThrow('too long')
  await revoked.poll()
  expect(revoked.isRevoked('a')).toBe(false)
  now = 1_001
  expect(() => revoked.isRevoked('a')).toThrow('too long')
})

test('a round that fails is told, and the next one makes up for it', async () => {
  let fails = true
  const source = {
    revokedSince: async () => {
      if (fails) throw new Error('away')
      return { position: '1', revoked: [{ id: 'a', expires_at: Date.now() + 60_000 }] }
    },
  }
  const revoked = new RevokedTokens({ source, maxStaleness: 60_000 })
  await expect(revoked.poll()).rejects.toThrow('could not be asked')
  fails = false
  await revoked.poll()
  expect(revoked.isRevoked('a')).toBe(true)
})

test('the service may neither change nor take back what it has noted as revoked', async () => {
  await expect(sql`update revoked_tokens set expires_at = now()`.execute(database.service)).rejects.toThrow()
})
