import Type, { type Static, type TSchema } from 'typebox'
import { AccessRequest, Identifier, Properties } from '../policy/model.ts'
import { ACCESS_ENDPOINTS, accessConfig, accessProblems } from './access.ts'
import { BODY_LIMIT, DecisionHeaders } from './common.ts'

const { subject, action, resource, context, options } = AccessRequest.properties

/** What is searched for is named by its type alone: an `id` is not looked at. */
const OfType = Type.Object({ type: Identifier })

const PageParameters = Type.Object({
  token: Type.Optional(
    Type.String({ minLength: 1, maxLength: 8192, description: 'The `next_token` of the page before; absent first.' }),
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'How many results at most: 100 where it is left out, 1,000 at most. After the first page it stays what it was.',
    }),
  ),
  properties: Type.Optional(Properties),
})
export type PageParameters = Readonly<Static<typeof PageParameters>>

const asked = { context, page: Type.Optional(PageParameters), options }

export const SubjectSearch = Type.Object({ subject: OfType, action, resource, ...asked })
export type SubjectSearch = Readonly<Static<typeof SubjectSearch>>

export const ResourceSearch = Type.Object({ subject, action, resource: OfType, ...asked })
export type ResourceSearch = Readonly<Static<typeof ResourceSearch>>

/** An `action` is not part of it: it is not looked at. */
export const ActionSearch = Type.Object({ subject, resource, ...asked })
export type ActionSearch = Readonly<Static<typeof ActionSearch>>

const found = <T extends TSchema>(result: T) =>
  Type.Object({
    page: Type.Object({
      next_token: Type.String({ description: 'Where to go on; "" where there is nothing more, and only there.' }),
    }),
    results: Type.Array(result),
  })

const Entity = Type.Object({ type: Identifier, id: Identifier }, { additionalProperties: false })
const Action = Type.Object({ name: Identifier }, { additionalProperties: false })

const description =
  'Results are in byte order, each is one that an evaluation allows, and none is left out: a page that has looked at as much as one call may is shorter than asked for, and has a `next_token`. Answers to equal requests are equal; the id of the record is in the header `X-Decision-Id`.'

export const subjectSearch = {
  method: 'POST',
  url: ACCESS_ENDPOINTS.search_subject_endpoint,
  bodyLimit: BODY_LIMIT.route,
  config: accessConfig,
  schema: {
    operationId: 'accessSubjectSearch',
    tags: ['AuthZEN'],
    summary: 'Subject Search (AuthZEN 1.0): which stored subjects of a type may do this?',
    description,
    headers: DecisionHeaders,
    body: SubjectSearch,
    response: { 200: found(Entity), ...accessProblems },
  },
} as const

export const resourceSearch = {
  method: 'POST',
  url: ACCESS_ENDPOINTS.search_resource_endpoint,
  bodyLimit: BODY_LIMIT.route,
  config: accessConfig,
  schema: {
    operationId: 'accessResourceSearch',
    tags: ['AuthZEN'],
    summary: 'Resource Search (AuthZEN 1.0): to which stored resources of a type may this be done?',
    description,
    headers: DecisionHeaders,
    body: ResourceSearch,
    response: { 200: found(Entity), ...accessProblems },
  },
} as const

export const actionSearch = {
  method: 'POST',
  url: ACCESS_ENDPOINTS.search_action_endpoint,
  bodyLimit: BODY_LIMIT.route,
  config: accessConfig,
  schema: {
    operationId: 'accessActionSearch',
    tags: ['AuthZEN'],
    summary: 'Action Search (AuthZEN 1.0): what may this subject do to this resource?',
    description: `${description} Looked at are the actions that the resource's type declares, and those that rules and permissions name literally.`,
    headers: DecisionHeaders,
    body: ActionSearch,
    response: { 200: found(Action), ...accessProblems },
  },
} as const
