import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/policies.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function policyRoutes(app: App, { policies }: Administration): void {
  app.route({
    ...contract.listPolicies,
    handler: (request) => policies.list(readOf(request), pageOf(request.query)),
  })
  app.route({
    ...contract.getPolicy,
    handler: async (request, reply) => sendFound(reply, await policies.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putPolicy,
    handler: async (request, reply) => {
      const policy = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await policies.put(writeOf(request), policy))
    },
  })
  app.route({
    ...contract.deletePolicy,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await policies.delete(writeOf(request), request.params.name)),
  })
}
