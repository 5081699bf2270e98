import type { EntityRef, ResourceSelector } from './model.ts'
import { actionTokens, idTokens, ONE, RUN, RUN_IN_SEGMENT, SLASH } from './pattern.ts'

/** What may be done to what, as a permission, a capability or a context says it. */
export interface Grant {
  readonly actions: readonly string[]
  readonly resources: readonly ResourceSelector[]
  readonly condition?: string | null
}

/**
 * Whether all that `narrow` grants is granted by `wide` too, whatever is stored and asked. false where that cannot be told
 * from the two alone: of two conditions, that one implies the other; of two entities, that one is in the other.
 */
export function covers(wide: Grant, narrow: Grant): boolean {
  return (
    (isAbsent(wide.condition) || wide.condition === narrow.condition) &&
    narrow.actions.every((action) => wide.actions.some((each) => coversAction(each, action))) &&
    narrow.resources.every((resource) => wide.resources.some((each) => coversResource(each, resource)))
  )
}

export function coversAction(wide: string, narrow: string): boolean {
  return wide === narrow || contains(actionTokens(wide), actionTokens(narrow))
}

export function coversResource(wide: ResourceSelector, narrow: ResourceSelector): boolean {
  if (wide.type !== '*' && wide.type !== narrow.type) return false
  if (wide.within !== undefined && !isSame(wide.within, narrow.within)) return false
  return wide.id === undefined || wide.id === narrow.id || contains(idTokens(wide.id), idTokens(narrow.id ?? '**'))
}

function isSame(one: EntityRef, other: EntityRef | undefined): boolean {
  return one.type === other?.type && one.id === other.id
}

function isAbsent(condition: string | null | undefined): condition is null | undefined {
  return condition === undefined || condition === null
}

/**
 * Whether one pattern matches all that another matches: the other is read as if it were a text, in which a wildcard can
 * only be taken up by a wildcard that stands for as much. What is true is so; what is so need not be found (`*?`, `?*`).
 */
function contains(wide: readonly number[], narrow: readonly number[]): boolean {
  // The places in `wide` that can have been reached by what was read of `narrow`.
  let places = withEmptyRuns(wide, [0])
  for (const token of narrow) {
    const reached: number[] = []
    for (const place of places) {
      const by = wide[place]
      if (by === undefined) continue
      if (isRun(by) && takesUp(by, token)) reached.push(place)
      if (!isRun(by) && (by === token || (by === ONE && isOneInSegment(token)))) reached.push(place + 1)
    }
    places = withEmptyRuns(wide, reached)
    if (places.size === 0) return false
  }
  return places.has(wide.length)
}

function withEmptyRuns(tokens: readonly number[], places: readonly number[]): ReadonlySet<number> {
  const all = new Set<number>()
  for (const place of places) {
    let at = place
    all.add(at)
    while (isRun(tokens[at])) all.add(++at)
  }
  return all
}

function isRun(token: number | undefined): boolean {
  return token === RUN || token === RUN_IN_SEGMENT
}

function takesUp(run: number, token: number): boolean {
  return run === RUN || token === RUN_IN_SEGMENT || isOneInSegment(token)
}

function isOneInSegment(token: number): boolean {
  return token === ONE || (token >= 0 && token !== SLASH)
}
