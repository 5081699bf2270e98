import { type AuditEvent, NO_CALL } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { Mismatch } from '../snapshot/snapshots.ts'

/** The record of a database that has another history than memory: restored, failed over, or meddled with. */
export function mismatchEvent({ tenant, how, held, found }: Mismatch, now: number): AuditEvent {
  return {
    ...eventId(now),
    tenant,
    type: 'security',
    actor: null,
    subject: null,
    action: { name: 'pdp:follow' },
    resource: { type: 'pdp:tenant', id: tenant },
    context: { how, held, found: found ?? null },
    decision: null,
    reason: 'history_mismatch',
    rules: [],
    obligations: [],
    revision: held.revision,
    ...NO_CALL,
  }
}
