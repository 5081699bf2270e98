import { CheckpointCopies, copiesFile } from '../audit/seal/copies.ts'
import { type Sealing, startSealing } from '../audit/seal/sealing.ts'
import type { Log } from '../audit/shipper.ts'
import { listAuditKeys, openAuditSigner } from '../store/audit-keys.ts'
import { auditStore } from '../store/audit-log.ts'
import { sealStore } from '../store/audit-tree.ts'
import type { TenantDatabase } from '../store/database.ts'
import { repeat } from './rounds.ts'

export interface SealingParts {
  readonly db: TenantDatabase
  readonly masterKey: Buffer
  readonly dataDir: string
  readonly log: Log
  /** How often it is asked which key signs. */
  readonly keysMs?: number
}

/** The way into the database for whoever ships records: nothing goes there that is not sealed. */
export async function openSealing({ db, masterKey, dataDir, log, keysMs = KEYS_MS }: SealingParts): Promise<Sealing> {
  const load = async () => ({ signer: await openAuditSigner(db, masterKey), keys: await listAuditKeys(db) })
  let present = await load()
  const read = async () => {
    present = await load()
  }
  const stopReading = repeat(keysMs, read, (error) => {
    log.warn({ err: error }, 'it could not be asked which key signs checkpoints')
  })
  const sealing = startSealing({
    store: auditStore(db),
    seals: sealStore(db),
    signer: () => present.signer,
    keys: () => present.keys,
    copies: await CheckpointCopies.open(copiesFile(dataDir), present.keys),
    log,
    clock: () => Date.now(),
  })
  return {
    ...sealing,
    async stop() {
      stopReading()
      await sealing.stop()
    },
  }
}

/** A key that was rotated signs within that time. */
const KEYS_MS = 10_000
