import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID, sign } from 'node:crypto'
import { type Kysely, sql, type Transaction } from 'kysely'
import { type Signer, type VerifierKey, verifierKey } from '../audit/note.ts'
import { seal, unseal } from '../authn/seal.ts'
import { Failure } from '../failure.ts'
import type { Database } from './schema.ts'

const LOCK_ID = 7_310_868_735_423_409

interface KeyRow {
  readonly name: string
  readonly id: string
  readonly public_key: Buffer
  readonly sealed: Buffer
}

/** Who signs this deployment's checkpoints; the key is made here, by one replica of those that start at once. */
export async function openAuditSigner(db: Kysely<Database>, masterKey: Buffer): Promise<Signer> {
  const known = await newestKey(db)
  return signerOf(known ?? (await db.transaction().execute((trx) => makeFirst(trx, masterKey))), masterKey)
}

/** Who signs; undefined where no key was made yet. For a role that may not make one. */
export async function openAuditKey(db: Kysely<Database>, masterKey: Buffer): Promise<Signer | undefined> {
  const known = await newestKey(db)
  return known === undefined ? undefined : signerOf(known, masterKey)
}

/** The public keys of this deployment's checkpoints, newest first. */
export async function listAuditKeys(db: Kysely<Database>): Promise<VerifierKey[]> {
  const { rows } = await sql<{ name: string; public_key: Buffer }>`
    select name, public_key from audit_keys order by created_at desc, id`.execute(db)
  return rows.map(({ name, public_key }) => verifierKey(name, public_key))
}

/** Makes a key that signs from the next start of each process on. The log keeps its name. */
export async function insertAuditKey(trx: Transaction<Database>, masterKey: Buffer, name: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { id, public_key } = verifierKey(name, rawPublic(publicKey))
  const jwk = Buffer.from(JSON.stringify(privateKey.export({ format: 'jwk' })))
  const sealed = seal(masterKey, labelOf(name, id), jwk)
  await trx.insertInto('audit_keys').values({ name, id, public_key, sealed }).execute()
}

async function newestKey(db: Kysely<Database>): Promise<KeyRow | undefined> {
  const { rows } = await sql<KeyRow>`
    select name, id, public_key, sealed from audit_keys order by created_at desc, id limit 1`.execute(db)
  return rows[0]
}

async function makeFirst(trx: Transaction<Database>, masterKey: Buffer): Promise<KeyRow> {
  await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
  const made = await newestKey(trx)
  if (made !== undefined) return made
  await insertAuditKey(trx, masterKey, `verdict.audit/${randomUUID()}`)
  const key = await newestKey(trx)
  if (key === undefined) throw new Failure('internal', 'a key that has just been made is not there')
  return key
}

/** @throws Failure `unsafe_configuration`: another master key, or a public key that is not the private one's. */
function signerOf(row: KeyRow, masterKey: Buffer): Signer {
  const jwk = JSON.parse(unseal(masterKey, labelOf(row.name, row.id), row.sealed).toString()) as JsonWebKey
  const key = verifierKey(row.name, Buffer.from(jwk.x ?? '', 'base64url'))
  if (key.id !== row.id || !key.public_key.equals(row.public_key)) {
    throw new Failure('unsafe_configuration', `the audit key ${row.id} in the database is not the one that was sealed`)
  }
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
  return { key, sign: (message) => sign(null, message, privateKey) }
}

function rawPublic(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')
}

const labelOf = (name: string, id: string) => ({ purpose: 'audit key', id: `${name}+${id}` })
