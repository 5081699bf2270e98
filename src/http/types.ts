import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/types.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function typeRoutes(app: App, { types }: Administration): void {
  app.route({
    ...contract.listTypes,
    handler: (request) => types.list(readOf(request), pageOf(request.query)),
  })
  app.route({
    ...contract.getType,
    handler: async (request, reply) => sendFound(reply, await types.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putType,
    handler: async (request, reply) => {
      const type = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await types.put(writeOf(request), type))
    },
  })
  app.route({
    ...contract.deleteType,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await types.delete(writeOf(request), request.params.name)),
  })
}
