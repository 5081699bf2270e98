import type { Facts } from '../entity-graph.ts'
import type { AccessRequest, Properties } from '../model.ts'
import type { PolicyIndex } from '../policy-index.ts'
import { effectiveProperties } from '../properties.ts'

/** A request and its facts, as they are decided by. */
export interface View {
  readonly facts: Facts
  readonly request: AccessRequest
}

/**
 * The request as it is, and once more for each level that is lower than the subject's own: a lower level may hold for a
 * rule what a higher one does not (`level(subject) < level("admin")`), so that only what is allowed at every one of them
 * is never more than what was allowed before there was the last.
 */
export function viewsOf(index: PolicyIndex, view: View, levels: readonly string[]): readonly View[] {
  const views = [view]
  if (levels.length === 0) return views
  const own = levelOf(index, view)
  const seen = new Set([own])
  for (const level of levels) {
    const lower = lowerOf(index.settings.levels, own, level)
    if (seen.has(lower)) continue
    seen.add(lower)
    views.push(at(level, view))
  }
  return views
}

/** The subject's effective property `level`. */
function levelOf(index: PolicyIndex, { facts, request }: View): unknown {
  const { type, properties } = request.subject
  const { attribute_precedence } = index.settings
  const guarded = index.protectedProperties(type)
  const effective = effectiveProperties(facts.subject.properties, properties, attribute_precedence, guarded)
  return Object.hasOwn(effective, 'level') ? effective['level'] : undefined
}

/** `own` where it is not higher, or no level at all: what has none is given none. One that nobody knows is an error in conditions. */
function lowerOf(levels: readonly string[], own: unknown, level: string): unknown {
  const place = placeOf(levels, own)
  const limit = levels.indexOf(level)
  if (own === undefined || (place === undefined && limit >= 0)) return own
  return limit < 0 || place === undefined || limit < place ? level : own
}

/** As `level()` reads it: by its name, or by its place. */
function placeOf(levels: readonly string[], of: unknown): number | undefined {
  const place = typeof of === 'string' ? levels.indexOf(of) : of
  return typeof place === 'number' && Number.isInteger(place) && place >= 0 && place < levels.length ? place : undefined
}

/** With this level wherever there is one, in what is stored and in what is asked. */
function at(level: string, { facts, request }: View): View {
  const { subject, resource } = facts
  const { properties } = request.subject
  return {
    facts: { subject: { ...subject, properties: withLevel(subject.properties, level) }, resource },
    request:
      properties === undefined
        ? request
        : { ...request, subject: { ...request.subject, properties: withLevel(properties, level) } },
  }
}

function withLevel(properties: Properties, level: string): Properties {
  return Object.hasOwn(properties, 'level') ? { ...properties, level } : properties
}
