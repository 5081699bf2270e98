/** Whether a JSON value is an object. Not for values that may be instances of a class. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member's name, as a part of a JSON pointer (RFC 6901). */
export function escaped(member: string): string {
  return member.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The names of the members that a JSON pointer leads through. */
export function membersOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}
