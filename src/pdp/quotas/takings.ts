import type { Decision } from '../../policy/model.ts'
import type { QuotaUse } from '../../policy/quota-use.ts'
import type { Counter } from './counter.ts'

/** Units that a decision wants of a counter. */
export interface Wanted {
  readonly counter: Counter
  readonly units: number
}

/** Units that it took, and of which window. */
export interface Taken extends Wanted {
  readonly start: number
}

/** A quota as a record has it: with what tells the row that units were taken of. */
export type RecordedUse = QuotaUse & { readonly counter?: string; readonly window_seconds?: number }

/** All of them in one turn, or none: undefined where some counter has not enough in hand. */
export function takeAll(wanted: readonly Wanted[], now: number): Taken[] | undefined {
  for (const { counter, units } of wanted) if (counter.block < units) return undefined
  return wanted.map(({ counter, units }) => {
    counter.take(units, now)
    return { counter, units, start: counter.start }
  })
}

/** The decision with what counters have left after it. */
export function drawn(decision: Decision, wanted: readonly Wanted[]): Decision {
  const { reason, rules, obligations, quotas } = decision
  return { decision: true, reason, rules, obligations, quotas: usesOf(quotas ?? [], wanted, () => false) }
}

/** The deny that it is where some counter has not enough. */
export function refusedBy(decision: Decision, wanted: readonly Wanted[], isShort: (one: Wanted) => boolean): Decision {
  const { rules, taking, quotas = [] } = decision
  const uses = usesOf(quotas, wanted, isShort)
  return { decision: false, reason: 'quota_exceeded', rules, obligations: taking?.refused ?? [], quotas: uses }
}

// Members are written out: each decision that draws makes these, and a spread object takes longer than all the rest.

function usesOf(
  uses: readonly QuotaUse[],
  wanted: readonly Wanted[],
  isShort: (one: Wanted) => boolean,
): readonly QuotaUse[] {
  return uses.map((use) => {
    const one = ofQuota(use.name, wanted)
    if (one === undefined) return use
    const { counter, units } = one
    const { name, limit } = use
    const { remaining, reset_at } = counter
    if (isShort(one)) return { name, limit, remaining, reset_at, units, exceeded: true }
    return { name, limit, remaining, reset_at, units }
  })
}

function ofQuota<T extends Wanted>(name: string, wanted: readonly T[]): T | undefined {
  for (const one of wanted) if (one.counter.quota.name === name) return one
  return undefined
}

/** What the record of a decision says of its quotas. */
export function recordedUses(uses: readonly QuotaUse[], taken: readonly Taken[]): readonly RecordedUse[] {
  return uses.map((use) => {
    const one = ofQuota(use.name, taken)
    if (one === undefined) return use
    const { name, limit, remaining, reset_at } = use
    const { id: counter, seconds: window_seconds } = one.counter
    return { name, limit, remaining, reset_at, units: one.units, counter, window_seconds }
  })
}
