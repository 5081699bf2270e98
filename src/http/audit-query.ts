import type { AuditQuery } from '../contract/audit-reading.ts'
import { Failure } from '../failure.ts'
import type { AuditFilter } from '../store/audit-filter.ts'

/** The filter that a query holds among other members. Fails with `invalid_request` where its time ends before it begins. */
export function filterOf(query: AuditQuery): AuditFilter {
  const { from, to, type, decision, reason, actor, action, rule, ip, request_id, trace_id } = query
  const { subject_type, subject_id, resource_type, resource_id } = query
  if (from !== undefined && to !== undefined && Date.parse(from) > Date.parse(to)) throw noTime()
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

export function noTime(): Failure {
  const problems = ['/from', '/to'].map((pointer) => ({ pointer, detail: '`from` is later than `to`' }))
  return new Failure('invalid_request', 'there is no time between these instants', { problems })
}
