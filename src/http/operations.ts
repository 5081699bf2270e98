import type { Static } from 'typebox'
import * as contract from '../contract/operations.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type App, HEAD } from './server.ts'

export type Readiness = Static<typeof contract.Readiness>

export interface OperationsParts {
  readonly metrics: Metrics
  readonly readiness: () => Readiness
}

/** Health, metrics and the description: open to everybody, so codes and counts only. */
export function operationsRoutes(app: App, { metrics, readiness }: OperationsParts): void {
  app.route({ ...contract.livez, ...HEAD, handler: async () => ({ status: 'ok' }) })
  app.route({
    ...contract.readyz,
    ...HEAD,
    handler: async (_request, reply) => {
      const state = readiness()
      return reply.code(state.status === 'unavailable' ? 503 : 200).send(state)
    },
  })
  app.route({
    ...contract.metrics,
    handler: async (_request, reply) => {
      const text = await metrics.text()
      return reply.type(metrics.contentType).serializer(String).send(text)
    },
  })
  app.route({ ...contract.openapi, ...HEAD, handler: async () => app.swagger() })
}
