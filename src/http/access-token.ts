import { hash, randomUUID } from 'node:crypto'
import fastifyJwt, { type JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { LRUCache } from 'lru-cache'
import Type from 'typebox'
import { Value } from 'typebox/value'
import type { GotWith, IssuedBy, TokenClaims } from '../authn/authenticate.ts'
import type { SigningKeys } from '../authn/signing-key.ts'
import { Identifier } from '../policy/model.ts'

export interface AccessTokens {
  /** Issues one that lives for `LIFETIME_S` at most, and not beyond `until` (ms since the epoch). */
  issue(holder: Holder, nowMs: number, until?: number): IssuedToken
  /** The claims of a valid token; undefined for any other text. */
  verify(token: string, nowMs: number): TokenClaims | undefined
  keys(): readonly Readonly<Record<string, unknown>>[]
}

export type Holder = Pick<TokenClaims, 'tenant' | 'subject' | 'of'>

export interface IssuedToken {
  readonly token: string
  /** Seconds that it lives. */
  readonly expires_in: number
}

const LIFETIME_S = 900
const VERIFIED = 10_000
const MAX_SKEW_MS = 5_000

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: Record<string, unknown>
  }
}

/** Access tokens as JWTs (RFC 9068, EdDSA) that this deployment issues to itself: `iss` and `aud` are its public URL. */
export async function accessTokens(app: FastifyInstance, keys: SigningKeys, issuer: string): Promise<AccessTokens> {
  const { private_pem, public_pem } = keys.current()
  await app.register(fastifyJwt, { secret: { private: private_pem, public: public_pem }, sign: { algorithm: 'EdDSA' } })
  const jwt = app.jwt as JWT
  // Keyed by a hash of the token's exact bytes: a token with another last character that still verifies only misses.
  const verified = new LRUCache<string, Verified>({ max: VERIFIED })
  return {
    issue: ({ tenant, subject, of }, nowMs, until = Number.POSITIVE_INFINITY) => {
      const signing = keys.current()
      const expires_in = Math.max(1, Math.min(LIFETIME_S, Math.floor((until - nowMs) / 1000)))
      const payload = {
        iss: issuer,
        aud: issuer,
        sub: subject.id,
        sub_type: subject.type,
        tenant,
        ...claimOf(of),
        nbf: Math.floor(nowMs / 1000),
      }
      const token = jwt.sign(payload, {
        key: signing.private_pem,
        kid: signing.kid,
        jti: randomUUID(),
        expiresIn: expires_in,
        header: { typ: 'at+jwt', alg: 'EdDSA' },
      })
      return { token, expires_in }
    },
    verify: (token, nowMs) => {
      const digest = hash('sha256', token, 'base64url')
      const known = verified.get(digest)
      const found = known ?? check(jwt, keys, issuer, token, nowMs)
      // A key may have been revoked since: with it goes whatever it has signed.
      if (found === undefined || found.claims.exp * 1000 <= nowMs || keys.find(found.kid) === undefined)
        return undefined
      if (known === undefined) verified.set(digest, found)
      return found.claims
    },
    keys: () => keys.all().map((key) => key.public_jwk),
  }
}

interface Verified {
  readonly kid: string
  readonly claims: TokenClaims
}

function check(jwt: JWT, keys: SigningKeys, issuer: string, token: string, nowMs: number): Verified | undefined {
  try {
    const header = jwt.decode<{ header: { kid?: unknown } }>(token, { complete: true })?.header
    const key = typeof header?.kid === 'string' ? keys.find(header.kid) : undefined
    if (key === undefined) return undefined
    const claims = jwt.verify<Record<string, unknown>>(token, {
      key: key.public_pem,
      algorithms: ['EdDSA'],
      allowedIss: issuer,
      allowedAud: issuer,
      checkTyp: 'at+jwt',
      requiredClaims: ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sub', 'sub_type', 'tenant'],
    })
    const read = claimsOf(claims, nowMs)
    return read && { kid: key.kid, claims: read }
  } catch {
    // Whatever is wrong with it, to its bearer it is one and the same: not a token.
    return undefined
  }
}

/** What a library leaves unchecked: that each claim has its type, and that the token is not from the future. */
function claimsOf(claims: unknown, nowMs: number): TokenClaims | undefined {
  if (!Value.Check(Claims, claims) || claims.iat * 1000 > nowMs + MAX_SKEW_MS) return undefined
  const { tenant, sub, sub_type, key, key_made, sid, issuer, jti, exp } = claims
  const ofKey = key === undefined || key_made === undefined ? undefined : { key, made: key_made }
  const of = ofOne(ofKey, sid, issuer)
  return of && { tenant, subject: { type: sub_type, id: sub }, of, jti, exp }
}

function claimOf(of: GotWith): { key: string; key_made: number } | { sid: string } | { issuer: IssuedBy } {
  if ('key' in of) return { key: of.key, key_made: of.made }
  return 'session' in of ? { sid: of.session } : of
}

/** A token is of a key, of a session or of an issuer, never of two of them. */
function ofOne(
  key: GotWith | undefined,
  session: string | undefined,
  issuer: IssuedBy | undefined,
): GotWith | undefined {
  const [of, second] = [
    ...(key === undefined ? [] : [key]),
    ...(session === undefined ? [] : [{ session }]),
    ...(issuer === undefined ? [] : [{ issuer }]),
  ]
  return second === undefined ? of : undefined
}

const Claims = Type.Object({
  sub: Identifier,
  sub_type: Identifier,
  tenant: Type.String(),
  key: Type.Optional(Type.String()),
  key_made: Type.Optional(Type.Number()),
  sid: Type.Optional(Type.String()),
  issuer: Type.Optional(Type.Object({ name: Type.String(), version: Type.Number(), roles: Type.Array(Type.String()) })),
  jti: Type.String(),
  iat: Type.Number(),
  exp: Type.Number(),
})
