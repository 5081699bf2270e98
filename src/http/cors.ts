import type { FastifyInstance } from 'fastify'
import { header } from './origin.ts'

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers':
    'authorization, content-type, idempotency-key, if-match, traceparent, verdict-min-revision, verdict-reason, verdict-tenant, x-request-id',
  'access-control-max-age': '600',
} as const
const EXPOSED =
  'etag, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, verdict-revision, x-decision-id, x-request-id'

/** Lets pages of these origins call, by exact comparison. No cookie is ever read, so no credentials are allowed. */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  const allowed = new Set(origins)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('vary', 'origin')
    const origin = header(request, 'origin')
    if (origin === undefined || !allowed.has(origin)) return undefined
    reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', EXPOSED)
    const isPreflight = request.method === 'OPTIONS' && header(request, 'access-control-request-method') !== undefined
    return isPreflight ? reply.code(204).headers(PREFLIGHT).send() : undefined
  })
}
