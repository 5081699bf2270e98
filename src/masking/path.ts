/**
 * Paths into other people's records: names with a dot between, `*` for any one member, `["a.name"]` for a name that
 * could not stand there otherwise. A list stands for its items, so that a path never counts them.
 */

/** `*` is null. */
export type Path = readonly (string | null)[]

const NAME = /[^.[\]"*\p{Cc}]+/uy
const QUOTED = /\["(?:[^"\\\p{Cc}]|\\.)*"\]/uy

/** Undefined: it is no path. */
export function readPath(text: string): Path | undefined {
  const path: (string | null)[] = []
  let at = 0
  while (at < text.length) {
    const quoted = taken(QUOTED, text, at)
    const dot = at > 0 && quoted === undefined ? 1 : 0
    if (dot === 1 && text[at] !== '.') return undefined
    const part = quoted ?? (text[at + dot] === '*' ? '*' : taken(NAME, text, at + dot))
    if (part === undefined) return undefined
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
