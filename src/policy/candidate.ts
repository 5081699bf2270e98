import type { CompiledRule, Place } from './compiled-rule.ts'
import type { Key } from './key.ts'
import type { KeySet } from './key-set.ts'
import { matches } from './pattern.ts'

/** Rules of one type of resource and one pattern of actions. */
export interface Site {
  /** The last decision that both matched. */
  askedAt: number
  readonly hash: number
}

/** What a request looks like to the index. */
export interface Wanted {
  readonly type: string
  readonly id: string
  readonly action: string
  /** The number of the decision. */
  readonly at: number
  /** Keys that hold for the subject, whatever it is asked about. */
  readonly subject: KeySet
  /** Keys of the subject in this request alone: roles that are scoped or derived; those in error too. */
  readonly besides: readonly Key[]
  /** Keys that hold for the resource. */
  readonly resource: KeySet
  isHeld(key: Key): boolean
  /** It could not be told whether it holds. */
  isUnsure(key: Key): boolean
}

/**
 * A rule was found whose action and resource match, and whose subject does if `key` holds: pushes it, once, with
 * `seenAt` and `subjectErred` set.
 */
export function found(rule: CompiledRule, key: Key, wanted: Wanted, into: CompiledRule[]): void {
  const isHeld = wanted.isHeld(key)
  if (!isHeld && !wanted.isUnsure(key)) return
  if (rule.seenAt === wanted.at) {
    if (isHeld && !rule.coarse) rule.subjectErred = false
    return
  }
  rule.seenAt = wanted.at
  if (!rule.coarse) rule.subjectErred = !isHeld
  else if (!matchesWhole(rule, wanted)) return
  into.push(rule)
}

/** Compares a rule that is filed under more than it means. */
function matchesWhole(rule: CompiledRule, wanted: Wanted): boolean {
  rule.subjectErred = !rule.subjects.some((key) => wanted.isHeld(key))
  return (
    (!rule.subjectErred || rule.subjects.some((key) => wanted.isUnsure(key))) &&
    rule.resources.some((place) => isAt(place, wanted)) &&
    rule.actions.some((pattern) => matches(pattern, wanted.action))
  )
}

/** Whether the resource that is asked about is in this place. */
export function isAt({ type, id, within }: Place, wanted: Pick<Wanted, 'type' | 'id' | 'isHeld'>): boolean {
  if (type !== '*' && type !== wanted.type) return false
  if (within !== undefined && !wanted.isHeld(within)) return false
  return id === undefined || matches(id, wanted.id)
}
