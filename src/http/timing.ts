import type { FastifyReply, FastifyRequest } from 'fastify'
import { isDecision } from '../contract/common.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { App } from './server.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** When its head had been read, as `performance.now()` counts. */
    began: number
  }
}

/** Observes an answer: its status and how long it took, in seconds. */
type Observe = (status: number, seconds: number) => void

/**
 * Times every request by its route's pattern, never by its path: a path holds names. Decisions are timed until their answer
 * is handed to the socket: to hear when that has taken it costs two listeners and 3 % of the time for each. What may be a
 * stream is timed to its end.
 */
export function timeRequests(app: App, metrics: Metrics): void {
  app.decorateRequest('began', 0)
  const unknown = metrics.route('unknown')
  app.addHook('onRequest', (request, reply, done) => {
    request.began = performance.now()
    // It has no hooks of its own, and not all that it may come to ends in its handler.
    if (request.is404) reply.raw.once('close', () => timed(unknown, request, reply))
    done()
  })
  app.addHook('onRoute', (route) => {
    const observe = metrics.route(route.url)
    if (isDecision(route.config ?? {})) {
      route.onSend = [
        ...all(route.onSend),
        (request, reply, payload, done) => {
          timed(observe, request, reply)
          done(null, payload)
        },
      ]
    } else {
      route.onResponse = [
        ...all(route.onResponse),
        (request, reply, done) => {
          timed(observe, request, reply)
          done()
        },
      ]
    }
  })
}

function timed(observe: Observe, { began }: FastifyRequest, { statusCode }: FastifyReply): void {
  observe(statusCode, (performance.now() - began) / 1000)
}

function all<T>(hooks: T | T[] | undefined): T[] {
  if (hooks === undefined) return []
  return Array.isArray(hooks) ? hooks : [hooks]
}
