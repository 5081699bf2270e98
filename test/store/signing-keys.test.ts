import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { openSigningKeys, rotateSigningKeys } from '../../src/store/signing-keys.ts'
import { freshDatabase } from '../support/database.ts'

const masterKey = randomBytes(32)

async function database() {
  const fresh = await freshDatabase()
  onTestFinished(() => fresh.close())
  return fresh.db
}

test('the first signing key is made once by replicas that start at the same time', async () => {
  const db = await database()
  const replicas = await Promise.all(Array.from({ length: 4 }, () => openSigningKeys(db, masterKey)))
  expect(new Set(replicas.map((keys) => keys.current().kid)).size).toBe(1)
  expect(replicas.map((keys) => keys.all().length)).toEqual([1, 1, 1, 1])
})

test('a signing key is found again after a restart, and verifies what it signed before', async () => {
  const db = await database()
  const before = (await openSigningKeys(db, masterKey)).current()
  const signature = sign(null, Buffer.from('token'), createPrivateKey(before.private_pem))
  const after = (await openSigningKeys(db, masterKey)).find(before.kid)
  expect(after).toEqual(before)
  expect(verify(null, Buffer.from('token'), createPublicKey(after?.public_pem ?? ''), signature)).toBe(true)
})

test('the public half names its key, its algorithm and its use, and holds nothing of the private one', async () => {
  const key = (await openSigningKeys(await database(), masterKey)).current()
  expect(key.public_jwk).toEqual({
    kty: 'OKP',
    crv: 'Ed25519',
    x: expect.any(String),
    kid: key.kid,
    use: 'sig',
    alg: 'EdDSA',
  })
})

test('the newest key signs, older ones still verify, and retired ones go after a day', async () => {
  const db = await database()
  const first = (await openSigningKeys(db, masterKey)).current()
  await sql`insert into tenants (id, name) values ('system', 'System')`.execute(db)
  await rotateSigningKeys(db, masterKey)
  await sql`update signing_keys set created_at = created_at - interval '31 seconds'`.execute(db)
  const both = await openSigningKeys(db, masterKey)
  expect(both.current().kid).not.toBe(first.kid)
  expect(both.find(first.kid)).toMatchObject({ kid: first.kid, private_pem: first.private_pem })
  await sql`update signing_keys set retired_at = now() - interval '25 hours' where kid = ${first.kid}`.execute(db)
  expect((await openSigningKeys(db, masterKey)).find(first.kid)).toBeUndefined()
})

test('nothing of a private key can be read in the database', async () => {
  const db = await database()
  const key = (await openSigningKeys(db, masterKey)).current()
  const secret = createPrivateKey(key.private_pem).export({ format: 'jwk' }).d ?? ''
  const { sealed } = await db.selectFrom('signing_keys').select('sealed').executeTakeFirstOrThrow()
  expect(sealed.includes(secret)).toBe(false)
  expect(sealed.includes(Buffer.from(secret, 'base64url'))).toBe(false)
})

test('another master key than the one that sealed a key is refused, and no new key is made', async () => {
  const db = await database()
  await openSigningKeys(db, masterKey)
  await expect(openSigningKeys(db, randomBytes(32))).rejects.toMatchObject({ code: 'unsafe_configuration' })
  expect((await openSigningKeys(db, masterKey)).all()).toHaveLength(1)
})
