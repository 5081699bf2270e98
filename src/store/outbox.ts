import { sql, type Transaction } from 'kysely'
import { type AuditEvent, encodeEvent } from '../audit/event.ts'
import type { OutboxStore, OwedEvent } from '../audit/outbox.ts'
import type { TenantDatabase } from './database.ts'
import type { Database } from './schema.ts'

/**
 * Keeps the record of a change with the change, and answers with the text to announce once both are committed.
 * Without a writer, the next sweep of any process takes it.
 */
export async function owe(trx: Transaction<Database>, writer: string | null, event: AuditEvent): Promise<string> {
  const text = encodeEvent(event)
  await trx.insertInto('audit_outbox').values({ tenant_id: event.tenant, id: event.id, writer, event: text }).execute()
  return text
}

export function outboxStore(database: TenantDatabase): OutboxStore {
  const db = database.across
  return {
    async owed(writer, limit) {
      // Rows without a writer come from a process that keeps no log.
      await sql`
        update audit_outbox set writer = ${writer}
        where writer is null
           or (writer <> ${writer} and writer in (select writer from audit_writers where closed_at is not null))
      `.execute(db)
      const { rows } = await sql<OwedEvent>`
        select tenant_id, id, event from audit_outbox where writer = ${writer} order by created_at, id limit ${limit}
      `.execute(db)
      return rows
    },
  }
}
