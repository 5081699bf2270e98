import type { Problem } from '../failure.ts'
import type { RedactionSettings, Treatment } from './model.ts'
import { escaped } from './validate.ts'

/**
 * Paths of a tenant's redaction: `subject.properties.email`, `context["a.b"].*.id`, `ip`. A path covers what it names
 * and everything beneath. `*` is any one member; a list stands for its items.
 */

/** One entry, its path read: `*` is null. */
export interface RedactionEntry {
  readonly path: readonly (string | null)[]
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
    const path = readPath(text)
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
      const path = readPath(text)
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

const NAME = /[^.[\]"*\p{Cc}]+/uy
const QUOTED = /\["(?:[^"\\\p{Cc}]|\\.)*"\]/uy

/** Undefined: it is no path. */
function readPath(text: string): (string | null)[] | undefined {
  const path: (string | null)[] = []
  let at = 0
  while (at < text.length) {
    const quoted = taken(QUOTED, text, at)
    const dot = at > 0 && quoted === undefined ? 1 : 0
    if (dot === 1 && text[at] !== '.') return undefined
    const part = quoted ?? (text[at + dot] === '*' ? '*' : taken(NAME, text, at + dot))
    if (part === undefined || (at === 0 && (quoted !== undefined || part === '*'))) return undefined
    const name = quoted === undefined ? part : unquoted(quoted)
    if (name === undefined) return undefined
    path.push(part === '*' ? null : name)
    at += dot + part.length
  }
  return path.length > 0 ? path : undefined
}

function taken(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

function unquoted(quoted: string): string | undefined {
  try {
    const name: unknown = JSON.parse(quoted.slice(1, -1))
    return typeof name === 'string' ? name : undefined
  } catch {
    return undefined
  }
}

function faultOf(path: readonly (string | null)[], treatment: Treatment): string | undefined {
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
function repeated(seen: Map<string, string>, path: readonly (string | null)[], text: string): string | undefined {
  const key = JSON.stringify(path)
  const before = seen.get(key)
  seen.set(key, text)
  return before === undefined ? undefined : `says the same path as ${before}`
}
