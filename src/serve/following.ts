import type { Config } from '../config.ts'
import { RevokedTokens } from '../snapshot/revoked-tokens.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { OpenDatabase } from '../store/database.ts'
import { Hints } from '../store/hints.ts'
import { revocationSource } from '../store/sessions.ts'
import type { Opening } from './database.ts'

/** Which sessions were ended, known from the start on. */
export async function openRevoked(
  { logger, opened }: Opening,
  { maxStalenessMs: maxStaleness }: Config,
  { db }: OpenDatabase,
): Promise<RevokedTokens> {
  const onError = (error: unknown) => logger.warn({ err: error }, 'it could not be asked which sessions were ended')
  const revoked = new RevokedTokens({ source: revocationSource(db), maxStaleness, onError })
  await revoked.start()
  opened.add('ended sessions', () => revoked.stop())
  return revoked
}

/** What is committed elsewhere is in force here as soon as it is told; without being told, with the next poll. */
export function listenForHints(
  { url, logger, opened }: Opening,
  { listenDatabaseUrl = url }: Config,
  snapshots: Snapshots,
  revoked: RevokedTokens,
): Hints {
  const failed = (error: unknown) => logger.warn({ err: error }, 'a change that was told of could not be read')
  const hints = new Hints({
    url: listenDatabaseUrl,
    listener: {
      changed: (tenant, revision) => void snapshots.hint(tenant, revision).catch(failed),
      revoked: () => void revoked.poll().catch(failed),
      listening: () => void Promise.all([snapshots.poll(), revoked.poll()]).catch(failed),
      lost: (error) => logger.warn({ err: error }, 'changes are not told of any more; the poll goes on'),
    },
  })
  hints.start()
  opened.add('hints', () => hints.stop())
  return hints
}
