import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/credentials.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { sendAnswer, writeOf } from './write.ts'

export function credentialRoutes(app: App, { credentials }: Administration): void {
  app.route({
    ...contract.getCredentials,
    handler: (request) => credentials.get(readOf(request), request.params),
  })
  app.route({
    ...contract.putPassword,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await credentials.putPassword(writeOf(request), request.params, request.body)),
  })
  app.route({
    ...contract.deletePassword,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await credentials.deletePassword(writeOf(request), request.params, request.body)),
  })
  app.route({
    ...contract.putTotp,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await credentials.putTotp(writeOf(request), request.params, request.body)),
  })
  app.route({
    ...contract.deleteTotp,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await credentials.deleteTotp(writeOf(request), request.params, request.body)),
  })
  app.route({
    ...contract.listSessions,
    handler: (request) => credentials.listSessions(readOf(request), request.params, pageOf(request.query)),
  })
  app.route({
    ...contract.deleteSessions,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await credentials.deleteSessions(writeOf(request), request.params)),
  })
  app.route({
    ...contract.deleteSession,
    handler: async (request, reply) => {
      const { session, ...subject } = request.params
      return sendAnswer(request, reply, await credentials.deleteSession(writeOf(request), subject, session))
    },
  })
}
