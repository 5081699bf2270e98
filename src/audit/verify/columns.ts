import type { AuditEvent } from '../event.ts'
import type { StoredRecord } from './evidence.ts'

export type RecordedEvent = AuditEvent & { readonly tenant_seq: number }

type Column = Exclude<keyof StoredRecord, 'writer' | 'seq' | 'record' | 'rules' | 'at' | 'is_found'>

/** What each column that is searched must say. */
const SAID = {
  tenant_id: (event) => event.tenant,
  id: (event) => event.id,
  type: (event) => event.type,
  actor_type: (event) => event.actor?.type,
  actor_id: (event) => event.actor?.id,
  subject_type: (event) => event.subject?.type,
  subject_id: (event) => event.subject?.id,
  action: (event) => event.action?.name,
  resource_type: (event) => event.resource?.type,
  resource_id: (event) => event.resource?.id,
  decision: (event) => event.decision,
  reason: (event) => event.reason,
  ip: (event) => event.ip,
  request_id: (event) => event.request_id,
  trace_id: (event) => event.trace_id,
} satisfies Record<Column, (event: RecordedEvent) => string | boolean | null | undefined>

const COLUMNS = Object.entries(SAID) as [Column, (event: RecordedEvent) => string | boolean | null | undefined][]

/** The first column that says something else than the record; undefined: none does. */
export function differingColumn(row: StoredRecord, event: RecordedEvent): string | undefined {
  for (const [column, said] of COLUMNS) if (row[column] !== (said(event) ?? null)) return column
  // The database makes them, unless its owner has told it otherwise.
  if (!row.is_found) return 'subject_hash or resource_hash'
  // `infinity` is no Date.
  if (new Date(row.at).getTime() !== Date.parse(event.at)) return 'at'
  return areSame(row.rules ?? [], event.rules) ? undefined : 'rules'
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one, index) => one === others[index])
}

/** The event that the bytes hold; undefined where they hold none. */
export function recordedEvent(record: Buffer): RecordedEvent | undefined {
  try {
    const event: unknown = JSON.parse(record.toString('utf8'))
    return isRecordedEvent(event) ? event : undefined
  } catch {
    return undefined
  }
}

// The bytes are those that a process of ours wrote, or the leaf hash has said otherwise before.
function isRecordedEvent(event: unknown): event is RecordedEvent {
  if (typeof event !== 'object' || event === null) return false
  return (
    'tenant_seq' in event && Number.isSafeInteger(event.tenant_seq) && 'rules' in event && Array.isArray(event.rules)
  )
}
