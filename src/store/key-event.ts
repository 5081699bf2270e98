import type { Transaction } from 'kysely'
import { type AuditEvent, NO_CALL } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import { owe } from './outbox.ts'
import type { Database } from './schema.ts'

/** The tenant that what is done to the deployment's keys is recorded in. */
export const KEYS_TENANT = 'system'

const WHO = { type: 'pdp:process', id: 'verdict keys' } as const

/** Puts into the trail what was done to the deployment's keys, in the transaction that does it. */
export async function oweKeyEvent(
  trx: Transaction<Database>,
  action: 'pdp:rotate_key' | 'pdp:revoke_key' | 'pdp:reseal',
  context: AuditEvent['context'],
): Promise<void> {
  await owe(trx, null, {
    ...eventId(Date.now()),
    tenant: KEYS_TENANT,
    type: 'security',
    actor: WHO,
    subject: WHO,
    action: { name: action },
    resource: null,
    context,
    decision: null,
    reason: null,
    rules: [],
    obligations: [],
    revision: null,
    ...NO_CALL,
  })
}
