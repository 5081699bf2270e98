import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/quotas.ts'
import { type RefundParts, refundDecision } from '../pdp/quotas/refunds.ts'
import { usageOf } from '../pdp/quotas/usage.ts'
import { callOf, readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function quotaRoutes(app: App, parts: RefundParts & { readonly administration: Administration }): void {
  const { quotas } = parts.administration
  app.route({
    ...contract.listQuotas,
    handler: (request) => quotas.list(readOf(request), pageOf(request.query)),
  })
  app.route({
    ...contract.getQuota,
    handler: async (request, reply) => sendFound(reply, await quotas.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putQuota,
    handler: async (request, reply) => {
      const quota = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await quotas.put(writeOf(request), quota))
    },
  })
  app.route({
    ...contract.deleteQuota,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await quotas.delete(writeOf(request), request.params.name)),
  })
  app.route({
    ...contract.getQuotaUsage,
    handler: (request) => usageOf(parts, callOf(request).tenant, request.params.name, request.query),
  })
  app.route({
    ...contract.refundQuota,
    handler: async (request) => {
      const call = callOf(request)
      call.about = { refund: request.body }
      const refund = await refundDecision(parts, call.tenant, request.params.name, request.body)
      call.about = { refund }
      return refund
    },
  })
}
