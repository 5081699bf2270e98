import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { ErrorObject } from 'ajv'
import type { FastifyRequest } from 'fastify'
import type { Administration } from '../administration.ts'
import { BODY_LIMIT, pageOf } from '../contract/common.ts'
import * as contract from '../contract/entities.ts'
import { Failure } from '../failure.ts'
import { Entity, type EntityRef } from '../policy/model.ts'
import { problemsOf } from '../policy/validate.ts'
import { readOf } from './guard.ts'
import { lineFailure, readLines } from './ndjson.ts'
import type { App } from './server.ts'
import { named, sendAnswer, sendFound, writeOf } from './write.ts'

export function entityRoutes(app: App, { entities }: Administration): void {
  app.route({
    ...contract.listEntities,
    handler: (request) => {
      const { type } = request.query
      return entities.list(readOf(request), { type }, pageOf(request.query))
    },
  })
  app.route({
    ...contract.getEntity,
    handler: async (request, reply) => sendFound(reply, await entities.get(readOf(request), request.params)),
  })
  app.route({
    ...contract.getEntityByQuery,
    handler: async (request, reply) => sendFound(reply, await entities.get(readOf(request), request.query)),
  })
  app.route({
    ...contract.putEntity,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await entities.put(writeOf(request), named(request.params, request.body))),
  })
  app.route({
    ...contract.putEntityByQuery,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await entities.put(writeOf(request), named(refOf(request.query), request.body))),
  })
  app.route({
    ...contract.deleteEntity,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await entities.delete(writeOf(request), request.params)),
  })
  app.route({
    ...contract.deleteEntityByQuery,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await entities.delete(writeOf(request), request.query)),
  })
}

function refOf({ type, id }: EntityRef): { type: string; id: string } {
  return { type, id }
}

/** The bulk route reads NDJSON and nothing else, so it stands in a scope with a parser of its own. */
export function bulkRoutes(app: App, { entities }: Administration): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload))
  app.route({
    ...contract.bulkEntities,
    handler: async (request, reply) => {
      const found = await readEntities(request)
      return sendAnswer(request, reply, await entities.bulk(writeOf(request), each(found)))
    },
  })
}

async function readEntities(request: FastifyRequest): Promise<{ line: number; entity: Entity }[]> {
  if (request.body === undefined || request.body === null) {
    throw new Failure('invalid_request', 'the request has no body', {
      problems: [{ pointer: '', detail: 'a body in application/x-ndjson is required' }],
    })
  }
  const isEntity = request.compileValidationSchema(Entity)
  const digest = createHash('sha256').update(`${request.method}\n${request.url}\n`)
  const lines = await readLines(request.body as Readable, BODY_LIMIT.bundle, (chunk) => digest.update(chunk))
  if (request.headers['idempotency-key'] !== undefined) request.fingerprint = digest.digest()
  return lines.map(({ number, value }) => {
    if (isEntity(value)) return { line: number, entity: value as Entity }
    throw lineFailure(number, problemsOf((isEntity.errors ?? []) as ErrorObject[]))
  })
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

export function assignmentRoutes(app: App, { assignments }: Administration): void {
  app.route({
    ...contract.listAssignments,
    handler: (request) => {
      const { limit: _limit, cursor: _cursor, ...filter } = request.query
      return assignments.list(readOf(request), filter, pageOf(request.query))
    },
  })
  app.route({
    ...contract.createAssignment,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await assignments.create(writeOf(request), request.body)),
  })
  app.route({
    ...contract.deleteAssignment,
    handler: async (request, reply) =>
      sendAnswer(request, reply, await assignments.delete(writeOf(request), request.params.id)),
  })
}

export function changeRoutes(app: App, { changes }: Administration): void {
  app.route({
    ...contract.listChanges,
    handler: (request) => {
      const { after_revision } = request.query
      const after = after_revision === undefined ? 0 : Number(after_revision)
      return changes.list(readOf(request), after, pageOf(request.query))
    },
  })
}
