import { v7 as uuidv7 } from 'uuid'
import { encryptFor } from '../authn/context/encrypt.ts'
import type { ContextClaims, ContextRefusal, ContextTokens, VerifiedContext } from '../authn/context/tokens.ts'
import { TOKEN_MAX } from '../contract/authorize.ts'
import type {
  Attenuation,
  Context,
  IssuedContext,
  NewContext,
  RecipientJwk,
  StoredContext,
} from '../contract/contexts.ts'
import { Failure, type Problem } from '../failure.ts'
import type { Capability, ContextBody } from '../policy/context/model.ts'
import { narrowed, widerThan } from '../policy/context/narrow.ts'
import { under } from '../policy/judgement.ts'
import type { EntityRef, Settings } from '../policy/model.ts'
import { checkCapabilities, checkRef } from '../policy/parse.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import { type ContextFilter, getContext, insertContext, listContexts, revokeContext } from '../store/contexts.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { TenantDatabase } from '../store/database.ts'
import { notFound, refuse } from './refusal.ts'

export interface ContextParts {
  readonly db: TenantDatabase
  readonly tokens: ContextTokens
  readonly snapshots: Pick<Snapshots, 'tenant'>
  /** Resolves once this replica knows what is revoked. */
  readonly learnRevoked: () => Promise<void>
  /** ms since the epoch. */
  readonly clock: () => number
}

/** A token that was shown: what it says, or why it is refused, with what of it could be told. */
export type Shown =
  | { readonly refused?: undefined; readonly verified: VerifiedContext }
  | { readonly refused: ContextRefusal; readonly verified: VerifiedContext | undefined }

/** Security contexts: made, narrowed, looked at, revoked. They are no policy data, and make no revision. */
export interface ContextAdministration {
  create(tenant: string, by: EntityRef, asked: NewContext): Promise<IssuedContext>
  /** Whether a token is good in the tenant now. */
  show(tenant: string, token: string): Promise<Shown>
  /** Fails with `unprocessable` and pointers to what would be wider. */
  attenuate(by: EntityRef, context: VerifiedContext, asked: Omit<Attenuation, 'token'>): Promise<IssuedContext>
  list(tenant: string, filter: ContextFilter, page: Page): Promise<Listed<StoredContext>>
  get(tenant: string, id: string): Promise<StoredContext>
  /** With all that was narrowed from it; here and elsewhere. @returns whose it was. */
  revoke(tenant: string, id: string): Promise<EntityRef>
}

const DEFAULT_LIFETIME_S = 900

/** In characters of JSON: a layer has to fit into a token. */
const MAX_LAYER = 6_000
/** Each may be compared with every character of another layer: measured 10 ms for so many, and 140 for as many as fit. */
const MAX_WILDCARDS = 200

export function contextAdministration(parts: ContextParts): ContextAdministration {
  const { db } = parts
  return {
    create: (tenant, by, asked) => create(parts, tenant, by, asked),
    show: (tenant, token) => show(parts, tenant, token),
    attenuate: (by, context, asked) => attenuate(parts, by, context, asked),
    list: (tenant, filter, page) => listContexts(db.of(tenant), tenant, filter, page),

    async get(tenant, id) {
      const found = await getContext(db.of(tenant), tenant, id)
      if (found === undefined) throw notFound('such context')
      return found
    },

    async revoke(tenant, id) {
      const found = await revokeContext(db.of(tenant), tenant, id)
      if (found === undefined) throw notFound('such context')
      await parts.learnRevoked()
      return found.subject
    },
  }
}

async function create(parts: ContextParts, tenant: string, by: EntityRef, asked: NewContext): Promise<IssuedContext> {
  const { subject, level, capabilities, quotas = {}, expires_in, audience, encrypt_for } = asked
  const { levels, context_lifetime_seconds: longest } = await settingsOf(parts, tenant)
  refuse([
    ...checkRef('/subject', subject),
    ...unknownLevel(levels, level),
    ...wrongCapabilities(capabilities),
    ...(expires_in !== undefined && expires_in > longest
      ? [{ pointer: '/expires_in', detail: `is more than ${longest}, which is as long as a context lives here` }]
      : []),
  ])
  const iat = Math.floor(parts.clock() / 1000)
  const exp = iat + (expires_in ?? Math.min(DEFAULT_LIFETIME_S, longest))
  const body: ContextBody = {
    subject: { type: subject.type, id: subject.id },
    ...(level !== undefined && { level }),
    quotas,
    capabilities: capabilities === undefined ? [] : [[...capabilities]],
    parents: [],
  }
  return issue(parts, { tenant, iat, exp, ...body, audience }, by, encrypt_for)
}

async function show({ tokens, clock }: ContextParts, tenant: string, token: string): Promise<Shown> {
  const verified = await tokens.verify(token)
  const refused = tokens.refusal(verified, tenant, clock())
  if (verified !== undefined && refused === undefined) return { verified }
  // Of another tenant's token nothing is shown and nothing is recorded.
  return {
    refused: refused ?? 'context_invalid',
    verified: verified?.claims.tenant === tenant ? verified : undefined,
  }
}

async function attenuate(
  parts: ContextParts,
  by: EntityRef,
  { claims }: VerifiedContext,
  { expires_in, encrypt_for, ...narrowing }: Omit<Attenuation, 'token'>,
): Promise<IssuedContext> {
  const { tenant, jti, aud } = claims
  const { levels } = await settingsOf(parts, tenant)
  refuse([...unknownLevel(levels, narrowing.level), ...wrongCapabilities(narrowing.capabilities)])
  const iat = Math.floor(parts.clock() / 1000)
  const exp = expires_in === undefined ? claims.exp : iat + expires_in
  refuse([
    ...widerThan(claims, narrowing, levels),
    ...(exp > claims.exp ? [{ pointer: '/expires_in', detail: 'is after the end of the context' }] : []),
  ])
  const body = narrowed(jti, claims, narrowing)
  return issue(parts, { tenant, iat, exp, ...body, audience: aud[1] }, by, encrypt_for)
}

/** Signs and stores it. What comes back is for the recipient alone, where there is one. */
async function issue(
  { db, tokens, clock }: ContextParts,
  said: ContextBody & Pick<ContextClaims, 'tenant' | 'iat' | 'exp'> & { readonly audience?: string | undefined },
  by: EntityRef,
  recipient: RecipientJwk | undefined,
): Promise<IssuedContext> {
  const { token, claims } = await tokens.sign({ jti: uuidv7({ msecs: clock() }), nbf: said.iat, ...said })
  if (token.length > TOKEN_MAX) refuse([{ pointer: '', detail: `its token would be over ${TOKEN_MAX} characters` }])
  const sent = recipient === undefined ? token : await encryptFor(recipient, token)
  if (sent === undefined) throw refusal('/encrypt_for', 'is no public key that can be encrypted for')
  await insertContext(db.of(said.tenant), claims, by)
  return { ...contextOf(claims), token: sent }
}

async function settingsOf({ snapshots }: ContextParts, tenant: string): Promise<Required<Settings>> {
  const found = await snapshots.tenant(tenant)
  if (found === undefined) throw notFound('such tenant')
  return found.index.settings
}

/** What a token says, for whoever may know. */
export function contextOf(claims: ContextClaims): Context {
  const { jti, subject, level = null, quotas, capabilities, parents, aud, iat, exp } = claims
  const issued_at = new Date(iat * 1000).toISOString()
  const expires_at = new Date(exp * 1000).toISOString()
  return { id: jti, subject, level, quotas, capabilities, parents, audience: aud, issued_at, expires_at }
}

function unknownLevel(levels: readonly string[], level: string | undefined): Problem[] {
  if (level === undefined || levels.includes(level)) return []
  return [{ pointer: '/level', detail: `is none of the tenant's levels: ${levels.join(', ')}` }]
}

function wrongCapabilities(capabilities: readonly Capability[] | undefined): Problem[] {
  if (capabilities === undefined) return []
  const tooMuch = (detail: string) => [{ pointer: '/capabilities', detail }]
  if (JSON.stringify(capabilities).length > MAX_LAYER) return tooMuch(`take over ${MAX_LAYER} characters of JSON`)
  if (wildcardsIn(capabilities) > MAX_WILDCARDS) return tooMuch(`have over ${MAX_WILDCARDS} wildcards`)
  return under('/capabilities', checkCapabilities(capabilities))
}

function wildcardsIn(capabilities: readonly Capability[]): number {
  const patterns = capabilities.flatMap(({ actions, resources }) => [...actions, ...resources.map(({ id = '' }) => id)])
  return patterns.join('').replaceAll(/[^*]/g, '').length
}

function refusal(pointer: string, detail: string): Failure {
  return new Failure('unprocessable', detail, { problems: [{ pointer, detail }] })
}
