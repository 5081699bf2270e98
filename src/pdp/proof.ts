import type { ContextTokens } from '../authn/context/tokens.ts'
import type { Registrations } from '../authn/issuer/registrations.ts'
import type { TrustedTokens } from '../authn/issuer/trusted-tokens.ts'
import type { Identity, Refused } from '../authn/issuer/verify.ts'
import type { ContextRequest, DecisionRequest, TokenRequest } from '../contract/authorize.ts'
import { Failure } from '../failure.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import type { GivenAssignment } from '../policy/change.ts'
import type { Facts } from '../policy/entity-graph.ts'
import type { AccessRequest } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import { NOBODY, type Presented, present } from './context.ts'

/** By whose word a request's subject is who it is. The token itself goes no further than this. */
export interface Proof {
  readonly issuer: string
  /** Of the issuer's registration. */
  readonly version: number
  readonly jti: string | null
  readonly roles: readonly string[]
  /** ms since the epoch. */
  readonly until: number
}

/** A request about a subject with a name, whether it came with one, with a token or with a context. */
export interface ProvenRequest {
  readonly request: AccessRequest
  readonly proof: Proof | undefined
  readonly presented: Presented | undefined
}

export interface ProofParts {
  readonly snapshots: Snapshots
  readonly tokens: TrustedTokens
  readonly contexts: ContextTokens
  readonly clock: () => number
}

/**
 * Takes the subject of a request out of its token; at once where the token is known. What it says of the subject stands in
 * the request as if the caller had said it. Fails with `invalid_subject_token`, or `issuer_unavailable`.
 */
export function proveSubject(
  parts: ProofParts,
  tenant: string,
  asked: DecisionRequest,
): ProvenRequest | Promise<ProvenRequest> {
  if (isNamed(asked)) return { request: asked, proof: undefined, presented: undefined }
  if (isCarried(asked)) return carriedIn(parts, tenant, asked)
  const { token } = asked.subject
  const found = parts.snapshots.tenant(tenant)
  if (found instanceof Promise) return found.then((each) => proveIn(parts, each, asked, token))
  return proveIn(parts, found, asked, token)
}

function isNamed(asked: DecisionRequest): asked is AccessRequest {
  return !('token' in asked.subject) && !('context_token' in asked.subject)
}

function isCarried(asked: TokenRequest | ContextRequest): asked is ContextRequest {
  return 'context_token' in asked.subject
}

function carriedIn(
  { contexts }: ProofParts,
  tenant: string,
  asked: ContextRequest,
): ProvenRequest | Promise<ProvenRequest> {
  const presenting = present(contexts, asked.subject.context_token, tenant)
  if (presenting instanceof Promise) return presenting.then((each) => carried(asked, each))
  return carried(asked, presenting)
}

/** One that is refused goes on, about nobody: it is a deny, and recorded as one. */
function carried(asked: ContextRequest, presented: Presented): ProvenRequest {
  const { action, resource, context, options } = asked
  const subject = presented.verified?.claims.subject ?? NOBODY
  const request = {
    subject,
    action,
    resource,
    ...(context !== undefined && { context }),
    ...(options !== undefined && { options }),
  }
  return { request, proof: undefined, presented }
}

function proveIn(
  { tokens, clock }: ProofParts,
  tenant: TenantSnapshot | undefined,
  asked: TokenRequest,
  token: string,
): ProvenRequest | Promise<ProvenRequest> {
  if (tenant === undefined) throw new Failure('not_found', 'there is no such tenant')
  const identity = tokens.verify(tenant.id, tenant.issuers, token, clock())
  if (identity instanceof Promise) return identity.then((each) => proven(asked, each))
  return proven(asked, identity)
}

function proven(asked: TokenRequest, identity: Identity | Refused): ProvenRequest {
  if ('code' in identity) throw failureOf(identity)
  const { subject, properties, registration, jti, roles, until } = identity
  const { issuer, version } = registration
  return {
    request: { ...asked, subject: { ...subject, properties } },
    // Built-in roles are for those who call Verdict, not for those whom it is asked about.
    proof: { issuer: issuer.name, version, jti, roles: roles.filter((role) => !isBuiltIn(role)), until },
    presented: undefined,
  }
}

function failureOf({ code, detail }: Refused): Failure {
  if (code === 'unavailable') {
    return new Failure('issuer_unavailable', `the subject's token can't be verified: ${detail}`, { retryAfter: 10 })
  }
  return invalid(detail)
}

function invalid(detail: string): Failure {
  return new Failure('invalid_subject_token', `the subject's token is refused: ${detail}`, {
    problems: [{ pointer: '/subject/token', detail }],
  })
}

/**
 * The facts with the roles that the token gives, held by the subject for this request alone. It is asked in the turn that
 * decides: between the proof and the decision the issuer may have been removed.
 */
export function provenFacts(issuers: Registrations, facts: Facts, proof: Proof, now: number): Facts {
  if (issuers.named(proof.issuer)?.version !== proof.version) throw invalid('its issuer is not trusted here')
  if (now >= proof.until) throw invalid('it has expired')
  if (proof.roles.length === 0) return facts
  const { subject, resource } = facts
  const held = proof.roles.map((role): GivenAssignment => {
    const { type, id } = subject
    return {
      id: `issuer:${proof.issuer}`,
      subject: { type, id },
      role,
      granted_by: { type: 'pdp:issuer', id: proof.issuer },
    }
  })
  return { subject: { ...subject, given: [...subject.given, held] }, resource }
}
