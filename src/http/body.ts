import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Failure } from '../failure.ts'
import { parseJson } from './json.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** SHA-256 of method, path and body; set where the request carries an `Idempotency-Key`. */
    fingerprint: Buffer | null
  }
}

/**
 * How bodies are read: JSON, strictly, and nothing else. Fastify's own parser for text/plain would carry a body past
 * a schema that is bound to JSON.
 */
export function readBodies(app: FastifyInstance): void {
  app.decorateRequest('fingerprint', null)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      fingerprint(request, body)
      done(null, body.length === 0 ? undefined : parseJson(body))
    } catch (error) {
      done(error as Error)
    }
  })
  // After the guard, so that who is nobody learns nothing. Read as it came, such a body would be another one than what
  // stands in front has unpacked and looked at.
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    const encoding = request.headers['content-encoding']
    if (encoding === undefined || encoding.toLowerCase() === 'identity') done()
    else done(new Failure('unsupported_media_type', 'a body is taken without a Content-Encoding only'))
  })
  app.addHook('preValidation', (request, _reply, done) => {
    const { config, schema } = request.routeOptions
    const wantsBody = schema?.body !== undefined
    if (wantsBody && config.body === 'optional') request.body ??= {}
    if (wantsBody && request.body === undefined) done(missingBody())
    else {
      if (request.fingerprint === null) fingerprint(request, EMPTY)
      done()
    }
  })
}

const EMPTY = Buffer.alloc(0)

export function fingerprint(request: FastifyRequest, body: Buffer): void {
  if (request.headers['idempotency-key'] === undefined) return
  request.fingerprint = createHash('sha256').update(`${request.method}\n${request.url}\n`).update(body).digest()
}

function missingBody(): Failure {
  return new Failure('invalid_request', 'the request has no body', {
    problems: [{ pointer: '', detail: 'a JSON body is required' }],
  })
}
