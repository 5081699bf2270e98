import { hash, randomUUID } from 'node:crypto'
import fastifyJwt, { type JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { LRUCache } from 'lru-cache'
import Type from 'typebox'
import { Value } from 'typebox/value'
import type { TokenHolder } from '../authn/authenticate.ts'
import type { SigningKeys } from '../authn/signing-key.ts'
import type { EntityRef } from '../policy/model.ts'

/** What an access token says. It names what it was got with and holds nothing itself: rights are those at the moment of use. */
export type TokenClaims = TokenHolder & {
  readonly jti: string
  /** Seconds since the epoch. */
  readonly exp: number
}

export interface AccessTokens {
  /** Seconds that a token lives. */
  readonly lifetime: number
  /** `lifetime` in seconds, where it is to be shorter than usual. */
  issue(holder: TokenHolder & { readonly subject: EntityRef }, nowMs: number, lifetime?: number): string
  /** The claims of a valid token; undefined for any other text. */
  verify(token: string, nowMs: number): TokenClaims | undefined
  keys(): readonly Readonly<Record<string, unknown>>[]
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
  const verified = new LRUCache<string, TokenClaims>({ max: VERIFIED })
  return {
    lifetime: LIFETIME_S,
    issue: ({ tenant, subject, ...got }, nowMs, lifetime = LIFETIME_S) => {
      const signing = keys.current()
      const payload = {
        iss: issuer,
        aud: issuer,
        sub: subject.id,
        sub_type: subject.type,
        tenant,
        ...('issuer' in got ? { issuer: got.issuer } : { key: got.key }),
        nbf: Math.floor(nowMs / 1000),
      }
      return jwt.sign(payload, {
        key: signing.private_pem,
        kid: signing.kid,
        jti: randomUUID(),
        expiresIn: Math.min(lifetime, LIFETIME_S),
        header: { typ: 'at+jwt', alg: 'EdDSA' },
      })
    },
    verify: (token, nowMs) => {
      const digest = hash('sha256', token, 'base64url')
      const known = verified.get(digest)
      const claims = known ?? check(jwt, keys, issuer, token, nowMs)
      if (claims === undefined || claims.exp * 1000 <= nowMs) return undefined
      if (known === undefined) verified.set(digest, claims)
      return claims
    },
    keys: () => keys.all().map((key) => key.public_jwk),
  }
}

function check(jwt: JWT, keys: SigningKeys, issuer: string, token: string, nowMs: number): TokenClaims | undefined {
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
      requiredClaims: ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sub', 'tenant'],
    })
    return claimsOf(claims, nowMs)
  } catch {
    // Whatever is wrong with it, to its bearer it is one and the same: not a token.
    return undefined
  }
}

/** What a library leaves unchecked: that each claim has its type, and that the token is not from the future. */
function claimsOf(claims: unknown, nowMs: number): TokenClaims | undefined {
  if (!Value.Check(Claims, claims) || claims.iat * 1000 > nowMs + MAX_SKEW_MS) return undefined
  const { tenant, sub, sub_type, jti, exp } = claims
  if ('key' in claims) return { tenant, key: claims.key, jti, exp }
  return { tenant, subject: { type: sub_type, id: sub }, issuer: claims.issuer, jti, exp }
}

const common = {
  sub: Type.String(),
  sub_type: Type.String(),
  tenant: Type.String(),
  jti: Type.String(),
  iat: Type.Number(),
  exp: Type.Number(),
}
const Claims = Type.Union([
  Type.Object({ ...common, key: Type.String() }),
  Type.Object({
    ...common,
    issuer: Type.Object({ name: Type.String(), version: Type.Number(), roles: Type.Array(Type.String()) }),
  }),
])
