// In UTC. Beyond these years JavaScript, Postgres and RFC 3339 no longer write an instant alike.
const FIRST = Date.parse('0001-01-01T00:00:00Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * ms since the epoch, of a text that a schema has found to be a `date-time`: others may be taken for one. NaN: it is no
 * instant after all (a leap second, which JavaScript does not know) or out of bounds.
 */
export function parseInstant(text: string): number {
  const instant = Date.parse(text)
  return instant >= FIRST && instant <= LAST ? instant : Number.NaN
}

/** The same of a text that nothing has looked at. NaN: it is no date-time of RFC 3339. */
export function readInstant(text: string): number {
  // RFC 3339 has `t` and `z` too.
  const written = text.toUpperCase()
  return isDateTime(written) ? parseInstant(written) : Number.NaN
}

const RFC_3339 =
  /^\d{4}-\d\d-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** Whether a text is a date-time of RFC 3339, on a day that there is. */
export function isDateTime(text: string): boolean {
  const [, day] = text.length > 40 ? [] : (RFC_3339.exec(text) ?? [])
  // V8 takes the 30th of February for the 2nd of March.
  return day !== undefined && new Date(`${text.slice(0, 10)}T00:00:00Z`).getUTCDate() === Number(day)
}
