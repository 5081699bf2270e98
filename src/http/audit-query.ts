import type { AuditQuery } from '../contract/audit-reading.ts'
import type { AuditFilter } from '../store/audit-filter.ts'

/** The filter that a query holds among other members. */
export function filterOf(query: AuditQuery): AuditFilter {
  const { from, to, type, decision, reason, actor, action, rule, ip, request_id, trace_id } = query
  const { subject_type, subject_id, resource_type, resource_id } = query
  return {
    from,
    to,
    type,
    decision: decision === undefined ? undefined : decision === 'true',
    reason,
    actor,
    subject_type,
    subject_id,
    action,
    resource_type,
    resource_id,
    rule,
    ip,
    request_id,
    trace_id,
  }
}
