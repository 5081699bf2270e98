import type { FastifyReply } from 'fastify'
import { Failure } from '../../failure.ts'
import { sendProblem } from '../problem.ts'
import type { App } from '../server.ts'

/** What stands in this scope answers as AuthZEN wants it: a body in another format is a malformed request, not a 415. */
export function accessScope(app: App): void {
  app.setErrorHandler((error, request, reply) => sendProblem(malformed(error), request, reply))
}

function malformed(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return error
  return new Failure('invalid_request', 'the body must be application/json', {
    cause: error,
    problems: [{ pointer: '', detail: 'is not sent as application/json' }],
  })
}

/**
 * Says which decision it was, and at which revision it was made, in headers: answers to equal requests are equal in every
 * byte. Of a call with several, the call's id and the lowest of the revisions.
 */
export function nameDecision(reply: FastifyReply, id: string, revision?: number): void {
  reply.header('x-decision-id', id)
  if (revision !== undefined) reply.header('verdict-revision', String(revision))
}
