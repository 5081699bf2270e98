import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto'
import { CompactSign, compactVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { type Carried, carriedBy } from '../../policy/context/carried.ts'
import { ContextBody, ContextId } from '../../policy/context/model.ts'
import type { SigningKey, SigningKeys } from '../signing-key.ts'

/** Of its own, so that neither an access token nor an issuer's is ever taken for a context, nor a context for one. */
export const CONTEXT_TYPE = 'verdict-context+jwt'

const Claims = Type.Object({
  iss: Type.String(),
  aud: Type.Array(Type.String({ maxLength: 512 }), { minItems: 1, maxItems: 2 }),
  iat: Type.Integer(),
  nbf: Type.Integer(),
  exp: Type.Integer(),
  jti: ContextId,
  tenant: Type.String(),
  ...ContextBody.properties,
})
/** What a context's token says; instants in seconds since the epoch. */
export type ContextClaims = Readonly<Static<typeof Claims>>

/** A token that this deployment has signed. Whether it is good now, and here, is to be asked at each use. */
export interface VerifiedContext {
  readonly kid: string
  readonly claims: ContextClaims
  readonly carried: Carried
}

/** Why a token is not taken for a context. */
export type ContextRefusal = 'context_invalid' | 'context_expired' | 'context_revoked'

export interface ContextTokens {
  sign(claims: Omit<ContextClaims, 'iss' | 'aud'> & { readonly audience?: string | undefined }): Promise<SignedContext>
  /** At once where it is known. Undefined: it is no context of this deployment. */
  verify(token: string): VerifiedContext | undefined | Promise<VerifiedContext | undefined>
  /**
   * Why it is no good in this tenant now (ms since the epoch), to be asked at each use; undefined: it is. Fails with `stale`
   * where it can't be told what was revoked.
   */
  refusal(context: VerifiedContext | undefined, tenant: string, now: number): ContextRefusal | undefined
}

export interface SignedContext {
  readonly token: string
  readonly claims: ContextClaims
}

const TOKENS = 10_000
/** In characters of tokens. */
const ROOM = 16 * 1024 * 1024
const KEYS = 100
/** Clocks of replicas differ. */
const MAX_SKEW_MS = 5_000

/**
 * Security contexts as JWTs (EdDSA), signed with the deployment's keys. Verified once and then known again by the hash of
 * their exact bytes; a key that was revoked takes along whatever it has signed.
 */
export function contextTokens(keys: SigningKeys, issuer: string, isRevoked: (id: string) => boolean): ContextTokens {
  const known = new LRUCache<string, VerifiedContext>({ max: TOKENS, maxSize: ROOM })
  const opened = new LRUCache<string, Pair>({ max: KEYS })
  const pairOf = (key: SigningKey) => opened.get(key.kid) ?? opened.set(key.kid, pair(key)).get(key.kid) ?? pair(key)

  async function check(token: string, digest: string): Promise<VerifiedContext | undefined> {
    const verified = await verifiedBy(keys, pairOf, token)
    if (verified === undefined) return undefined
    const { claims } = verified
    if (claims.iss !== issuer || !claims.aud.includes(issuer)) return undefined
    known.set(digest, verified, { size: Math.max(1, token.length) })
    return verified
  }

  return {
    async sign({ audience, ...said }) {
      const key = keys.current()
      const aud = audience === undefined || audience === issuer ? [issuer] : [issuer, audience]
      const claims = { iss: issuer, aud, ...said }
      const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'EdDSA', typ: CONTEXT_TYPE, kid: key.kid })
        .sign(pairOf(key).priv)
      return { token, claims }
    },
    verify(token) {
      const digest = hash('sha256', token, 'base64url')
      const found = known.get(digest)
      if (found === undefined) return check(token, digest)
      return keys.find(found.kid) === undefined ? undefined : found
    },
    refusal(context, tenant, now) {
      if (context === undefined || context.claims.tenant !== tenant || keys.find(context.kid) === undefined)
        return 'context_invalid'
      const { nbf, exp, jti, parents } = context.claims
      if (nbf * 1000 > now + MAX_SKEW_MS) return 'context_invalid'
      if (now >= exp * 1000) return 'context_expired'
      return isRevoked(jti) || parents.some(isRevoked) ? 'context_revoked' : undefined
    },
  }
}

interface Pair {
  readonly priv: KeyObject
  readonly pub: KeyObject
}

function pair({ private_pem, public_pem }: SigningKey): Pair {
  return { priv: createPrivateKey(private_pem), pub: createPublicKey(public_pem) }
}

async function verifiedBy(
  keys: SigningKeys,
  pairOf: (key: SigningKey) => Pair,
  token: string,
): Promise<VerifiedContext | undefined> {
  try {
    const findKey = ({ kid }: { kid?: string }) => {
      const key = typeof kid === 'string' ? keys.find(kid) : undefined
      if (key === undefined) throw new Error('there is no such key')
      return pairOf(key).pub
    }
    const { payload, protectedHeader } = await compactVerify(token, findKey, { algorithms: ['EdDSA'] })
    const { typ, kid } = protectedHeader
    if (typ !== CONTEXT_TYPE || kid === undefined) return undefined
    const claims: unknown = JSON.parse(Buffer.from(payload).toString())
    return Value.Check(Claims, claims) ? { kid, claims, carried: carriedBy(claims) } : undefined
  } catch {
    // Whatever is wrong with it, it is one and the same: not a context.
    return undefined
  }
}
