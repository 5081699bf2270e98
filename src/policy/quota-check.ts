import type { Problem } from '../failure.ts'
import { checkRule } from './parse.ts'
import { asRule, LARGEST_LIMIT, LONGEST_WINDOW_S, type Quota, SHORTEST_WINDOW_S } from './quota.ts'

/** What is wrong with a quota beyond its shape; its numbers too, which at the door are any. */
export function checkQuota(quota: Quota): Problem[] {
  const { limit, requested, window_seconds, cost } = quota
  return [
    ...checkRule(asRule(quota)),
    ...checkNumber('/limit', limit, 1, LARGEST_LIMIT),
    ...(window_seconds === undefined
      ? []
      : checkNumber('/window_seconds', window_seconds, SHORTEST_WINDOW_S, LONGEST_WINDOW_S)),
    ...checkKind(requested, window_seconds, cost),
  ]
}

function checkNumber(pointer: string, value: number, from: number, to: number): Problem[] {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return []
  return [{ pointer, detail: `must be a whole number from ${from} to ${to}` }]
}

function checkKind(requested: unknown, window: unknown, cost: unknown): Problem[] {
  if (requested === undefined && window === undefined) {
    return [{ pointer: '', detail: 'needs `requested` (a static limit) or `window_seconds` (a counter)' }]
  }
  const counting =
    window === undefined ? [] : [{ pointer: '/window_seconds', detail: 'does not stand beside requested' }]
  if (requested !== undefined && counting.length > 0) return counting
  if (cost === undefined || window !== undefined) return []
  return [{ pointer: '/cost', detail: 'is for a counter: a static limit takes nothing' }]
}
