import type { Obligation } from './model.ts'

// Compared by text, since comparing each with each follows the square of their number: 10,000 of one id took half a
// minute. Made when a decision first carries an obligation together with others.
const texts = new WeakMap<Obligation, string>()

/** Wholly equal ones once, where they first stand. */
export function withoutRepeats(obligations: readonly Obligation[]): Obligation[] {
  const seen = new Set<string>()
  return obligations.filter((obligation) => {
    const text = textOf(obligation)
    if (seen.has(text)) return false
    seen.add(text)
    return true
  })
}

function textOf(obligation: Obligation): string {
  // What was written into the database by hand may be anything.
  if (typeof obligation !== 'object' || obligation === null) return canonical(obligation)
  const known = texts.get(obligation)
  if (known !== undefined) return known
  const text = canonical(obligation)
  texts.set(obligation, text)
  return text
}

/** JSON with the members of objects in the order of their names. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`
}
