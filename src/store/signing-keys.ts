import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { type Kysely, sql, type Transaction } from 'kysely'
import { newEd25519 } from '../authn/ed25519.ts'
import { seal, unseal } from '../authn/seal.ts'
import type { SigningKey, SigningKeys } from '../authn/signing-key.ts'
import { Failure } from '../failure.ts'
import type { TenantDatabase } from './database.ts'
import { KEYS_TENANT, oweKeyEvent } from './key-event.ts'
import type { Database } from './schema.ts'

const LOCK_ID = 7_310_868_735_423_408

/** How long a new key is only published: until every replica, and whoever verifies by the JWKS, has had time to read it. */
const PUBLISHED_S = 30
/** Retired keys are left out once no token of theirs can be valid. */
const KEPT = '1 day'

/** The deployment's signing keys as they are in the database, and as they change there. */
export interface FollowedSigningKeys extends SigningKeys {
  /** Reads which keys there are now. A key that was revoked verifies nothing from then on. */
  poll(): Promise<void>
}

/** The first key is made here, by one replica of those that start at once. */
export async function openSigningKeys(db: Kysely<Database>, masterKey: Buffer): Promise<FollowedSigningKeys> {
  const known = await loadSigningKeys(db, masterKey)
  let keys = known.length > 0 ? known : await db.transaction().execute((trx) => makeFirst(trx, masterKey))
  let byId = idsOf(keys)
  return {
    current: () => signing(keys),
    find: (kid) => byId.get(kid),
    all: () => keys,
    async poll() {
      const now = await loadSigningKeys(db, masterKey, byId)
      if (now.length === 0) return
      keys = now
      byId = idsOf(keys)
    },
  }
}

/** A key, and whether it is one to sign with yet. */
interface KnownKey extends SigningKey {
  readonly isPublished: boolean
  readonly isRetired: boolean
}

interface KeyRow {
  readonly kid: string
  readonly public_jwk: Record<string, unknown>
  readonly sealed: Buffer
  readonly is_published: boolean
  readonly is_retired: boolean
}

/** Newest first. Private keys that were opened before are not opened again. */
export async function loadSigningKeys(
  db: Kysely<Database>,
  masterKey: Buffer,
  known: ReadonlyMap<string, SigningKey> = new Map(),
): Promise<KnownKey[]> {
  const { rows } = await sql<KeyRow>`
    select kid, public_jwk, sealed, retired_at is not null as is_retired,
           created_at <= now() - make_interval(secs => ${PUBLISHED_S}) as is_published
    from signing_keys
    where revoked_at is null and (retired_at is null or retired_at > now() - ${KEPT}::interval)
    order by retired_at is null desc, created_at desc, kid`.execute(db)
  return rows.map(({ kid, public_jwk, sealed, is_published: isPublished, is_retired: isRetired }) => ({
    ...(known.get(kid) ?? opened(kid, public_jwk, unseal(masterKey, labelOf(kid), sealed))),
    isPublished,
    isRetired,
  }))
}

/** The newest that everybody has had time to read; until then the one before it goes on. */
function signing(keys: readonly KnownKey[]): SigningKey {
  const published = keys.filter(({ isPublished }) => isPublished)
  const key = published.find(({ isRetired }) => !isRetired) ?? published[0] ?? keys.at(-1)
  if (key === undefined) throw new Error('a database that has just been given a signing key has none')
  return key
}

const idsOf = (keys: readonly KnownKey[]) => new Map(keys.map((key) => [key.kid, key]))

/** Makes a key that signs once it is known, and retires those that are there. @returns its id. */
export async function rotateSigningKeys(db: TenantDatabase, masterKey: Buffer): Promise<string> {
  return db
    .of(KEYS_TENANT)
    .transaction()
    .execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
      await sql`update signing_keys set retired_at = now() where retired_at is null`.execute(trx)
      const kid = await insertSigningKey(trx, masterKey)
      await oweKeyEvent(trx, 'pdp:rotate_key', { kid })
      return kid
    })
}

/**
 * Makes a key worthless, and every token that it has signed; where it was the last to sign, another is made.
 * @returns the new key's id, or null. @throws Failure `not_found`.
 */
export async function revokeSigningKey(db: TenantDatabase, masterKey: Buffer, kid: string): Promise<string | null> {
  return db
    .of(KEYS_TENANT)
    .transaction()
    .execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
      const { numAffectedRows } = await sql`
      update signing_keys set revoked_at = now(), retired_at = coalesce(retired_at, now())
      where kid = ${kid} and revoked_at is null`.execute(trx)
      if (numAffectedRows !== 1n) throw new Failure('not_found', `there is no signing key ${kid} to revoke`)
      const { rows } = await sql`select from signing_keys where revoked_at is null and retired_at is null`.execute(trx)
      const next = rows.length > 0 ? null : await insertSigningKey(trx, masterKey)
      await oweKeyEvent(trx, 'pdp:revoke_key', { kid, next })
      return next
    })
}

export interface ListedSigningKey {
  readonly kid: string
  readonly created_at: Date
  readonly retired_at: Date | null
  readonly revoked_at: Date | null
}

/** All there ever were, newest first. */
export function listSigningKeys(db: Kysely<Database>): Promise<ListedSigningKey[]> {
  return db
    .selectFrom('signing_keys')
    .select(['kid', 'created_at', 'retired_at', 'revoked_at'])
    .orderBy('created_at', 'desc')
    .execute()
}

/** Makes a key, that signs once it is known. @returns its id. */
export async function insertSigningKey(trx: Transaction<Database>, masterKey: Buffer): Promise<string> {
  const { d, ...jwk } = newEd25519()
  const kid = await calculateJwkThumbprint(jwk)
  const public_jwk = JSON.stringify({ ...jwk, kid, use: 'sig', alg: 'EdDSA' })
  const sealed = seal(masterKey, labelOf(kid), Buffer.from(JSON.stringify({ ...jwk, d })))
  await trx
    .insertInto('signing_keys')
    .values({ kid, algorithm: 'EdDSA', public_jwk, sealed, retired_at: null })
    .execute()
  return kid
}

async function makeFirst(trx: Transaction<Database>, masterKey: Buffer): Promise<KnownKey[]> {
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
