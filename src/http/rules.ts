import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/policies.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function ruleRoutes(app: App, { rules }: Administration): void {
  app.route({
    ...contract.listRules,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, ...filter } = request.query
      return rules.list(readOf(request), filter, pageOf(request.query))
    },
  })
  app.route({
    ...contract.createRule,
    handler: async (request, reply) => sendAnswer(request, reply, await rules.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.getRule,
    handler: async (request, reply) => sendFound(reply, await rules.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putRule,
    handler: async (request, reply) => {
      const rule = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await rules.put(writeOf(request), rule))
    },
  })
  app.route({
    ...contract.deleteRule,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await rules.delete(writeOf(request), request.params.name)),
  })
}
