import { formatKey } from '../audit/note.ts'
import { type AuditConfig, readAuditConfig, readMasterKeys } from '../config.ts'
import { rotateAuditKey } from '../store/audit-keys.ts'
import type { TenantDatabase } from '../store/database.ts'
import { type MasterKeys, openDeploymentKey, resealDeploymentKey } from '../store/deployment-key.ts'
import { listSigningKeys, revokeSigningKey, rotateSigningKeys } from '../store/signing-keys.ts'
import { withDatabase } from './audit/database.ts'
import { EXIT, type Io } from './io.ts'
import { generatedMasterKey } from './master-key.ts'

export interface RotateOptions {
  /** The key that is to be worth nothing from now on. */
  readonly emergency?: string
}

/** Makes a new signing key; see the command's help. */
export async function rotateKeys({ emergency }: RotateOptions, io: Io): Promise<number> {
  const config = readAuditConfig(io.env)
  const keys = await masterKeysFor(config, io)
  const said = await withDatabase(config, async (db) => {
    const key = await openDeploymentKey(db, keys)
    return emergency === undefined ? rotated(db, key) : revoked(db, key, emergency)
  })
  io.stdout.write(said)
  return EXIT.ok
}

async function rotated(db: TenantDatabase, key: Buffer): Promise<string> {
  const kid = await rotateSigningKeys(db, key)
  return `${kid} signs in half a minute, once it is known everywhere. What the others have signed stays valid.\n`
}

async function revoked(db: TenantDatabase, key: Buffer, kid: string): Promise<string> {
  const next = await revokeSigningKey(db, key, kid)
  const said = `${kid} is revoked: what it has signed is refused within seconds, by every process.\n`
  return next === null ? said : `${said}${next} signs from now on.\n`
}

/** Makes a new key that signs the audit's checkpoints; see the command's help. */
export async function rotateCheckpointKey(io: Io): Promise<number> {
  const config = readAuditConfig(io.env)
  const keys = await masterKeysFor(config, io)
  const key = await withDatabase(config, async (db) => rotateAuditKey(db, await openDeploymentKey(db, keys)))
  io.stdout.write(`${formatKey(key)}\n`)
  io.stderr.write('It signs within seconds, in every process. The keys before it verify what they have signed.\n')
  return EXIT.ok
}

/** Lists the signing keys, newest first. */
export async function listKeys(io: Io): Promise<number> {
  const keys = await withDatabase(readAuditConfig(io.env), listSigningKeys)
  for (const { kid, created_at, retired_at, revoked_at } of keys) {
    const ended = revoked_at !== null ? `revoked ${revoked_at.toISOString()}` : retired_at?.toISOString()
    const state = ended === undefined ? 'signs' : ended.startsWith('revoked') ? ended : `retired ${ended}`
    io.stdout.write(`${kid}  made ${created_at.toISOString()}  ${state}\n`)
  }
  return EXIT.ok
}

/** Seals under VERDICT_MASTER_KEY what VERDICT_MASTER_KEY_PREVIOUS has sealed. */
export async function reseal(io: Io): Promise<number> {
  const config = readAuditConfig(io.env)
  const keys = await masterKeysFor(config, io)
  const outcome = await withDatabase(config, (db) => resealDeploymentKey(db, keys))
  io.stdout.write(
    outcome === 'resealed'
      ? 'Everything is sealed under VERDICT_MASTER_KEY now: VERDICT_MASTER_KEY_PREVIOUS can go.\n'
      : `There was nothing to do: it is ${outcome}.\n`,
  )
  return EXIT.ok
}

/** With the embedded database the first start has put a master key into the data directory, where none was given. */
async function masterKeysFor({ databaseUrl, dataDir }: AuditConfig, { env }: Io): Promise<MasterKeys> {
  const isGiven = env['VERDICT_MASTER_KEY'] !== undefined || env['VERDICT_MASTER_KEY_FILE'] !== undefined
  const made = databaseUrl !== undefined || isGiven ? undefined : await generatedMasterKey(dataDir)
  return made === undefined ? readMasterKeys(env) : { current: made, previous: undefined }
}
