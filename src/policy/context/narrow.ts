import type { Problem } from '../../failure.ts'
import { covers } from '../narrower.ts'
import type { Capability, ContextBody, Quotas } from './model.ts'
import { MAX_PARENTS } from './model.ts'

/** How a context is narrowed; what is left out stays as it is. */
export interface Narrowing {
  readonly level?: string
  readonly capabilities?: readonly Capability[]
  readonly quotas?: Quotas
}

/** What in a narrowing is wider than the context, each with a pointer into it; `levels` are the tenant's, from the lowest. */
export function widerThan(context: ContextBody, narrowing: Narrowing, levels: readonly string[]): Problem[] {
  return [
    ...widerLevel(context, narrowing, levels),
    ...widerCapabilities(context, narrowing),
    ...widerQuotas(context, narrowing),
    ...(context.parents.length < MAX_PARENTS
      ? []
      : [{ pointer: '/token', detail: `it has been narrowed ${MAX_PARENTS} times, which is as often as one can be` }]),
  ]
}

function widerLevel(context: ContextBody, { level }: Narrowing, levels: readonly string[]): Problem[] {
  if (level === undefined || context.level === undefined || level === context.level) return []
  const limit = levels.indexOf(context.level)
  // Of a level that the tenant has no more it can't be told what is lower.
  if (limit >= 0 && levels.indexOf(level) < limit) return []
  return [{ pointer: '/level', detail: `is not lower than the level of the context, ${context.level}` }]
}

function widerCapabilities({ capabilities: layers }: ContextBody, { capabilities = [] }: Narrowing): Problem[] {
  const last = layers.at(-1)
  if (last === undefined) return []
  return capabilities.flatMap((narrow, place) =>
    last.some((wide) => covers(wide, narrow))
      ? []
      : [{ pointer: `/capabilities/${place}`, detail: 'is covered by no single capability of the context' }],
  )
}

function widerQuotas(context: ContextBody, { quotas = {} }: Narrowing): Problem[] {
  const limits = new Map(Object.entries(context.quotas))
  return Object.entries(quotas).flatMap(([name, quota]) => {
    const limit = limits.get(name)
    return limit === undefined || quota <= limit
      ? []
      : [{ pointer: `/quotas/${name}`, detail: `is more than the ${limit} of the context` }]
  })
}

/** The context `id`, narrowed. Whatever the narrowing says, what comes of it carries no more. */
export function narrowed(
  id: string,
  context: ContextBody,
  { level, capabilities, quotas = {} }: Narrowing,
): ContextBody {
  const { subject, parents, former_levels = [] } = context
  const isLowered = level !== undefined && level !== context.level
  const present = isLowered ? level : context.level
  const former = isLowered && context.level !== undefined ? [...former_levels, context.level] : former_levels
  return {
    subject,
    ...(present !== undefined && { level: present }),
    ...(former.length > 0 && { former_levels: [...former] }),
    quotas: lowest(context.quotas, quotas),
    capabilities: capabilities === undefined ? context.capabilities : [...context.capabilities, [...capabilities]],
    parents: [...parents, id],
  }
}

function lowest(one: Quotas, other: Quotas): Quotas {
  const all = new Map(Object.entries(one))
  for (const [name, quota] of Object.entries(other)) all.set(name, Math.min(quota, all.get(name) ?? quota))
  return Object.fromEntries(all)
}
