import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { type Kysely, sql, type Transaction } from 'kysely'
import { seal, unseal } from '../authn/seal.ts'
import type { SigningKey, SigningKeys } from '../authn/signing-key.ts'
import type { Database } from './schema.ts'

const LOCK_ID = 7_310_868_735_423_408

/** The deployment's signing keys; the first one is made here, by one replica of those that start at once. */
export async function openSigningKeys(db: Kysely<Database>, masterKey: Buffer): Promise<SigningKeys> {
  const known = await loadSigningKeys(db, masterKey)
  return keysOf(known.length > 0 ? known : await db.transaction().execute((trx) => makeFirst(trx, masterKey)))
}

/** Newest first. Retired ones are left out once no token of theirs can be valid. */
export async function loadSigningKeys(db: Kysely<Database>, masterKey: Buffer): Promise<SigningKey[]> {
  const { rows } = await sql<{ kid: string; public_jwk: Record<string, unknown>; sealed: Buffer }>`
    select kid, public_jwk, sealed from signing_keys
    where retired_at is null or retired_at > now() - interval '1 day'
    order by retired_at is null desc, created_at desc, kid`.execute(db)
  return rows.map(({ kid, public_jwk, sealed }) => opened(kid, public_jwk, unseal(masterKey, labelOf(kid), sealed)))
}

/** Makes a key that signs from now on. */
export async function insertSigningKey(trx: Transaction<Database>, masterKey: Buffer): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const public_jwk = JSON.stringify({ ...jwk, kid, use: 'sig', alg: 'EdDSA' })
  const sealed = seal(masterKey, labelOf(kid), Buffer.from(JSON.stringify(await exportJWK(privateKey))))
  await trx
    .insertInto('signing_keys')
    .values({ kid, algorithm: 'EdDSA', public_jwk, sealed, retired_at: null })
    .execute()
}

async function makeFirst(trx: Transaction<Database>, masterKey: Buffer): Promise<SigningKey[]> {
  await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
  const made = await loadSigningKeys(trx, masterKey)
  if (made.length > 0) return made
  await insertSigningKey(trx, masterKey)
  return loadSigningKeys(trx, masterKey)
}

const labelOf = (kid: string) => ({ purpose: 'signing key', id: kid })

function opened(kid: string, public_jwk: Record<string, unknown>, secret: Buffer): SigningKey {
  const privateKey = createPrivateKey({ key: JSON.parse(secret.toString()) as JsonWebKey, format: 'jwk' })
  return {
    kid,
    private_pem: pem(privateKey, 'pkcs8'),
    public_pem: pem(createPublicKey(privateKey), 'spki'),
    public_jwk,
  }
}

function pem(key: KeyObject, type: 'pkcs8' | 'spki'): string {
  return key.export({ format: 'pem', type }).toString()
}

function keysOf(keys: readonly SigningKey[]): SigningKeys {
  const [first] = keys
  if (first === undefined) throw new Error('a database that has just been given a signing key has none')
  const byId = new Map(keys.map((key) => [key.kid, key]))
  return { current: () => first, find: (kid) => byId.get(kid), all: () => keys }
}
