import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/issuers.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function issuerRoutes(app: App, { issuers }: Administration): void {
  app.route({
    ...contract.listIssuers,
    handler: (request) => issuers.list(readOf(request), pageOf(request.query)),
  })
  app.route({
    ...contract.getIssuer,
    handler: async (request, reply) => sendFound(reply, await issuers.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putIssuer,
    handler: async (request, reply) => {
      const issuer = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await issuers.put(writeOf(request), issuer))
    },
  })
  app.route({
    ...contract.deleteIssuer,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await issuers.delete(writeOf(request), request.params.name)),
  })
}
