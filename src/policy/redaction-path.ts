import type { Problem } from '../failure.ts'
import { type Path, readPath } from '../masking/path.ts'
import { escaped } from './json.ts'
import type { RedactionSettings, Treatment } from './model.ts'

/**
 * Paths of a tenant's redaction: `subject.properties.email`, `context["a.b"].*.id`, `ip`. A path covers what it names
 * and everything beneath. `*` is any one member; a list stands for its items.
 */

/** One entry, its path read: `*` is null. */
export interface RedactionEntry {
  readonly path: Path
  readonly treatment: Treatment
}

/** Single values that a path can name. Who did what is never dropped: a record of nobody is none. */
const VALUES: ReadonlyMap<string, readonly Treatment[]> = new Map([
  ['subject.id', ['clear', 'keyed_hash']],
  ['resource.id', ['clear', 'keyed_hash']],
  ['actor.id', ['clear', 'keyed_hash']],
  ['ip', ['clear', 'keyed_hash', 'drop']],
  ['user_agent', ['clear', 'keyed_hash', 'drop']],
])

/** Objects: the path may go on beneath them. */
const OBJECTS = ['subject.properties', 'resource.properties', 'action.properties', 'context']

const KNOWN = [...VALUES.keys(), ...OBJECTS].join(', ')

/** What is wrong with them, with pointers into the settings. */
export function checkRedaction(redaction: RedactionSettings): Problem[] {
  const seen = new Map<string, string>()
  return Object.entries(redaction).flatMap(([text, treatment]) => {
    const pointer = `/redaction/${escaped(text)}`
    const path = readRedactionPath(text)
    if (path === undefined) {
      return [{ pointer, detail: 'not a path: names with a dot between, * for any, or ["a name"]' }]
    }
    const detail = faultOf(path, treatment) ?? repeated(seen, path, text)
    return detail === undefined ? [] : [{ pointer, detail }]
  })
}

/** The entries, the most specific first: where two differ first, a name goes before `*`; a longer path before its beginning. */
export function readRedaction(redaction: RedactionSettings): RedactionEntry[] {
  return Object.entries(redaction)
    .flatMap(([text, treatment]) => {
      const path = readRedactionPath(text)
      // Written by another version, or by hand: what cannot be read covers all that it could have meant.
      return path === undefined ? UNREADABLE : [{ path, treatment }]
    })
    .sort(bySpecificity)
}

const UNREADABLE: readonly RedactionEntry[] = OBJECTS.map((object) => ({
  path: object.split('.'),
  treatment: 'keyed_hash',
}))

function bySpecificity({ path: one }: RedactionEntry, { path: other }: RedactionEntry): number {
  for (let at = 0; at < Math.min(one.length, other.length); at++) {
    const [a, b] = [one[at], other[at]]
    if (a === b) continue
    if (a === null) return 1
    if (b === null) return -1
    return String(a) < String(b) ? -1 : 1
  }
  return other.length - one.length
}

/** A record's own members are named plainly. Undefined: it is no path. */
function readRedactionPath(text: string): Path | undefined {
  return /^[*[]/.test(text) ? undefined : readPath(text)
}

function faultOf(path: Path, treatment: Treatment): string | undefined {
  const name = path.join('.')
  const treatments = path.includes(null) ? undefined : VALUES.get(name)
  if (treatments !== undefined) {
    return treatments.includes(treatment)
      ? undefined
      : `${name} can be clear or keyed_hash: a record names whom it is about`
  }
  const isBeneath = OBJECTS.some((object) => object.split('.').every((part, at) => path[at] === part))
  return isBeneath ? undefined : `no such path: it is, or begins with, one of ${KNOWN}`
}

/** The same path can be written in two ways. */
function repeated(seen: Map<string, string>, path: Path, text: string): string | undefined {
  const key = JSON.stringify(path)
  const before = seen.get(key)
  seen.set(key, text)
  return before === undefined ? undefined : `says the same path as ${before}`
}
