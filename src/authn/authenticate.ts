import type { EntityRef } from '../policy/model.ts'
import { type ApiKey, parseApiKey, secretMatches } from './api-key.ts'
import type { Caller } from './caller.ts'
import type { Registration } from './issuer/registrations.ts'

/** Where credentials are looked up. */
export interface CredentialSource {
  /** An API key by its id; at once where it is in memory. */
  readonly findApiKey: (id: string) => ApiKey | undefined | Promise<ApiKey | undefined>
  /** The claims of an access token that this deployment issued and that is valid now. */
  readonly verifyToken: (token: string, nowMs: number) => TokenHolder | undefined
  /** An issuer that a tenant trusts now, by its name. */
  readonly findIssuer: (tenant: string, name: string) => Registration | undefined | Promise<Registration | undefined>
}

/** What an access token was got with: it ends with that. */
export type TokenHolder =
  | { readonly tenant: string; readonly key: string }
  | { readonly tenant: string; readonly subject: EntityRef; readonly issuer: IssuedBy }

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

/** Who sends an `Authorization` header: the bearer of an API key, or of an access token. */
export function authenticate(
  source: CredentialSource,
  authorization: string | undefined,
  nowMs: number,
): Authenticated | Promise<Authenticated> {
  const credential = bearer(authorization)
  if (credential === undefined) return REFUSED
  const key = parseApiKey(credential)
  if (key !== undefined) {
    return after(source.findApiKey(key.id), (stored) => {
      if (stored === undefined) return REFUSED
      return secretMatches(key.secret, stored.secret_sha256) ? callerOf(stored, 'api_key', nowMs) : refusedIn(stored)
    })
  }
  const claims = source.verifyToken(credential, nowMs)
  if (claims === undefined) return REFUSED
  if ('issuer' in claims) {
    return after(source.findIssuer(claims.tenant, claims.issuer.name), (found) => callerBy(claims, found))
  }
  // A token holds nothing by itself: what its key holds, while the key is there.
  return after(source.findApiKey(claims.key), (stored) =>
    stored?.tenant === claims.tenant
      ? callerOf(stored, 'access_token', nowMs)
      : { caller: undefined, tenant: claims.tenant },
  )
}

function bearer(authorization: string | undefined): string | undefined {
  return /^bearer +([!-~]+)$/i.exec(authorization ?? '')?.[1]
}

function refusedIn({ tenant }: ApiKey): Authenticated {
  return { caller: undefined, tenant }
}

function callerOf(key: ApiKey, method: Caller['method'], nowMs: number): Authenticated {
  if (key.expires_at !== null && nowMs >= key.expires_at) return refusedIn(key)
  return {
    caller: { tenant: key.tenant, subject: key.subject, method, key_id: key.id, key_roles: key.roles, issuer: null },
  }
}

/** By the word of an issuer, as long as its registration is the one that the token was given under. */
function callerBy(
  { tenant, subject, issuer: { name, version, roles } }: Extract<TokenHolder, { issuer: IssuedBy }>,
  registration: Registration | undefined,
): Authenticated {
  if (registration?.version !== version) return { caller: undefined, tenant }
  const issuer = { name, roles, allowed: registration.issuer.allowed_roles }
  return { caller: { tenant, subject, method: 'access_token', key_id: null, key_roles: null, issuer } }
}

function after<T, U>(value: T | Promise<T>, then: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value)
}
