import { v7 as uuidv7 } from 'uuid'
import type { AuditEvent } from '../audit/event.ts'
import type { PolicyChange } from '../policy/change.ts'
import type { Stamp } from '../store/documents.ts'
import { isActing } from './authority.ts'
import type { Write } from './write.ts'

// A bulk write may touch any number of things; its record names the first, the change log has them all.
const NAMED_CHANGES = 20

/** The record of a change: one, and a second one in the operator's own tenant where an operator acts in another. */
export function recordsOf(write: Write, id: string, changes: readonly PolicyChange[], stamp: Stamp): AuditEvent[] {
  const record = recordIn(write.tenant, write, id, changes, stamp)
  if (!isActing(write)) return [record]
  return [record, recordIn(write.caller.tenant, write, id, changes, stamp)]
}

function recordIn(
  tenant: string,
  { caller, permission, rules, reason, origin, tenant: written }: Write,
  id: string,
  changes: readonly PolicyChange[],
  { revision, at }: Stamp,
): AuditEvent {
  const { type, id: callerId } = caller.subject
  return {
    id: uuidv7({ msecs: at.getTime() }),
    at: at.toISOString(),
    tenant,
    type: 'administration',
    actor: {
      type,
      id: callerId,
      ...(caller.key_id === null ? {} : { key_id: caller.key_id }),
      ...(caller.issuer ? { issuer: caller.issuer.name } : {}),
      ...(caller.tenant === written ? {} : { tenant: caller.tenant }),
    },
    subject: { type, id: callerId },
    action: { name: permission.action },
    resource: { type: permission.type, id },
    context: {
      reason,
      changes: changes.slice(0, NAMED_CHANGES).map(({ kind, key, operation }) => ({ kind, key, operation })),
      changes_total: changes.length,
      // In the operator's own trail: the tenant that was written, whose revision this is.
      ...(tenant === written ? {} : { tenant: written }),
    },
    decision: true,
    reason: 'allowed_by_rule',
    rules: rules ?? [],
    obligations: [],
    revision,
    ...origin,
    duration_us: null,
  }
}
