// W3C Trace Context, `traceparent`: version, trace-id, parent-id, flags. Version ff is invalid; version 00 has
// exactly these four fields, later ones may append more.
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/

const NO_TRACE = '0'.repeat(32)
const NO_PARENT = '0'.repeat(16)

/** The trace id of a `traceparent` header; null where there is none, or none that the standard accepts. */
export function traceIdOf(header: string | undefined): string | null {
  const [, version, trace, parent, rest] = header?.match(TRACEPARENT) ?? []
  if (trace === undefined || trace === NO_TRACE || parent === NO_PARENT) return null
  return version === '00' && rest !== undefined ? null : trace
}
