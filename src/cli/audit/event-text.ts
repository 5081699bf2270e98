import type { AuditEvent } from '../../audit/event.ts'
import { type Paint, printable } from '../paint.ts'

/** One event as one line for people. */
export function eventText(event: AuditEvent, paint: Paint): string {
  const { at, type, subject, action, resource, reason, rules, actor } = event
  const by = actor !== null && named(actor) !== (subject === null ? '' : named(subject)) ? `by ${named(actor)}` : ''
  const parts = [
    paint('dim', printable(at.replace('T', ' ').replace('Z', ''))),
    outcome(event, paint),
    type === 'decision' ? '' : paint('yellow', printable(type)),
    subject === null ? '' : paint('bold', printable(named(subject))),
    action === null ? '' : printable(action.name),
    resource === null ? '' : printable(named(resource)),
    reason === null ? '' : paint('dim', printable(reason)),
    rules.length === 0 ? '' : paint('dim', `[${printable(rules.join(' '))}]`),
    paint('dim', printable(by)),
  ]
  return `${parts.filter((part) => part !== '').join('  ')}\n`
}

function outcome({ decision }: AuditEvent, paint: Paint): string {
  if (decision === null) return paint('yellow', 'note ')
  return decision ? paint('green', 'allow') : paint('red', 'deny ')
}

function named({ type, id }: { readonly type: string; readonly id: string }): string {
  return `${type}:${id}`
}
