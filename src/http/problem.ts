import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { Failure, type FailureCode, type Problem } from '../failure.ts'
import { problemsOf, schemaCheck } from '../policy/validate.ts'
import { withoutCredentials } from '../telemetry/secrets.ts'
import { echoedId } from './headers.ts'
import { TooMany, tell } from './throttle.ts'

const STATUS = {
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  version_mismatch: 412,
  unprocessable: 422,
  payload_too_large: 413,
  unsupported_media_type: 415,
  revision_unknown: 400,
  invalid_subject_token: 400,
  idempotency_mismatch: 422,
  audit_unavailable: 503,
  store_unavailable: 503,
  tenant_busy: 503,
  facts_unavailable: 503,
  quota_unavailable: 503,
  issuer_unavailable: 503,
  stale: 503,
  revision_not_reached: 503,
  shutting_down: 503,
  throttled: 429,
  busy: 503,
  unsafe_configuration: 500,
  internal: 500,
} satisfies Record<FailureCode, number>

const TITLES = {
  invalid_request: 'Malformed request',
  unauthenticated: 'Not authenticated',
  forbidden: 'Forbidden',
  not_found: 'Not found',
  method_not_allowed: 'Method not allowed',
  conflict: 'Conflict',
  version_mismatch: 'Changed meanwhile',
  unprocessable: 'Cannot be carried out',
  payload_too_large: 'Too large',
  unsupported_media_type: 'Unsupported media type',
  revision_unknown: 'Unknown revision',
  invalid_subject_token: 'The token of the subject is refused',
  idempotency_mismatch: 'Idempotency-Key used for another request',
  audit_unavailable: 'The audit record cannot be kept',
  store_unavailable: 'The database does not answer',
  tenant_busy: 'Another write of the tenant is under way',
  quota_unavailable: 'What is left of a quota cannot be told',
  facts_unavailable: 'What the decision needs is not in memory',
  issuer_unavailable: 'The keys of a trusted issuer cannot be had',
  stale: 'The policy in memory is too old',
  revision_not_reached: 'The revision has not arrived yet',
  shutting_down: 'Shutting down',
  throttled: 'Too many attempts',
  busy: 'Too much to do at once',
  unsafe_configuration: 'Unsafe configuration',
  internal: 'Internal error',
} satisfies Record<FailureCode, string>

/** RFC 9457 problem details, as they are sent. */
export interface ProblemDetails {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly errors?: readonly Problem[]
}

export function problemDetails(failure: Failure): ProblemDetails {
  return {
    type: `urn:verdict:problem:${failure.code}`,
    title: TITLES[failure.code],
    status: STATUS[failure.code],
    detail: failure.message,
    ...(failure.problems.length > 0 && { errors: failure.problems }),
  }
}

/** Sends a failure. What a driver or a library said goes to the log, never to the caller. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.send(problemInstead(error, request, reply))
}

/** Turns a reply into that of a failure, where something else was about to be sent; the text is its body. */
export function problemInstead(error: unknown, request: FastifyRequest, reply: FastifyReply): string {
  const failure = asFailure(error, request)
  const { log, id: request_id } = request
  if (failure.code === 'internal') log.error({ request_id, err: error }, 'a request failed')
  else if (STATUS[failure.code] === 503)
    log.warn({ request_id, code: failure.code, err: failure.cause }, failure.message)
  if (failure.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer realm="verdict"')
  if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter))
  if (failure instanceof TooMany) tell(reply, failure.left)
  const problem = problemDetails(failure)
  // Where the router itself fails, no hook has set it.
  reply.header('x-request-id', echoedId(request))
  reply.code(problem.status).type('application/problem+json').removeHeader('etag')
  // A message may repeat what was asked for: a path, a name.
  return withoutCredentials(JSON.stringify(problem))
}

function asFailure(error: unknown, request: FastifyRequest): Failure {
  if (error instanceof Failure) return error
  if (isFastifyError(error)) return fromFastify(error, request)
  return new Failure('internal', 'Verdict could not do this; nothing was decided', { cause: error })
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

function fromFastify(error: FastifyError, request: FastifyRequest): Failure {
  const { routeOptions } = request
  if (error.validation !== undefined) return invalid(request, error)
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return tooLarge(routeOptions.bodyLimit, error)
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unsupported(routeOptions.schema, error)
    default:
      // What Fastify lays to the request's charge: a path that can't be decoded, a wrong content length, …
      if (isClientError(error)) return new Failure('invalid_request', error.message, { cause: error })
      return new Failure('internal', 'Verdict could not do this; nothing was decided', { cause: error })
  }
}

function tooLarge(limit: number | undefined, cause: FastifyError): Failure {
  const told = limit === undefined ? '' : `: at most ${limit} bytes`
  return new Failure('payload_too_large', `the body is larger than this route takes${told}`, { cause })
}

function unsupported(schema: unknown, cause: FastifyError): Failure {
  const types = consumedBy(schema).join(' or ')
  return new Failure('unsupported_media_type', `this route takes ${types}`, { cause })
}

function consumedBy(schema: unknown): readonly string[] {
  const given = typeof schema === 'object' && schema !== null && 'consumes' in schema ? schema.consumes : undefined
  return Array.isArray(given) ? given.map(String) : ['application/json']
}

function isClientError({ statusCode = 500 }: FastifyError): boolean {
  return statusCode >= 400 && statusCode < 500
}

const CLIENT_STATUS: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }

/** Answers what is no HTTP request at all: there is neither a request nor a reply yet, only a connection. */
export function clientProblem(error: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = CLIENT_STATUS[error.code ?? ''] ?? 400
  const detail = 'what arrived is not an HTTP request that can be read'
  const body = JSON.stringify({ ...problemDetails(new Failure('invalid_request', detail)), status })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/problem+json`
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** A body may be wrong in as many places as it has bytes; of a longer one, only the first that is wrong is told. */
const EXPLAINED_BYTES = 4 * 1024
const MAX_PROBLEMS = 100
const checks = new WeakMap<object, (sent: unknown) => Problem[]>()

function invalid(
  request: FastifyRequest,
  { validation = [], validationContext: where = 'body' }: FastifyError,
): Failure {
  const place = WHERE[where] ?? where
  // The door stops at the first fault: what is right is not kept waiting, and what is wrong is looked at once more.
  const found = allOf(request, where) ?? problemsOf(validation as ErrorObject[])
  const problems = where === 'body' ? found : found.map((one) => ({ ...one, detail: `${place}: ${one.detail}` }))
  return new Failure('invalid_request', `the ${place} does not have the shape that this route takes`, { problems })
}

function allOf({ routeOptions, body, query, params, headers }: FastifyRequest, where: string): Problem[] | undefined {
  const sent = { body, querystring: query, params }[where]
  const schema = Reflect.get(routeOptions.schema ?? {}, where)
  if (sent === undefined || typeof schema !== 'object' || schema === null) return undefined
  if (where === 'body' && !(Number(headers['content-length']) <= EXPLAINED_BYTES)) return undefined
  const check = checks.get(schema) ?? schemaCheck(schema)
  checks.set(schema, check)
  const problems = check(sent).slice(0, MAX_PROBLEMS)
  return problems.length > 0 ? problems : undefined
}

const WHERE: Readonly<Record<string, string>> = {
  querystring: 'query',
  params: 'path',
  headers: 'header',
  body: 'body',
}
