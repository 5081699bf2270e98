import { CheckpointCopies, copiesFile } from '../audit/seal/copies.ts'
import { type Sealing, startSealing } from '../audit/seal/sealing.ts'
import type { Log } from '../audit/shipper.ts'
import { listAuditKeys, openAuditSigner } from '../store/audit-keys.ts'
import { auditStore } from '../store/audit-log.ts'
import { sealStore } from '../store/audit-tree.ts'
import type { TenantDatabase } from '../store/database.ts'

export interface SealingParts {
  readonly db: TenantDatabase
  readonly masterKey: Buffer
  readonly dataDir: string
  readonly log: Log
}

/** The way into the database for whoever ships records: nothing goes there that is not sealed. */
export async function openSealing({ db, masterKey, dataDir, log }: SealingParts): Promise<Sealing> {
  const signer = await openAuditSigner(db, masterKey)
  const keys = await listAuditKeys(db)
  return startSealing({
    store: auditStore(db),
    seals: sealStore(db),
    signer,
    keys,
    copies: await CheckpointCopies.open(copiesFile(dataDir), keys),
    log,
    clock: () => Date.now(),
  })
}
