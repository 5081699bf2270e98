import { randomBytes } from 'node:crypto'
import { type Kysely, sql, type Transaction } from 'kysely'
import { seal, unseal } from '../authn/seal.ts'
import { Failure } from '../failure.ts'
import type { TenantDatabase } from './database.ts'
import { KEYS_TENANT, oweKeyEvent } from './key-event.ts'
import type { Database } from './schema.ts'

const LOCK_ID = 7_310_868_735_423_410
const LABEL = { purpose: 'deployment key', id: '1' }
const KEY_BYTES = 32

/** The master key, and the one before it while it is being replaced. 32 bytes each. */
export interface MasterKeys {
  readonly current: Buffer
  readonly previous: Buffer | undefined
}

/**
 * The key that seals and hashes, of 32 bytes; made by the first start. @throws Failure `unsafe_configuration` where
 * neither of the master keys opens it.
 */
export async function openDeploymentKey(db: Kysely<Database>, keys: MasterKeys): Promise<Buffer> {
  return (await findDeploymentKey(db, keys)) ?? (await db.transaction().execute((trx) => makeKey(trx, keys)))
}

/** The same for a role that may make none; undefined where no start has made it yet. */
export async function findDeploymentKey(db: Kysely<Database>, keys: MasterKeys): Promise<Buffer | undefined> {
  const sealed = await sealedKey(db)
  return sealed === undefined ? undefined : opened(sealed, keys).key
}

export type Resealed = 'resealed' | 'sealed under the current one already'

/** Seals it under the current master key: from then on the previous one opens nothing any more. */
export async function resealDeploymentKey(db: TenantDatabase, keys: MasterKeys): Promise<Resealed> {
  return db
    .of(KEYS_TENANT)
    .transaction()
    .execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
      const sealed = await sealedKey(trx)
      if (sealed === undefined)
        throw new Failure('unprocessable', 'there is nothing sealed yet: start verdict serve first')
      const { key, by } = opened(sealed, keys)
      if (by === 'current') return 'sealed under the current one already'
      const anew = seal(keys.current, LABEL, key)
      await sql`update deployment_key set sealed = ${anew}, sealed_at = now()`.execute(trx)
      await oweKeyEvent(trx, 'pdp:reseal', {})
      return 'resealed'
    })
}

async function sealedKey(db: Kysely<Database>): Promise<Buffer | undefined> {
  return (await db.selectFrom('deployment_key').select('sealed').executeTakeFirst())?.sealed
}

function opened(sealed: Buffer, { current, previous }: MasterKeys): { key: Buffer; by: 'current' | 'previous' } {
  try {
    return { key: unseal(current, LABEL, sealed), by: 'current' }
  } catch (error) {
    if (previous === undefined) throw error
    return { key: unseal(previous, LABEL, sealed), by: 'previous' }
  }
}

/** Where secrets were sealed under the master key itself, as they were before there was this one, it stays that. */
async function makeKey(trx: Transaction<Database>, keys: MasterKeys): Promise<Buffer> {
  await sql`select pg_advisory_xact_lock(${LOCK_ID})`.execute(trx)
  const made = await findDeploymentKey(trx, keys)
  if (made !== undefined) return made
  const { rows } = await sql<{ any: boolean }>`
    select exists (select from signing_keys) or exists (select from audit_keys) as any`.execute(trx)
  const key = rows[0]?.any === true ? (keys.previous ?? keys.current) : randomBytes(KEY_BYTES)
  await trx
    .insertInto('deployment_key')
    .values({ sealed: seal(keys.current, LABEL, key) })
    .execute()
  return key
}
