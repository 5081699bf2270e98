import type { FastifyReply } from 'fastify'
import * as contract from '../../contract/search.ts'
import type { Search, SearchAsked } from '../../pdp/search.ts'
import type { AccessRequest } from '../../policy/model.ts'
import type { SearchQuery } from '../../policy/search/search.ts'
import { callOf } from '../guard.ts'
import type { App } from '../server.ts'
import { nameDecision } from './scope.ts'

/** Subject, Resource and Action Search. */
export function searchRoutes(app: App, search: Search): void {
  app.route({
    ...contract.subjectSearch,
    handler: async (request, reply) => {
      const { subject, action, resource } = request.body
      const { type } = subject
      const query = { kind: 'subject', subject: { type }, action: acted(action), resource: named(resource) } as const
      const found = await search(callOf(request), asked(query, request.body))
      return answer(reply, found, (id) => ({ type, id }))
    },
  })
  app.route({
    ...contract.resourceSearch,
    handler: async (request, reply) => {
      const { subject, action, resource } = request.body
      const { type } = resource
      const query = { kind: 'resource', subject: named(subject), action: acted(action), resource: { type } } as const
      const found = await search(callOf(request), asked(query, request.body))
      return answer(reply, found, (id) => ({ type, id }))
    },
  })
  app.route({
    ...contract.actionSearch,
    handler: async (request, reply) => {
      const { subject, resource } = request.body
      const query = { kind: 'action', subject: named(subject), resource: named(resource) } as const
      const found = await search(callOf(request), asked(query, request.body))
      return answer(reply, found, (name) => ({ name }))
    },
  })
}

function asked(
  query: SearchQuery,
  { context, page, options }: Pick<contract.ActionSearch, 'context' | 'page' | 'options'>,
): SearchAsked {
  return {
    query: context === undefined ? query : { ...query, context },
    page,
    min_revision: options?.min_revision,
  }
}

/** `page` stands before `results`, so that whoever reads a stream knows first whether there is more. */
function answer<T>(
  reply: FastifyReply,
  { id, next_token, results }: Awaited<ReturnType<Search>>,
  resultOf: (text: string) => T,
) {
  nameDecision(reply, id)
  return { page: { next_token }, results: results.map(resultOf) }
}

// Members that the contract does not know are no part of a query: a page is not told from another by them.

function named({ type, id, properties }: AccessRequest['subject']): AccessRequest['subject'] {
  return properties === undefined ? { type, id } : { type, id, properties }
}

function acted({ name, properties }: AccessRequest['action']): AccessRequest['action'] {
  return properties === undefined ? { name } : { name, properties }
}
