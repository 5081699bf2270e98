import { memberOf } from '../policy/reading.ts'
import type { LoggedChange } from './source.ts'

// Characters of a condition that compile within what any rule takes; and what so many more, and a schema, take beside it.
const LIGHT = 200
const CHARACTERS = 100
const SCHEMA = 20

/** How long a change takes to be made, in changes of rules as they mostly are. What stands in it may be anything. */
export function weightOf(change: LoggedChange): number {
  if (change.kind === 'rule' || change.kind === 'capability') return 1 + ofCondition(change.after)
  if (change.kind === 'type') return memberOf(change.after, 'schema') === undefined ? 1 : SCHEMA
  return change.kind === 'role' ? ofRole(change.after) : 1
}

function ofRole(after: unknown): number {
  const permissions = memberOf(after, 'permissions')
  const of = Array.isArray(permissions) ? permissions : []
  return of.reduce(
    (sum: number, permission) => sum + 1 + ofCondition(permission),
    1 + ofCondition(memberOf(after, 'derived')),
  )
}

function ofCondition(document: unknown): number {
  const condition = memberOf(document, 'condition')
  return typeof condition === 'string' ? Math.max(0, condition.length - LIGHT) / CHARACTERS : 0
}
