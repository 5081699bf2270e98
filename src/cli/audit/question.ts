import type { Command } from 'commander'
import { Option } from 'commander'
import type { ServerOptions } from '../client.ts'
import { beginning, instantOf } from '../instant.ts'

/** What is asked of the audit on a command line: the members of `GET /v1/audit/export`. */
export interface AuditQuestionOptions extends ServerOptions {
  readonly from?: string
  readonly to?: string
  readonly type?: string
  readonly decision?: 'allow' | 'deny'
  readonly reason?: string
  readonly actor?: string
  readonly subjectType?: string
  readonly subjectId?: string
  readonly action?: string
  readonly resourceType?: string
  readonly resourceId?: string
  readonly rule?: string
  readonly ip?: string
  readonly requestId?: string
  readonly traceId?: string
}

const TYPES = ['decision', 'authentication', 'administration', 'audit_access', 'security']

export function withQuestion(command: Command): Command {
  return command
    .addOption(new Option('--type <type>', 'only events of this type').choices(TYPES))
    .addOption(new Option('--decision <decision>', 'only what was allowed, or denied').choices(['allow', 'deny']))
    .option('--reason <reason>', 'only with this reason')
    .option('--actor <actor>', 'only calls of this actor: an id, or type:id')
    .option('--subject-type <type>', 'only about subjects of this type')
    .option('--subject-id <id>', 'only about this subject')
    .option('--action <action>', 'only about this action')
    .option('--resource-type <type>', 'only about resources of this type')
    .option('--resource-id <id>', 'only about this resource')
    .option('--rule <policy/name>', 'only what this rule decided')
    .option('--ip <address>', 'only calls from this address')
    .option('--request-id <id>', 'only of this request')
    .option('--trace-id <id>', 'only of this trace')
}

/** The filter's part of a query. */
export function queryOf(options: AuditQuestionOptions): URLSearchParams {
  const { from, to, type, decision, reason, actor, action, rule, ip } = options
  const members = {
    from: from === undefined ? undefined : instant('--from', from),
    to: to === undefined ? undefined : instant('--to', to),
    type,
    decision: decision === undefined ? undefined : String(decision === 'allow'),
    reason,
    actor,
    subject_type: options.subjectType,
    subject_id: options.subjectId,
    action,
    resource_type: options.resourceType,
    resource_id: options.resourceId,
    rule,
    ip,
    request_id: options.requestId,
    trace_id: options.traceId,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(members)) if (value !== undefined) query.set(name, value)
  return query
}

const AGO = /^(\d+)(s|m|h|d)$/
const MS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/** An instant, a date, or how long ago: `15m`. */
export function instant(option: string, text: string): string {
  const [, count, unit = ''] = AGO.exec(text) ?? []
  const length = MS.get(unit)
  if (length !== undefined) return new Date(Date.now() - Number(count) * length).toISOString()
  return new Date(instantOf(option, beginning(text), ', a date, or how long ago (15m, 2h, 1d)')).toISOString()
}
