/** Every way in which Verdict can fail to do what it was asked. The HTTP status of each stands in `http/problem.ts`. */
export const FAILURE_CODES = [
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'not_found',
  'method_not_allowed',
  'conflict',
  'version_mismatch',
  'unprocessable',
  'payload_too_large',
  'unsupported_media_type',
  'revision_unknown',
  'invalid_subject_token',
  'idempotency_mismatch',
  'audit_unavailable',
  'store_unavailable',
  'tenant_busy',
  'facts_unavailable',
  'quota_unavailable',
  'issuer_unavailable',
  'stale',
  'revision_not_reached',
  'shutting_down',
  'throttled',
  'busy',
  'unsafe_configuration',
  'internal',
] as const

export type FailureCode = (typeof FAILURE_CODES)[number]

/** One thing that is wrong with a document: `pointer` is an RFC 6901 JSON pointer into it ("" is the whole). */
export interface Problem {
  readonly pointer: string
  readonly detail: string
}

/**
 * A failure: thrown once, with a code. An outcome that is expected (a deny, say) is a value instead.
 * `message` is for the reader of an answer; what a driver said stays in `cause`, for the log.
 */
export class Failure extends Error {
  readonly code: FailureCode
  readonly problems: readonly Problem[]
  /** Seconds after which it may be worth trying again. */
  readonly retryAfter: number | undefined

  constructor(
    code: FailureCode,
    message: string,
    more: { cause?: unknown; problems?: readonly Problem[]; retryAfter?: number } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'Failure'
    this.code = code
    this.problems = more.problems ?? []
    this.retryAfter = more.retryAfter
  }
}
