import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../telemetry/metrics.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Observes an answer of this route: its status and how long it took, in seconds. Bound when the route is added. */
    observe?: (status: number, seconds: number) => void
  }
}

/** Times every request by its route's pattern, never by its path: a path holds names. */
export function timeRequests(app: FastifyInstance, metrics: Metrics): void {
  const unknown = metrics.route('unknown')
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, observe: metrics.route(route.url) }
  })
  app.addHook('onResponse', (request, reply, done) => {
    const observe = request.routeOptions.config.observe ?? unknown
    observe(reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
}
