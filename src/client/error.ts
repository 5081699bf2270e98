import type { Static } from 'typebox'
import type { Problem } from '../contract/common.ts'
import type { FailureCode } from '../failure.ts'

/** Problem details, RFC 9457. */
export type ProblemDetails = Readonly<Static<typeof Problem>>

/**
 * Why there is no answer. `timeout`: none within the time-out. `aborted`: the caller's signal. `unreachable`: no
 * connection, so that nothing was asked. `disconnected`: the connection broke before the whole answer was there.
 * `bad_answer`: what came is no answer of Verdict's. `bad_request`: it could not even be asked.
 * `context_invalid`, `context_expired`: a security context that is not what it should be, or is over.
 * `unknown_obligation`: it is allowed on conditions of a type that the caller has not declared. All others are
 * Verdict's own, from the problem that it answered with.
 */
export type VerdictErrorCode =
  | 'timeout'
  | 'aborted'
  | 'unreachable'
  | 'disconnected'
  | 'bad_answer'
  | 'bad_request'
  | 'unknown_obligation'
  | 'context_invalid'
  | 'context_expired'
  | FailureCode

interface More {
  readonly cause?: unknown
  readonly status?: number | undefined
  readonly problem?: ProblemDetails | undefined
  readonly retryAfterMs?: number | undefined
}

/** There is no decision, or no answer: to whoever asked for permission, a deny. */
export class VerdictError extends Error {
  readonly code: VerdictErrorCode
  /** Of the answer, where one came. */
  readonly status: number | undefined
  /** What Verdict said, where it said something. */
  readonly problem: ProblemDetails | undefined
  /** From `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(code: VerdictErrorCode, message: string, { cause, status, problem, retryAfterMs }: More = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'VerdictError'
    this.code = code
    this.status = status
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}
