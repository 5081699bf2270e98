import Type, { type Static } from 'typebox'
import { type AccessRequest, Name, type Obligation, type Properties } from './model.ts'
import type { CompiledQuota } from './quota-index.ts'

/** What a decision has to do with a quota. */
export const QuotaUse = Type.Object({
  name: Name,
  limit: Type.Integer(),
  remaining: Type.Union([Type.Number(), Type.Null()], {
    description:
      'What is left after this decision, as far as this replica knows: others may have taken some since. Of a static limit, how far the request stays below it. null: this replica has not asked yet.',
  }),
  reset_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When the window ends and all is there again; null for a static limit.',
  }),
  units: Type.Optional(Type.Integer({ description: 'Of a counter: what the decision takes. Taken only by an allow.' })),
  /** Of those that a `quota_exceeded` is for. */
  exceeded: Type.Optional(Type.Literal(true)),
})
export type QuotaUse = Readonly<Static<typeof QuotaUse>>

/** Units that a decision takes from one counter: that of this entity, or (`''`) of the tenant. */
export interface Draw {
  readonly quota: CompiledQuota
  readonly type: string
  readonly id: string
  readonly units: number
}

export interface Taking {
  readonly draws: readonly Draw[]
  /** The obligations of the deny that it is instead, where a counter has not enough. */
  readonly refused: readonly Obligation[]
}

/** What a request says of an amount: undefined where it says nothing, NaN where it can't be read. */
export function requestedOf({ context }: AccessRequest, name: string): number | undefined {
  const requested = own(context, 'requested')
  if (requested === undefined) return undefined
  if (typeof requested !== 'object' || requested === null || Array.isArray(requested)) return Number.NaN
  const amount = own({ ...requested }, name)
  if (amount === undefined) return undefined
  return typeof amount === 'number' && amount >= 0 ? amount : Number.NaN
}

function own(members: Properties | undefined, name: string): unknown {
  return members !== undefined && Object.hasOwn(members, name) ? members[name] : undefined
}

/** How a static limit stands to a request: what cannot be read is not within it. */
export function staticUse({ name, limit, requested, broken }: CompiledQuota, request: AccessRequest): QuotaUse {
  const amount = requested === undefined ? undefined : requestedOf(request, requested)
  const isWithin = !broken && (amount === undefined || amount <= limit)
  const remaining = broken ? 0 : Math.max(0, limit - (Number.isNaN(amount) ? limit : (amount ?? 0)))
  if (isWithin) return { name, limit, remaining, reset_at: null }
  return { name, limit, remaining, reset_at: null, exceeded: true }
}

/** What a decision takes from a counter; NaN: it can't be read. */
export function unitsOf({ cost }: CompiledQuota, request: AccessRequest): number {
  const units = cost === undefined ? 1 : (requestedOf(request, cost) ?? 1)
  return Number.isSafeInteger(units) ? units : Number.NaN
}

/** How a counter stands before anybody has looked. */
export function uncounted({ name, limit }: CompiledQuota, units: number): QuotaUse {
  if (Number.isNaN(units)) return { name, limit, remaining: null, reset_at: null, exceeded: true }
  return { name, limit, remaining: null, reset_at: null, units }
}
