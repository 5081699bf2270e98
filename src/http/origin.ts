import type { FastifyRequest } from 'fastify'
import type { Origin } from '../audit/event.ts'
import { traceIdOf } from '../telemetry/trace.ts'

const MAX_USER_AGENT = 512

/** What an audit record says of the call that caused it. */
export function originOf(request: FastifyRequest): Origin {
  return {
    ip: request.ip,
    user_agent: request.headers['user-agent']?.slice(0, MAX_USER_AGENT) ?? null,
    request_id: request.id,
    trace_id: traceIdOf(header(request, 'traceparent')),
  }
}

/** A header's value where it stands once; undefined where it is absent. */
export function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}
