import Type, { type Static } from 'typebox'
import type { Problem } from '../failure.ts'
import { escaped, membersOf } from './json.ts'
import { Identifier, Name, Properties } from './model.ts'

/** How tokens may be signed. Nothing symmetric: who can verify such a token can make one. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

const closed = { additionalProperties: false } as const

const Url = (description: string) =>
  Type.String({ minLength: 1, maxLength: 512, pattern: '^https?://[!-~]+$', description })

/** A claim by its name, or by a JSON pointer into the claims where it begins with `/`. */
const Claim = Type.String({ minLength: 1, maxLength: 512, description: 'The name of a claim, or a JSON pointer.' })

const Scalar = Type.Union([Type.String({ maxLength: 2000 }), Type.Number(), Type.Boolean()])

/** Which subject a token is about, and what it says of it. */
const Claims = Type.Object(
  {
    subject: Type.Object(
      {
        type: Identifier,
        claim: Type.Optional(Claim),
        prefix: Type.Optional(Type.String({ maxLength: 128, description: 'Put before the claim to make the id.' })),
      },
      closed,
    ),
    properties: Type.Optional(
      Type.Record(Type.String(), Claim, { maxProperties: 100, description: 'From a property to its claim.' }),
    ),
    roles: Type.Optional(
      Type.Object(
        {
          claim: Claim,
          separator: Type.Optional(
            Type.String({ minLength: 1, maxLength: 1, description: 'Where the claim is one text: what parts it.' }),
          ),
          map: Type.Optional(
            Type.Record(Type.String(), Name, {
              maxProperties: 1000,
              description: 'From a value of the claim to a role. Without it the values are names of roles.',
            }),
          ),
        },
        closed,
      ),
    ),
    required: Type.Optional(
      Type.Record(Type.String(), Type.Union([Scalar, Type.Array(Scalar, { minItems: 1, maxItems: 100 })]), {
        maxProperties: 20,
        description: 'What else a token must say: a value, or one of a list.',
      }),
    ),
  },
  closed,
)

/** A trusted issuer of tokens. Its keys come from its discovery document unless it says otherwise. */
export const Issuer = Type.Object(
  {
    name: Name,
    description: Type.Optional(Type.String({ maxLength: 2000 })),
    enabled: Type.Optional(Type.Boolean()),
    issuer: Url('What `iss` says in its tokens, to the letter.'),
    discovery_url: Type.Optional(Url('Where its discovery document is, if not at its usual place.')),
    jwks_uri: Type.Optional(Url('Where its keys are.')),
    jwks: Type.Optional(
      Type.Object({ keys: Type.Array(Properties, { minItems: 1, maxItems: 100 }) }, { description: 'Public keys.' }),
    ),
    audiences: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), {
      minItems: 1,
      maxItems: 20,
      uniqueItems: true,
      description: 'A token must be meant for one of them (`aud`).',
    }),
    algorithms: Type.Optional(Type.Array(Type.Enum([...ALGORITHMS]), { minItems: 1, uniqueItems: true })),
    token_types: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 100, pattern: '^[!-~]+$' }), {
        minItems: 1,
        maxItems: 10,
        uniqueItems: true,
        description: 'What `typ` may say in the header. A token without it counts as a `JWT`.',
      }),
    ),
    claims: Claims,
    allowed_roles: Type.Optional(
      Type.Array(Name, {
        maxItems: 1000,
        uniqueItems: true,
        description:
          'The roles that its tokens may give. Of the built-in roles, nobody holds any other by a token of it either, however they are assigned.',
      }),
    ),
    max_token_age: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 31_622_400, description: 'Seconds since `iat`.' }),
    ),
    clock_tolerance: Type.Optional(Type.Integer({ minimum: 0, maximum: 300, description: 'Seconds.' })),
  },
  closed,
)
export type Issuer = Readonly<Static<typeof Issuer>>

export type IssuerWithDefaults = Issuer & Required<Pick<Issuer, keyof typeof DEFAULTS>>

const DEFAULTS = {
  description: '',
  enabled: true,
  algorithms: ['RS256'] as Algorithm[],
  token_types: ['at+jwt', 'JWT'],
  allowed_roles: [] as string[],
  max_token_age: 86_400,
  clock_tolerance: 30,
}

export function normalIssuer(issuer: Issuer): IssuerWithDefaults {
  return { ...DEFAULTS, ...issuer }
}

/** The one member of a private or symmetric key that says that it is one. */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** What is wrong with a registration by itself. */
export function checkIssuer(issuer: Issuer): Problem[] {
  const { claims, jwks, allowed_roles = [] } = issuer
  const { subject, roles, properties = {}, required = {} } = claims
  const paths = [
    ['/claims/subject/claim', subject.claim],
    ['/claims/roles/claim', roles?.claim],
    ...Object.entries(properties).map(([name, path]) => [`/claims/properties/${escaped(name)}`, path] as const),
    ...Object.keys(required).map((path) => [`/claims/required/${escaped(path)}`, path] as const),
  ] as const
  return [
    ...urlProblems(issuer),
    ...(subject.type.startsWith('pdp:')
      ? [{ pointer: '/claims/subject/type', detail: 'names that begin with "pdp:" are built in' }]
      : []),
    ...paths.flatMap(([pointer, path]) => (path === undefined ? [] : pathProblems(pointer, path))),
    ...(jwks?.keys ?? []).flatMap((key, place) => secretProblems(`/jwks/keys/${place}`, key)),
    ...Object.entries(roles?.map ?? {})
      .filter(([, role]) => !allowed_roles.includes(role))
      .map(([value, role]) => ({
        pointer: `/claims/roles/map/${escaped(value)}`,
        detail: `${role} is not among the allowed_roles`,
      })),
  ]
}

function urlProblems({ issuer, discovery_url, jwks_uri, jwks }: Issuer): Problem[] {
  const sources = Object.entries({ discovery_url, jwks_uri, jwks }).filter(([, source]) => source !== undefined)
  const [, second] = sources
  return [
    ...urlProblem('/issuer', issuer),
    ...urlProblem('/discovery_url', discovery_url),
    ...urlProblem('/jwks_uri', jwks_uri),
    ...(second === undefined
      ? []
      : [{ pointer: `/${second[0]}`, detail: 'keys come from one place: discovery_url, jwks_uri or jwks' }]),
  ]
}

const LOCAL = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Plain http is for development: with this machine itself, and fetched only where the deployment says so. */
function urlProblem(pointer: string, text: string | undefined): Problem[] {
  if (text === undefined) return []
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) return [{ pointer, detail: 'is no URL' }]
  if (url.protocol !== 'https:' && !LOCAL.test(url.hostname)) return [{ pointer, detail: 'is no https URL' }]
  if (url.username !== '' || url.password !== '') return [{ pointer, detail: 'holds credentials' }]
  if (text.includes('#')) return [{ pointer, detail: 'holds a fragment' }]
  return pointer === '/issuer' && text.includes('?') ? [{ pointer, detail: 'holds a query' }] : []
}

function secretProblems(pointer: string, key: object): Problem[] {
  return SECRET_MEMBERS.filter((member) => Object.hasOwn(key, member)).map((member) => ({
    pointer: `${pointer}/${member}`,
    detail: 'is a member of a secret key: only public keys belong here, and this one is no secret any more',
  }))
}

function pathProblems(pointer: string, path: string): Problem[] {
  const isBroken = path.startsWith('/') && /~(?![01])/.test(path)
  return isBroken ? [{ pointer, detail: 'is no JSON pointer' }] : []
}

/** What the claims say at a place; undefined where they say nothing. Only members of objects are looked at. */
export function claimAt(claims: Properties, path: string): unknown {
  let value: unknown = claims
  for (const member of placeOf(path)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, member)) {
      return undefined
    }
    value = Reflect.get(value, member)
  }
  return value
}

/** The members that a place is reached by, from the claims down. */
export function placeOf(path: string): string[] {
  if (!path.startsWith('/')) return [path]
  return membersOf(path)
}
