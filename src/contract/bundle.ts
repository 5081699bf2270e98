import Type, { type TSchema } from 'typebox'
import { Bundle } from '../policy/model.ts'
import { closed, problems, ReadHeaders, type RouteConfig, WriteHeaders, writeProblems } from './common.ts'

const counts = {
  added: Type.Integer(),
  changed: Type.Integer(),
  removed: Type.Integer(),
  unchanged: Type.Integer(),
}

const Difference = Type.Object({
  change: Type.Union([Type.Literal('added'), Type.Literal('changed'), Type.Literal('removed')]),
  name: Type.String({
    description: 'A name; of an entity `type/id`; of an assignment who holds what, where and when.',
  }),
  members: Type.Optional(
    Type.Array(
      Type.Object({
        member: Type.String(),
        before: Type.Optional(Type.Unknown({ description: 'Absent: the member was not there.' })),
        after: Type.Optional(Type.Unknown({ description: 'Absent: the member is not there any more.' })),
        values: Type.Optional(
          Type.Literal('omitted', { description: 'The answer would have become too long; `/v1/changes` has them.' }),
        ),
      }),
      { description: 'Of what is changed: the members that differ.' },
    ),
  ),
})

const SectionDiff = Type.Object({
  ...counts,
  differences: Type.Array(Difference),
  more: Type.Integer({ description: 'How many differences there are beyond the 1,000 that are listed.' }),
})

const section = Type.Optional(SectionDiff)

export const BundleDiff = Type.Object({
  dry_run: Type.Boolean(),
  ...counts,
  sections: Type.Object(
    {
      settings: section,
      types: section,
      policies: section,
      roles: section,
      rules: section,
      entities: section,
      assignments: section,
    },
    { description: 'The sections that the bundle declares.' },
  ),
  warnings: Type.Optional(
    Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }), {
      description: 'Of what is added or changed: what no type declares, and what does not fit a type that only warns.',
    }),
  ),
})

/** In both formats it is the same document. */
const both = (description: string, yaml: TSchema) =>
  ({
    description,
    content: { 'application/json': { schema: Bundle }, 'application/yaml': { schema: yaml } },
  }) as unknown as TSchema

const may = (action: 'pdp:read' | 'pdp:write'): RouteConfig => ({ permission: { type: 'pdp:bundle', action } })

export const getBundle = {
  method: 'GET',
  url: '/v1/bundle',
  config: may('pdp:read'),
  schema: {
    operationId: 'getBundle',
    tags: ['Bundle'],
    summary: "Export the tenant's policy as one document",
    description: `JSON, or YAML with \`Accept: application/yaml\` or \`?format=yaml\`. All sections are there,
\`settings\` only for who holds \`pdp:admin\`, so that applying it gives another tenant the same of these. Quotas,
capabilities, permission requests, security contexts, trusted issuers, API keys and passwords are not in it. Members that have their
defaults are left out, and so are holders of built-in roles with all that is theirs. The ETag is the tenant's revision.`,
    headers: ReadHeaders,
    querystring: Type.Object(
      { format: Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('yaml')])) },
      closed,
    ),
    response: { 200: both('The bundle', Type.String()), ...problems(400, 401, 403, 404, 503) },
  },
} as const

export const putBundle = {
  method: 'PUT',
  url: '/v1/bundle',
  config: may('pdp:write'),
  schema: {
    operationId: 'applyBundle',
    tags: ['Bundle'],
    summary: 'Make the tenant what a bundle declares: all of it in one revision, or nothing',
    description: `A section that is present declares the whole of it: what it does not list is deleted (of entities and
assignments only what an earlier bundle made). A section that is absent is left alone. Every problem is listed. The
answer says what differed; with \`dry_run=true\` what would, and nothing is written. \`If-Match\` takes the ETag of the
export. YAML is read without anchors, aliases and tags, and at most 50 MiB of either.`,
    consumes: ['application/yaml', 'application/json'],
    headers: WriteHeaders,
    querystring: Type.Object(
      { dry_run: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) },
      closed,
    ),
    body: both('The bundle', Bundle),
    response: { 200: BundleDiff, ...writeProblems, ...problems(413, 415) },
  },
} as const
