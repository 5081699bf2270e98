import type { AuditItem } from '../store/audit.ts'

/** A cell's value; null is an empty cell. Objects and lists are written as JSON. */
type Column = readonly [name: string, value: (item: AuditItem) => unknown]

const COLUMNS: readonly Column[] = [
  ['id', ({ id }) => id],
  ['at', ({ at }) => at],
  ['tenant', ({ tenant }) => tenant],
  ['type', ({ type }) => type],
  ['actor_type', ({ actor }) => actor?.type],
  ['actor_id', ({ actor }) => actor?.id],
  ['actor_key_id', ({ actor }) => actor?.key_id],
  ['actor_tenant', ({ actor }) => actor?.tenant],
  ['subject_type', ({ subject }) => subject?.type],
  ['subject_id', ({ subject }) => subject?.id],
  ['subject_properties', ({ subject }) => subject?.properties],
  ['action', ({ action }) => action?.name],
  ['action_properties', ({ action }) => action?.properties],
  ['resource_type', ({ resource }) => resource?.type],
  ['resource_id', ({ resource }) => resource?.id],
  ['resource_properties', ({ resource }) => resource?.properties],
  ['context', ({ context }) => context],
  ['decision', ({ decision }) => decision],
  ['reason', ({ reason }) => reason],
  ['rules', ({ rules }) => rules],
  ['obligations', ({ obligations }) => obligations],
  ['revision', ({ revision }) => revision],
  ['ip', ({ ip }) => ip],
  ['user_agent', ({ user_agent }) => user_agent],
  ['request_id', ({ request_id }) => request_id],
  ['trace_id', ({ trace_id }) => trace_id],
  ['duration_us', ({ duration_us }) => duration_us],
  ['tenant_seq', ({ tenant_seq }) => tenant_seq],
  ['writer', ({ writer }) => writer],
  ['seq', ({ seq }) => seq],
  ['hash', ({ hash }) => hash],
  ['unreadable', ({ unreadable }) => unreadable],
]

/** RFC 4180: lines end with CRLF. */
export const CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\r\n`

export function csvLine(item: AuditItem): string {
  return `${COLUMNS.map(([, value]) => cell(value(item))).join(',')}\r\n`
}

// What a spreadsheet takes for a formula, in either width. A quote before it makes it text (OWASP, "CSV injection").
const FORMULA = /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/
// Where a spreadsheet separates cells by semicolons, as in half of Europe, or by tabs, a line of ours is one quoted cell and
// then text: what stands behind a separator in it, or begins a line, begins a cell.
const FORMULA_WITHIN = /([;\t\r\n]\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g

/** Always quoted. The exact text is in NDJSON. */
export function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const safe = text.replace(FORMULA_WITHIN, "$1'").replaceAll('"', '""')
  return `"${FORMULA.test(text) ? "'" : ''}${safe}"`
}
