// In UTC. Beyond these years JavaScript, Postgres and RFC 3339 no longer write an instant alike.
const FIRST = Date.parse('0001-01-01T00:00:00Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')

/** ms since the epoch. NaN: the text is no instant (a leap second, which JavaScript does not know) or out of bounds. */
export function parseInstant(text: string): number {
  const instant = Date.parse(text)
  return instant >= FIRST && instant <= LAST ? instant : Number.NaN
}
