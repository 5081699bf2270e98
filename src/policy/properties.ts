import type { AttributePrecedence, Properties } from './model.ts'

/**
 * The properties that a decision sees: the stored ones overlaid by the request's, member by member, or the reverse. A
 * protected one is the stored one or absent. Members are only ever defined, never assigned: one may be named
 * "__proto__".
 */
export function effectiveProperties(
  stored: Properties,
  requested: Properties | undefined,
  precedence: AttributePrecedence,
  guarded: ReadonlySet<string> | undefined,
): Properties {
  if (requested === undefined) return stored
  if (guarded === undefined && isEmpty(stored)) return requested
  const usable = guarded === undefined ? requested : without(requested, guarded)
  return precedence === 'request' ? { ...stored, ...usable } : { ...usable, ...stored }
}

// Without making a list of the names: this is asked in every decision that reads properties.
function isEmpty(properties: Properties): boolean {
  for (const _name in properties) return false
  return true
}

function without(properties: Properties, names: ReadonlySet<string>): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !names.has(name)))
}
