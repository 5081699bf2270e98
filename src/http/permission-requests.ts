import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/permission-requests.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { sendAnswer, sendFound, writeOf } from './write.ts'

export function permissionRequestRoutes(app: App, { permission_requests: requests }: Administration): void {
  app.route({
    ...contract.listPermissionRequests,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, ...query } = request.query
      return requests.list(readOf(request), query, pageOf(request.query))
    },
  })
  app.route({
    ...contract.createPermissionRequest,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await requests.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.getPermissionRequest,
    handler: async (request, reply) => sendFound(reply, await requests.get(readOf(request), request.params.id)),
  })
  app.route({
    ...contract.approvePermissionRequest,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await requests.approve(writeOf(request), request.params.id, request.body)),
  })
  app.route({
    ...contract.refusePermissionRequest,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await requests.refuse(writeOf(request), request.params.id, request.body)),
  })
  app.route({
    ...contract.withdrawPermissionRequest,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await requests.withdraw(writeOf(request), request.params.id)),
  })
}
