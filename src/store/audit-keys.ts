import { createPrivateKey, type JsonWebKey, randomUUID, sign } from 'node:crypto'
import { type Kysely, sql, type Transaction } from 'kysely'
import { endorse } from '../audit/endorsement.ts'
import { type Signer, type VerifierKey, verifierKey } from '../audit/note.ts'
import { newEd25519 } from '../authn/ed25519.ts'
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

/** What the keys of this deployment have signed of each other, as notes. */
export async function listEndorsements(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ endorsement: string }>`
    select endorsement from audit_keys where endorsement is not null`.execute(db)
  return rows.map(({ endorsement }) => endorsement)
}

/** Makes a key that every process signs with within seconds, endorsed by the one that signed until now. */
export async function rotateAuditKey(db: Kysely<Database>, masterKey: Buffer): Promise<VerifierKey> {
  return db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
    const present = await newestKey(trx)
    if (present === undefined) {
      throw new Failure('not_found', 'no key has been made yet: the first start of Verdict makes it')
    }
    return insertAuditKey(trx, masterKey, present.name, signerOf(present, masterKey))
  })
}

/** The log keeps its name. */
export async function insertAuditKey(
  trx: Transaction<Database>,
  masterKey: Buffer,
  name: string,
  before?: Signer,
): Promise<VerifierKey> {
  const jwk = newEd25519()
  const key = verifierKey(name, Buffer.from(jwk.x, 'base64url'))
  const { id, public_key } = key
  const sealed = seal(masterKey, labelOf(name, id), Buffer.from(JSON.stringify(jwk)))
  const endorsement = before === undefined ? null : endorse(key, before)
  // Not that of the transaction's beginning: it may have waited for the one that made the key before.
  const created_at = sql<Date>`clock_timestamp()`
  await trx.insertInto('audit_keys').values({ name, id, public_key, sealed, endorsement, created_at }).execute()
  return key
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

const labelOf = (name: string, id: string) => ({ purpose: 'audit key', id: `${name}+${id}` })
