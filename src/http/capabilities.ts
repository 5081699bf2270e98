import type { Administration } from '../administration.ts'
import * as contract from '../contract/capabilities.ts'
import { pageOf } from '../contract/common.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { sendAnswer, sendFound, writeOf } from './write.ts'

export function capabilityRoutes(app: App, { capabilities }: Administration): void {
  app.route({
    ...contract.listCapabilities,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, active, ...filter } = request.query
      const asked = { ...filter, ...(active !== undefined && { active: active === 'true' }) }
      return capabilities.list(readOf(request), asked, pageOf(request.query))
    },
  })
  app.route({
    ...contract.createCapability,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await capabilities.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.getCapability,
    handler: async (request, reply) => sendFound(reply, await capabilities.get(readOf(request), request.params.id)),
  })
  app.route({
    ...contract.deleteCapability,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await capabilities.delete(writeOf(request), request.params.id)),
  })
}
