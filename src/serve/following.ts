import type { AuditTrail } from '../audit/trail.ts'
import type { Config } from '../config.ts'
import { RevokedTokens } from '../snapshot/revoked-tokens.ts'
import { Snapshots } from '../snapshot/snapshots.ts'
import type { OpenDatabase } from '../store/database.ts'
import { Hints } from '../store/hints.ts'
import { revocationSource } from '../store/sessions.ts'
import { snapshotSource } from '../store/snapshot.ts'
import type { Opening } from './database.ts'
import { mismatchEvent } from './security.ts'

/** What is known in memory, and kept up to date. */
export interface Followed {
  readonly snapshots: Snapshots
  readonly revoked: RevokedTokens
  readonly hints: Hints
}

export async function follow(
  opening: Opening,
  config: Config,
  facts: OpenDatabase,
  trail: AuditTrail,
): Promise<Followed> {
  const snapshots = openSnapshots(opening, config, facts, trail)
  trail.isAwaited = () => snapshots.hasCommitting
  const revoked = await openRevoked(opening, config, facts)
  return { snapshots, revoked, hints: listenForHints(opening, config, snapshots, revoked) }
}

/** Tenants' policies and entities. A database that contradicts what is known leaves a record. */
function openSnapshots(
  { logger, opened, clock }: Opening,
  { entityCache, maxStalenessMs }: Config,
  { db }: OpenDatabase,
  trail: Pick<AuditTrail, 'record'>,
): Snapshots {
  const snapshots = new Snapshots({
    source: snapshotSource(db),
    entities: entityCache,
    maxStaleness: maxStalenessMs,
    onError: (error) => logger.warn({ err: error }, 'the policy in memory could not be brought up to date'),
    onFault: (fault) => logger.warn(fault, 'a stored document is quarantined: it is not what it should be'),
    onMismatch: (mismatch) => {
      logger.error(mismatch, 'the database has another history than memory; the tenant is loaded anew')
      trail.record(mismatchEvent(mismatch, clock())).catch((error) => logger.error({ err: error }, 'not recorded'))
    },
  })
  snapshots.start()
  opened.add('snapshots', () => snapshots.stop())
  return snapshots
}

/** Which sessions were ended, known from the start on. */
async function openRevoked(
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
function listenForHints(
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
