import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Answer, Found, Write } from '../administration/write.ts'
import { Failure, type Problem } from '../failure.ts'
import { callOf } from './guard.ts'
import { header } from './origin.ts'

/** What a write says of itself in its headers, together with who makes it. */
export function writeOf(request: FastifyRequest): Write {
  const call = callOf(request)
  const key = header(request, 'idempotency-key')
  return {
    caller: { ...call.caller, roles: call.roles },
    tenant: call.tenant,
    permission: call.permission,
    rules: call.rules,
    origin: call.origin,
    reason: header(request, 'verdict-reason') ?? null,
    idempotency:
      key === undefined || request.fingerprint === null ? null : { key, request_sha256: request.fingerprint },
    if_match: header(request, 'if-match') ?? null,
  }
}

const COMMITTED = 202

/**
 * Sends what a write answered: its revision, its version as the ETag, its body where there is one. What is committed but
 * not in force here yet is a 202, whatever it would have been: nothing is wrong, and there is nothing to be tried again.
 */
export function sendAnswer<T>(request: FastifyRequest, reply: FastifyReply, answer: Answer<T>): FastifyReply {
  if (answer.recorded) callOf(request).recorded = true
  reply.code(answer.in_force ? answer.status : COMMITTED).header('verdict-revision', String(answer.revision))
  if (answer.version !== null) reply.header('etag', `"${answer.version}"`)
  return answer.status === 204 ? reply.send() : reply.send(answer.body)
}

export function sendFound<T>(reply: FastifyReply, found: Found<T>): FastifyReply {
  return reply.header('etag', `"${found.version}"`).send(found.body)
}

/** The document of a `PUT` by name. The path names it; a body that names another thing is refused. */
export function named<T extends object, K extends Record<string, string>>(key: K, body: T): Omit<T, keyof K> & K {
  const problems: Problem[] = []
  for (const [member, value] of Object.entries(key)) {
    const given = (body as Record<string, unknown>)[member]
    if (given !== undefined && given !== value) {
      problems.push({ pointer: `/${member}`, detail: `differs from the path, which says ${JSON.stringify(value)}` })
    }
  }
  if (problems.length > 0) throw new Failure('invalid_request', 'path and body name two things', { problems })
  return { ...body, ...key }
}
