import { Failure } from '../failure.ts'
import { readInstant } from '../policy/instant.ts'

/** A date alone is taken for when it begins, in UTC. */
export function beginning(text: string): string {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text
}

/** What an option says, in ms since the epoch. `others`: what the option takes beside an instant. */
export function instantOf(option: string, text: string, others = ''): number {
  const instant = readInstant(text)
  if (!Number.isNaN(instant)) return instant
  const wanted = `an RFC 3339 instant such as 2030-01-31T08:00:00Z${others}`
  throw new Failure('invalid_request', `${option} takes ${wanted}, not ${text}`)
}
