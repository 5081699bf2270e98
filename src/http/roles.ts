import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import { listMembers } from '../contract/entities.ts'
import * as contract from '../contract/policies.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function roleRoutes(app: App, { roles }: Administration): void {
  app.route({
    ...contract.listRoles,
    handler: (request) => roles.list(readOf(request), pageOf(request.query)),
  })
  app.route({
    ...contract.createRole,
    handler: async (request, reply) => sendAnswer(request, reply, await roles.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.getRole,
    handler: async (request, reply) => sendFound(reply, await roles.get(readOf(request), request.params.name)),
  })
  app.route({
    ...contract.putRole,
    handler: async (request, reply) => {
      const role = named({ name: request.params.name }, request.body)
      return sendAnswer(request, reply, await roles.put(writeOf(request), role))
    },
  })
  app.route({
    ...contract.deleteRole,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await roles.delete(writeOf(request), request.params.name)),
  })
  app.route({
    ...listMembers,
    handler: (request) => roles.members(readOf(request), request.params.name, pageOf(request.query)),
  })
}
