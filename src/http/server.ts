import { randomUUID } from 'node:crypto'
import type { RequestListener } from 'node:http'
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyTypeProvider, LogController } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { BODY_LIMIT, type RouteConfig } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { readBodies } from './body.ts'
import { allowOrigins } from './cors.ts'
import { DOCS, documentationPages } from './docs.ts'
import { answerHeaders } from './headers.ts'
import { describeRoutes } from './openapi.ts'
import { Paths } from './paths.ts'
import { clientProblem, sendProblem } from './problem.ts'
import { readQueries } from './query.ts'
import { timeRequests } from './timing.ts'
import { type TlsFiles, tlsServer } from './tls.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    permission?: RouteConfig['permission']
    acting?: boolean
    unaudited?: true
    own?: true
    body?: 'optional'
    suspended?: 'answers'
    revokes?: true
  }
}

/**
 * Requests are typed by their route's schema. Answers are not: the use cases give read-only values, which the types of
 * a schema never are, so every answer is held against its schema when the tests run instead.
 */
interface RequestTypes extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: unknown
}

/** Fastify with requests typed by TypeBox schemas. */
export type App = FastifyInstance<
  import('node:http').Server,
  import('node:http').IncomingMessage,
  import('node:http').ServerResponse,
  FastifyBaseLogger,
  RequestTypes
>

/** Ids are up to 512 characters, each up to 12 bytes when it is written into a path. */
const MAX_PARAM_LENGTH = 512 * 12

/** ms. Whoever is slower than this is no caller but somebody who holds connections open. */
const TIMEOUTS = { requestTimeout: 60_000, connectionTimeout: 120_000, keepAliveTimeout: 72_000 } as const
const HEADERS_TIMEOUT = 15_000
/** How often connections are held against these. Node's own 30 s would make 45 s of the 15. */
const CHECKED_EVERY = 2_000
const MAX_HEADER_BYTES = 16_384

/** What is recorded of an `X-Request-ID`; one that is longer, or not of these, comes back and is not recorded. */
const REQUEST_ID = /^[ -~]{1,512}$/

export interface ServerOptions {
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles | undefined
  readonly trustedProxies?: readonly string[]
  readonly corsOrigins?: readonly string[]
  readonly logger: FastifyBaseLogger
  readonly metrics: Metrics
  readonly isClosing: () => boolean
}

/** The bare door: limits, strict reading, problems as answers. Routes are put behind it by `routes.ts`. */
export async function createServer(options: ServerOptions): Promise<App> {
  const { logger, metrics, isClosing, tls, trustedProxies = [], corsOrigins = [] } = options
  const app = fastify({
    ...(tls !== undefined && { serverFactory: tlsFactory(tls, logger) }),
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Nothing is logged of most requests, and a logger of its own for each costs 4 % of the time to answer it.
    childLoggerFactory: (parent) => parent,
    bodyLimit: BODY_LIMIT.route,
    ...TIMEOUTS,
    http: {
      headersTimeout: HEADERS_TIMEOUT,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: CHECKED_EVERY,
    },
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    requestIdHeader: false,
    genReqId: (request) => {
      const given = request.headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
    },
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply),
    clientErrorHandler: clientProblem,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // Ajv's usual leniency rewrites what came in (null → "", 5 → "5"): in a PDP that confuses identities.
    ajv: {
      // What else a body with a `discriminator` does not fit is said of the one that it chose.
      customOptions: {
        discriminator: true,
        coerceTypes: false,
        useDefaults: false,
        removeAdditional: false,
        allErrors: false,
        // For the faults that are told: what there was to choose from.
        verbose: true,
      },
    },
  }).withTypeProvider<RequestTypes>()
  // What a schema does not know is not dropped from an answer on the quiet.
  app.setSerializerCompiler(() => JSON.stringify)
  app.setErrorHandler(sendProblem)
  timeRequests(app, metrics)
  const paths = new Paths()
  app.setNotFoundHandler((request, reply) => {
    const methods = paths.methodsAt(request.url)
    if (methods.length === 0 || methods.includes(request.method)) {
      return sendProblem(new Failure('not_found', noRouteAt(request.url)), request, reply)
    }
    const allow = methods.join(', ')
    reply.header('allow', allow)
    return sendProblem(new Failure('method_not_allowed', `this route takes ${allow}`), request, reply)
  })
  app.addHook('onRoute', (route) => {
    paths.add(route.url, route.method)
    // Pages about the API, which a library brings.
    if (isWithin(DOCS, route.url)) route.config = { ...route.config, permission: 'anyone', unaudited: true }
    if (route.config?.permission === undefined) throw new Error(`${route.method} ${route.url} declares no permission`)
  })
  answerHeaders(app, isClosing)
  allowOrigins(app, corsOrigins)
  readBodies(app)
  readQueries(app)
  await describeRoutes(app)
  await documentationPages(app)
  return app
}

/** Of a route that is open to everybody: what asks for its head only is answered as a GET without its body. */
export const HEAD = { exposeHeadRoute: true } as const

/** Whoever opens the root in a browser looks for a way in. */
function noRouteAt(url: string): string {
  const [path] = url.split('?', 1)
  return path === '/' ? `there is no such route: the documentation is at ${DOCS}` : 'there is no such route'
}

function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(`${root}/`)
}

function tlsFactory(files: TlsFiles, logger: FastifyBaseLogger) {
  return (listener: RequestListener) => {
    const told = (error: unknown) => {
      if (error === undefined) logger.info('the TLS certificate was read anew')
      else logger.error({ err: error }, "the TLS certificate can't be used: the one before stays")
    }
    const server = tlsServer(
      files,
      { maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: CHECKED_EVERY },
      listener,
      told,
    )
    server.setTimeout(TIMEOUTS.connectionTimeout)
    const { requestTimeout, keepAliveTimeout } = TIMEOUTS
    return Object.assign(server, { requestTimeout, keepAliveTimeout, headersTimeout: HEADERS_TIMEOUT })
  }
}
