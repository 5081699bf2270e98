import type { EntityRef } from '../model.ts'
import type { Pattern } from '../pattern.ts'

/**
 * Where to look for what a search asks for. Together, a search's extents hold everything that may be found, and as little
 * else as can be told without deciding.
 */
export type Extent =
  | { readonly kind: 'all' }
  | { readonly kind: 'matching'; readonly pattern: Pattern }
  /** The entity, and what is in it at any depth. */
  | { readonly kind: 'below'; readonly ref: EntityRef }
  /** Whom a role is assigned to, everywhere or within one of these, and what is in them. */
  | { readonly kind: 'holders'; readonly role: string; readonly within: readonly EntityRef[] }

export const ALL: Extent = { kind: 'all' }
export const EVERYTHING: readonly Extent[] = Object.freeze([ALL])

/** Whether it says no more than the type does. */
export function isEverything(extents: readonly Extent[]): boolean {
  return extents.some(({ kind }) => kind === 'all')
}

// As many steps are worth less than to look at everything: about 50 ms.
const NARROWING_STEPS = 500_000

/** A walk that is given up where it takes too long: what it would have narrowed down is then everything. */
export function* orEverything(
  walk: Generator<undefined, readonly Extent[]>,
  most = NARROWING_STEPS,
): Generator<undefined, readonly Extent[]> {
  for (let step = 0; step < most; step++) {
    const { done, value } = walk.next()
    if (done === true) return value
    yield
  }
  return EVERYTHING
}
