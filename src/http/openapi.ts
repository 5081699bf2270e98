import fastifySwagger from '@fastify/swagger'
import fastify, { type FastifyInstance, type FastifySchema, type RouteOptions } from 'fastify'
import { alwaysPossible, Problem } from '../contract/common.ts'
import { ROUTES } from '../contract/routes.ts'
import { VERSION } from '../contract/version.ts'
import { withComponents } from './openapi-components.ts'

const DESCRIPTION = `Verdict is a policy decision point: services ask whether a subject may do an action on a resource.
Every decision is recorded before it is answered.

Errors are problem details (RFC 9457). Lists take \`limit\` and \`cursor\`. A write answers with the tenant's new
revision in the header \`Verdict-Revision\` (a question that must be answered by it names it in
\`Verdict-Min-Revision\`), and takes \`Verdict-Reason\`, \`Idempotency-Key\` and \`If-Match\`.`

const TAGS = [
  ['Decisions', 'Asking'],
  ['AuthZEN', 'Asking by the Authorization API 1.0 of the OpenID Foundation'],
  ['Authentication', 'Who calls'],
  ['Types', 'What subjects and resources there are, and their properties'],
  ['Policies', 'Named sets of rules and how they combine'],
  ['Roles', 'What is permitted to whoever holds them'],
  ['Rules', 'Allow and deny'],
  ['Entities', 'Subjects and resources that Verdict knows'],
  ['Assignments', 'Who holds which role'],
  ['Bundle', 'The whole policy as one document'],
  ['Changes', 'The policy change log'],
  ['Audit', 'What was decided and done'],
  ['Tenants', 'For operators'],
  ['Settings', "A tenant's own settings"],
  ['API keys', 'Credentials of services'],
  ['Credentials', 'What people log in with'],
  ['Quotas', 'How much may be allowed'],
  ['Issuers', 'Whose tokens are trusted'],
  ['Operations', 'Health, metrics and this document'],
] as const

/** Collects the OpenAPI document from the routes' schemas: register it before the routes. */
export async function describeRoutes(app: FastifyInstance): Promise<void> {
  app.addSchema(Problem)
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Verdict',
        version: VERSION,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'Where Verdict listens' }],
      tags: TAGS.map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API key (`vdt_…`) or an access token from `/v1/authenticate`.',
          },
        },
      },
      security: [{ bearer: [] }],
    },
    transform: ({ schema, url, route }) => ({ schema: withEveryAnswer(schema, route), url }),
    transformObject: (made) => ('openapiObject' in made ? withComponents(made.openapiObject) : made.swaggerObject),
    refResolver: {
      buildLocalReference: (json, _base, _fragment, at) =>
        typeof json['$id'] === 'string' ? json['$id'] : `def-${at}`,
    },
  })
}

/** What the way to a handler may answer is said here, so that no route can forget it. */
function withEveryAnswer(schema: FastifySchema, { config }: RouteOptions): FastifySchema {
  if (schema?.response === undefined || config === undefined) return schema
  const body = schema.body ?? (schema.consumes?.includes('application/x-ndjson') ? LINES : undefined)
  const response = { ...alwaysPossible(config, schema), ...schema.response }
  return { ...schema, ...(body !== undefined && { body }), response }
}

/** A body that is read line by line, as it comes: no validator ever sees the whole. */
const LINES = { type: 'string', description: 'One JSON object in each line.' }

/** The document, made from the contract alone: no server and no database is needed for it. */
export async function openapiDocument(): Promise<object> {
  const app = fastify({ exposeHeadRoutes: false, ajv: { customOptions: { discriminator: true } } })
  await describeRoutes(app)
  for (const route of ROUTES) {
    app.route({
      ...route,
      handler: () => {
        throw new Error('this server only describes')
      },
    })
  }
  await app.ready()
  return app.swagger()
}
