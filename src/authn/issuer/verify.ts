import { type CryptoKey, errors, jwtVerify } from 'jose'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Properties } from '../../policy/model.ts'
import { readClaims, type Statement, Unfit } from './claims.ts'
import type { KeySource } from './key-set.ts'
import type { Registration, Registrations } from './registrations.ts'

/** What verifying needs of the world. */
export interface TokenTools extends KeySource {
  /** Reads JSON strictly: throws on duplicate members, ill-formed Unicode, and what nests too deep. */
  readonly parseJson: (bytes: Buffer) => unknown
}

/** Whom a foreign token is about, and by whose word. */
export interface Identity extends Statement {
  readonly registration: Registration
  /** Of the key that it was verified by. */
  readonly generation: number
  readonly jti: string | null
  /** ms since the epoch: `exp`, to the letter. */
  readonly expires: number
  /** ms since the epoch: when it is refused, tolerance and the registration's `max_token_age` counted in. */
  readonly until: number
}

/** Why a token is refused: `code` for a record, `detail` for whoever sent it. */
export interface Refused {
  readonly code: 'malformed' | 'untrusted' | 'unverified' | 'expired' | 'unfit' | 'unavailable'
  readonly detail: string
  /** The registration that it named, where it named one. */
  readonly issuer: string | null
}

/** In characters: the text is ASCII. */
export const TOKEN_LIMIT = 16_384

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/

// Members that say where a key is (jku, jwk, x5u, x5c) are nobody's word but the sender's: nothing reads them.
const Header = Type.Object({
  alg: Type.String(),
  typ: Type.Optional(Type.String()),
  kid: Type.Optional(Type.String({ maxLength: 512 })),
})

const Claims = Type.Object({
  iss: Type.String(),
  sub: Type.String({ minLength: 1, maxLength: 512 }),
  aud: Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 100 })]),
  exp: Type.Number(),
  iat: Type.Number(),
  nbf: Type.Optional(Type.Number()),
  jti: Type.Optional(Type.String({ maxLength: 512 })),
})

interface Read {
  readonly header: Static<typeof Header> & { readonly crit?: unknown; readonly b64?: unknown }
  readonly claims: Static<typeof Claims> & Properties
}

/**
 * Verifies a token by one of the issuers that the tenant trusts (RFC 8725): signature by a key of that issuer, for an
 * algorithm of its registration; `iss`, `aud`, `exp`, `iat`, `nbf`, `sub`, `typ`. Nothing of it is believed before, but
 * which registration it wants to be held against.
 */
export async function verifyToken(
  registrations: Registrations,
  token: string,
  now: number,
  tools: TokenTools,
): Promise<Identity | Refused> {
  const read = readToken(token, tools.parseJson)
  if (read === undefined) return refused('malformed', 'it is no token that can be read: a signed JWT, with all claims')
  const { header, claims } = read
  const registration = registrations.of(claims.iss)
  if (registration === undefined) return refused('untrusted', 'its issuer is not trusted here')
  const { issuer, keys } = registration
  const refuse = (code: Refused['code'], detail: string) => refused(code, detail, issuer.name)
  const fault = headerFault(registration, read)
  if (fault !== undefined) return refuse('unverified', fault)
  const found = await keys.find({ kid: header.kid, algorithm: header.alg }, now, tools)
  if (found === 'unavailable') return refuse('unavailable', 'the keys of its issuer can not be had')
  if (found === 'unknown') return refuse('unverified', 'its issuer has no such key')
  const { key, generation } = found
  const failure = await claimsFailure(registration, token, key, now)
  if (failure !== undefined) return refuse(failure.code, failure.detail)
  const statement = readClaims(issuer, claims)
  if (statement instanceof Unfit) return refuse('unfit', statement.detail)
  const { exp, iat, jti = null } = claims
  const until = (Math.min(exp, iat + issuer.max_token_age) + issuer.clock_tolerance) * 1000
  return { ...statement, registration, generation, jti, expires: exp * 1000, until }
}

function refused(code: Refused['code'], detail: string, issuer: string | null = null): Refused {
  return { code, detail, issuer }
}

function readToken(token: string, parseJson: TokenTools['parseJson']): Read | undefined {
  const parts = token.length > TOKEN_LIMIT ? null : COMPACT.exec(token)
  const [, head = '', body = ''] = parts ?? []
  try {
    const header = parseJson(Buffer.from(head, 'base64url'))
    const claims = parseJson(Buffer.from(body, 'base64url'))
    return Value.Check(Header, header) && Value.Check(Claims, claims) ? { header, claims } : undefined
  } catch {
    return undefined
  }
}

function headerFault({ issuer }: Registration, { header }: Read): string | undefined {
  if (!issuer.algorithms.some((algorithm) => algorithm === header.alg)) return 'its algorithm is not one of its issuer'
  if (header.crit !== undefined || header.b64 !== undefined) return 'it demands an extension that is not known here'
  const type = (header.typ ?? 'JWT').replace(/^application\//i, '').toLowerCase()
  return issuer.token_types.some((allowed) => allowed.replace(/^application\//i, '').toLowerCase() === type)
    ? undefined
    : 'it is not of a type that its issuer is trusted for'
}

async function claimsFailure(
  { issuer }: Registration,
  token: string,
  key: CryptoKey,
  now: number,
): Promise<Pick<Refused, 'code' | 'detail'> | undefined> {
  try {
    await jwtVerify(token, key, {
      algorithms: [...issuer.algorithms],
      issuer: issuer.issuer,
      audience: [...issuer.audiences],
      requiredClaims: ['exp', 'iat', 'sub'],
      // It is what makes jose look at `iat`, and refuse one in the future.
      maxTokenAge: issuer.max_token_age,
      clockTolerance: issuer.clock_tolerance,
      currentDate: new Date(now),
    })
    return undefined
  } catch (error) {
    return failureOf(error)
  }
}

function failureOf(error: unknown): Pick<Refused, 'code' | 'detail'> {
  if (error instanceof errors.JWTExpired) {
    return { code: 'expired', detail: error.claim === 'iat' ? 'it is too old' : 'it has expired' }
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return { code: 'unfit', detail: CLAIM_FAULTS[error.claim] ?? `its claim ${error.claim} is not as it should be` }
  }
  return { code: 'unverified', detail: 'its signature does not verify' }
}

const CLAIM_FAULTS: Readonly<Record<string, string>> = {
  aud: 'it is meant for another audience',
  nbf: 'it is not valid yet',
  iat: 'it was issued in the future',
}
