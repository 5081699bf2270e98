import { Failure } from '../failure.ts'

/**
 * Checks `If-Match` against the present version (RFC 9110, section 13.1.1); `present` is undefined where there is
 * nothing, null where there is something without a version. A weak tag never matches.
 */
export function checkPrecondition(ifMatch: string | null, present: number | null | undefined): void {
  if (ifMatch === null) return
  const tags = ifMatch.split(',').map((tag) => tag.trim())
  if (present !== undefined && (tags.includes('*') || tags.includes(`"${present}"`))) return
  throw new Failure('version_mismatch', `If-Match does not match: ${told(present)}`)
}

function told(present: number | null | undefined): string {
  if (present === undefined) return 'there is nothing yet'
  return present === null ? 'it has no versions' : `the present version is "${present}"`
}
