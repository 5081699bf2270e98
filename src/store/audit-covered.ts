import { type Kysely, sql } from 'kysely'
import { openCheckpoint } from '../audit/checkpoint.ts'
import { signNote } from '../audit/note.ts'
import type { Checkpoints } from '../audit/prune.ts'
import { pruneText } from '../audit/verify/pruned.ts'
import { listAuditKeys, openAuditKey } from './audit-keys.ts'
import type { Database } from './schema.ts'

/** What is under a signed checkpoint, and who signs what is said of pruning. */
export async function signedCheckpoints(db: Kysely<Database>, masterKey: Buffer): Promise<Checkpoints> {
  const signer = await openAuditKey(db, masterKey)
  const keys = await listAuditKeys(db)
  return {
    async covered(writers) {
      const { rows } = await sql<{ note: string }>`
        select note from unnest(${writers}::uuid[]) as wanted (writer), lateral (
          select note from audit_checkpoints c where c.writer = wanted.writer order by size desc, final desc limit 1
        ) last`.execute(db)
      const opened = rows.map(({ note }) => openCheckpoint(note, keys))
      return new Map(opened.flatMap((one) => ('fault' in one ? [] : [[one.writer, one.size] as const])))
    },
    async signPruned(_statement, text) {
      return signer === undefined ? null : signNote(pruneText(signer.key.name, text), signer)
    },
  }
}
