import Type, { type Static } from 'typebox'
import { AccessRequest, EntityRef, Obligation, Reason } from '../policy/model.ts'
import { QuotaUse } from '../policy/quota-use.ts'
import { BODY_LIMIT, DecisionHeaders, problems, type RouteConfig, warnings } from './common.ts'

/** In characters. */
export const TOKEN_MAX = 16_384

const { subject: NamedSubject, ...rest } = AccessRequest.properties

/** A subject by its name, by a token of an issuer that the tenant trusts, or by a security context: one of the three. */
export const DecisionSubject = Type.Unsafe({
  type: 'object',
  properties: {
    ...NamedSubject.properties,
    token: Type.String({
      minLength: 1,
      maxLength: TOKEN_MAX,
      description:
        "The end user's token, of a trusted issuer (`/v1/issuers`), in the place of type, id and properties: it is verified, and the decision is about whom it names.",
    }),
    context_token: Type.String({
      minLength: 1,
      maxLength: TOKEN_MAX,
      description:
        'A security context (`/v1/contexts`), in the place of type, id and properties: what its subject may do now, and it carries, is allowed. One that is no good is a deny: `context_invalid`, `context_expired`, `context_revoked`.',
    }),
  },
  if: { properties: { token: {} }, required: ['token'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { properties: { type: false, id: false, properties: false, context_token: false } },
  else: {
    if: { properties: { context_token: {} }, required: ['context_token'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: { type: false, id: false, properties: false } },
    else: { properties: { type: {}, id: {} }, required: ['type', 'id'] },
  },
})

/** A decision request whose subject is whom a token names. */
export type TokenRequest = Omit<AccessRequest, 'subject'> & { readonly subject: { readonly token: string } }
/** One whose subject is whom a security context is about. */
export type ContextRequest = Omit<AccessRequest, 'subject'> & { readonly subject: { readonly context_token: string } }

export type DecisionRequest = AccessRequest | TokenRequest | ContextRequest
export const DecisionRequest = Type.Unsafe<DecisionRequest>(Type.Object({ subject: DecisionSubject, ...rest }))

export const DecisionAnswer = Type.Object(
  {
    decision: Type.Boolean(),
    context: Type.Object({
      decision_id: Type.String({ description: 'The id of the audit record.' }),
      reason: Reason,
      rules: Type.Optional(
        Type.Array(Type.String(), { description: 'The rules that made the decision, as `policy/name`.' }),
      ),
      obligations: Type.Array(Obligation),
      revision: Type.Integer({ description: "The tenant's revision that the decision was made at." }),
      quotas: Type.Optional(
        Type.Array(QuotaUse, {
          description:
            'The quotas that the decision is about, where it is allowed by the rules: on `quota_exceeded` too.',
        }),
      ),
      subject: Type.Optional(
        Type.Object(EntityRef.properties, {
          description: 'Whom the token names, or the context is about, if one came.',
        }),
      ),
      ...warnings,
    }),
  },
  { description: 'The decision. A deny is a 200, never an error.' },
)
export type DecisionAnswer = Static<typeof DecisionAnswer>

export const authorize = {
  method: 'POST',
  url: '/v1/authorize',
  bodyLimit: BODY_LIMIT.route,
  config: { permission: { type: 'pdp:decision', action: 'pdp:decide' }, suspended: 'answers' } satisfies RouteConfig,
  schema: {
    operationId: 'authorize',
    tags: ['Decisions'],
    summary: 'May this subject do this action on this resource?',
    description:
      'Default deny. `options.min_revision`, or the header `Verdict-Min-Revision`, from the header `Verdict-Revision` of a write, makes the answer at least that fresh on every replica. Properties that do not fit the schema of their type are a 400, or `warnings` where the type says so.',
    headers: DecisionHeaders,
    body: DecisionRequest,
    response: { 200: DecisionAnswer, ...problems(400, 401, 403, 503) },
  },
} as const
