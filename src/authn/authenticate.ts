import { timingSafeEqual } from 'node:crypto'
import type { EntityRef } from '../policy/model.ts'
import type { ApiKey } from './api-key.ts'
import type { Caller } from './caller.ts'
import type { Credential } from './credential.ts'
import type { Registration } from './issuer/registrations.ts'

/** Where credentials are looked up. */
export interface CredentialSource {
  /** An API key by its id; at once where it is in memory. */
  readonly findApiKey: (id: string) => ApiKey | undefined | Promise<ApiKey | undefined>
  /** The claims of an access token that this deployment issued and that is valid now. */
  readonly verifyToken: (token: string, nowMs: number) => TokenClaims | undefined
  /** An issuer that a tenant trusts now, by its name. */
  readonly findIssuer: (tenant: string, name: string) => Registration | undefined | Promise<Registration | undefined>
  /** Whether a session or an access token was ended, by its id. */
  readonly isRevoked: (id: string) => boolean
  readonly isTenant: (id: string) => boolean | Promise<boolean>
}

/** What an access token says. It holds nothing itself: rights are those of what it was got with, at the moment of use. */
export interface TokenClaims {
  readonly tenant: string
  readonly subject: EntityRef
  readonly of: GotWith
  readonly jti: string
  /** Seconds since the epoch. */
  readonly exp: number
}

/** The API key, the session or the trusted issuer's word that an access token was got with: it ends with that. */
export type GotWith =
  | { readonly key: string; readonly made: number }
  | { readonly session: string }
  | { readonly issuer: IssuedBy }

/** A trusted issuer's word, as its registration stood. */
export interface IssuedBy {
  readonly name: string
  readonly version: number
  readonly roles: readonly string[]
}

/** What a credential turned out to be; `tenant` is the one that a refused credential names, where it names one. */
export type Authenticated =
  | { readonly caller: Caller }
  | { readonly caller: undefined; readonly tenant: string | undefined }

const REFUSED: Authenticated = { caller: undefined, tenant: undefined }

/** Who presents a credential: the bearer of an API key, or of an access token. */
export function authenticate(
  source: CredentialSource,
  credential: Credential | undefined,
  nowMs: number,
): Authenticated | Promise<Authenticated> {
  if (credential === undefined) return REFUSED
  const { key } = credential
  if (key !== undefined) {
    return after(source.findApiKey(key.id), (stored) => {
      if (stored === undefined) return REFUSED
      return timingSafeEqual(key.sha256, stored.secret_sha256) ? callerOf(stored, 'api_key', nowMs) : refusedIn(stored)
    })
  }
  const claims = source.verifyToken(credential.token, nowMs)
  if (claims === undefined) return REFUSED
  if (source.isRevoked(claims.jti)) return { caller: undefined, tenant: claims.tenant }
  return bearerOf(source, claims, nowMs)
}

function bearerOf(
  source: CredentialSource,
  claims: TokenClaims,
  nowMs: number,
): Authenticated | Promise<Authenticated> {
  const { of } = claims
  if ('key' in of) return bearerOfKey(source, claims, of, nowMs)
  if ('session' in of) return inSession(source, claims, of.session)
  return after(source.findIssuer(claims.tenant, of.issuer.name), (found) => byWordOf(claims, of.issuer, found))
}

/** A token that was got with a key holds what the key holds, while that very key is there, and no other of its id. */
function bearerOfKey(
  source: CredentialSource,
  { tenant }: TokenClaims,
  { key, made }: { readonly key: string; readonly made: number },
  nowMs: number,
): Authenticated | Promise<Authenticated> {
  return after(source.findApiKey(key), (stored) =>
    stored?.tenant === tenant && stored.made === made
      ? callerOf(stored, 'access_token', nowMs)
      : { caller: undefined, tenant },
  )
}

/** A token of a session holds what its subject holds, while the session lasts. */
function inSession(
  source: CredentialSource,
  { tenant, subject }: TokenClaims,
  session: string,
): Authenticated | Promise<Authenticated> {
  if (source.isRevoked(session)) return { caller: undefined, tenant }
  const caller = {
    tenant,
    subject,
    method: 'access_token',
    key_id: null,
    key_roles: null,
    session_id: session,
    issuer: null,
  } as const
  return after(source.isTenant(tenant), (isTenant) => (isTenant ? { caller } : REFUSED))
}

function refusedIn({ tenant }: ApiKey): Authenticated {
  return { caller: undefined, tenant }
}

function callerOf(key: ApiKey, method: Caller['method'], nowMs: number): Authenticated {
  if (key.expires_at !== null && nowMs >= key.expires_at) return refusedIn(key)
  const { tenant, subject, id: key_id, roles: key_roles } = key
  return { caller: { tenant, subject, method, key_id, key_roles, session_id: null, issuer: null } }
}

/** By the word of an issuer, as long as its registration is the one that the token was given under. */
function byWordOf(
  { tenant, subject }: TokenClaims,
  { name, version, roles }: IssuedBy,
  registration: Registration | undefined,
): Authenticated {
  if (registration?.version !== version) return { caller: undefined, tenant }
  const issuer = { name, roles, allowed: registration.issuer.allowed_roles }
  const caller = { tenant, subject, method: 'access_token', key_id: null, key_roles: null, session_id: null } as const
  return { caller: { ...caller, issuer } }
}

function after<T, U>(value: T | Promise<T>, then: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value)
}
