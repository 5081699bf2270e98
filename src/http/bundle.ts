import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { Ajv } from 'ajv'
import type { FastifyRequest } from 'fastify'
import type { Administration } from '../administration.ts'
import * as contract from '../contract/bundle.ts'
import { BODY_LIMIT } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { fingerprint } from './body.ts'
import { type BundleFormat, BundleReader } from './bundle-reader.ts'
import { JSON_TEXT, TextCollector, YAML_TEXT } from './bundle-text.ts'
import { callOf, readOf } from './guard.ts'
import { header } from './origin.ts'
import type { App } from './server.ts'
import { sendAnswer, writeOf } from './write.ts'

const YAML_TYPES = ['application/yaml', 'application/x-yaml', 'text/yaml'] as const

/** The body of a bundle is kept as it came until it is read off the event loop, so this is a scope of its own. */
export function bundleRoutes(app: App, { bundle }: Administration): void {
  const reader = new BundleReader()
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>(
    ['application/json', ...YAML_TYPES],
    { parseAs: 'buffer' },
    (request, body, done) => {
      fingerprint(request, body)
      done(null, body.length === 0 ? undefined : body)
    },
  )
  app.route({
    ...contract.getBundle,
    handler: async (request, reply) => {
      const text = new TextCollector(formatAsked(request, request.query.format) === 'yaml' ? YAML_TEXT : JSON_TEXT)
      const mayReadSettings = callOf(request).roles.includes('pdp:admin')
      // It is collected before it is sent: a slow reader would hold a transaction open.
      const { revision } = await bundle.export(readOf(request), mayReadSettings, async (part) => {
        for (const _piece of text.take(part)) await turn()
      })
      reply.header('etag', `"${revision}"`).header('verdict-revision', String(revision)).type(text.type)
      return reply.send(Readable.from(text.end()))
    },
  })
  app.route({
    ...contract.putBundle,
    bodyLimit: BODY_LIMIT.bundle,
    // Its schema is the bundle's; a big one is held against it off the event loop, with all problems at once.
    validatorCompiler: ({ schema, httpPart }) => (httpPart === 'body' ? () => true : ajv.compile(schema as object)),
    handler: async (request, reply) => {
      const write = writeOf(request)
      const apply = request.query.dry_run === 'true' ? bundle.rehearse : bundle.apply
      const answer = await reader.with(bytesOf(request), formatOf(request), (read) => apply(write, read))
      return sendAnswer(request, reply, answer)
    },
  })
}

const ajv = new Ajv({ strict: false })

function bytesOf({ body }: FastifyRequest<{ Body: unknown }>): Buffer {
  if (Buffer.isBuffer(body)) return body
  throw new Failure('invalid_request', 'the request has no body')
}

function formatOf(request: FastifyRequest): BundleFormat {
  return /yaml/i.test(header(request, 'content-type') ?? '') ? 'yaml' : 'json'
}

/** What the query asks for, else the first that `Accept` names of what there is, else JSON. */
function formatAsked(request: FastifyRequest, asked: BundleFormat | undefined): BundleFormat {
  if (asked !== undefined) return asked
  const accepted = (header(request, 'accept') ?? '').toLowerCase().split(',')
  const ranked = accepted
    .map((range) => ({ type: range.split(';')[0]?.trim() ?? '', q: Number(/;\s*q=([\d.]+)/.exec(range)?.[1] ?? 1) }))
    .filter(({ type, q }) => q > 0 && (type === 'application/json' || isYaml(type)))
    .sort((one, other) => other.q - one.q)
  return isYaml(ranked[0]?.type ?? '') ? 'yaml' : 'json'
}

function isYaml(type: string): boolean {
  return (YAML_TYPES as readonly string[]).includes(type)
}
