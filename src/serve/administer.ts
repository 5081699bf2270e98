import { type Administration, type CredentialParts, createAdministration } from '../administration.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { AuditTrail } from '../audit/trail.ts'
import type { RevokedTokens } from '../snapshot/revoked-tokens.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { OpenDatabase } from '../store/database.ts'
import type { Logger } from '../telemetry/logger.ts'

/** What administration needs of the other parts: where a change is told, and when it is in force here. */
export function administer(
  { db }: OpenDatabase,
  trail: AuditTrail,
  snapshots: Snapshots,
  revoked: RevokedTokens,
  people: CredentialParts,
  redactor: Redactor,
  logger: Logger,
): Administration {
  return createAdministration({
    ...people,
    db,
    writer: trail.journal.writer,
    announce: async (tenant, id, event) => {
      await trail.outbox.announce(tenant, id, event)
    },
    applied: async (tenant, revision, changes) => {
      // A write may have ended sessions: of whoever was deleted, or has a new password.
      const ended = revoked.poll().then(
        () => true,
        () => false,
      )
      return (await snapshots.applied(tenant, revision, changes)) && ended
    },
    vagueRules: (tenant, revision) => snapshots.vagueRules(tenant, revision),
    faultOf: (tenant, kind, name) => snapshots.faultOf(tenant, kind, name),
    clock: () => new Date(),
    redactor,
    warn: (error) => logger.warn({ err: error }, 'the record of a change waits in the outbox'),
  })
}
