import type { Administration } from '../administration.ts'
import { pageOf } from '../contract/common.ts'
import * as contract from '../contract/tenants.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'
import { sendAnswer, sendFound, writeOf } from './write.ts'

export function tenantRoutes(app: App, { tenants }: Administration): void {
  app.route({ ...contract.listTenants, handler: (request) => tenants.list(pageOf(request.query)) })
  app.route({
    ...contract.createTenant,
    handler: async (request, reply) => sendAnswer(request, reply, await tenants.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.getTenant,
    handler: async (request, reply) => sendFound(reply, await tenants.get(request.params.tenant)),
  })
  app.route({
    ...contract.patchTenant,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await tenants.patch(writeOf(request), request.params.tenant, request.body)),
  })
  app.route({
    ...contract.deleteTenant,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await tenants.delete(writeOf(request), request.params.tenant)),
  })
}

export function settingsRoutes(app: App, { settings }: Administration): void {
  app.route({
    ...contract.getSettings,
    handler: async (request, reply) => sendFound(reply, await settings.get(readOf(request))),
  })
  app.route({
    ...contract.putSettings,
    handler: async (request, reply) => sendAnswer(request, reply, await settings.put(writeOf(request), request.body)),
  })
}

export function apiKeyRoutes(app: App, { api_keys }: Administration): void {
  app.route({
    ...contract.listApiKeys,
    handler: (request) => {
      const { older_than_days } = request.query
      const days = older_than_days === undefined ? undefined : Number(older_than_days)
      return api_keys.list(readOf(request), { older_than_days: days }, pageOf(request.query))
    },
  })
  app.route({
    ...contract.createApiKey,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await api_keys.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.rotateApiKey,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await api_keys.rotate(writeOf(request), request.params.id, request.body)),
  })
  app.route({
    ...contract.deleteApiKey,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await api_keys.delete(writeOf(request), request.params.id)),
  })
}
