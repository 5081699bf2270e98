import type { CryptoKey } from 'jose'
import Type from 'typebox'
import { Value } from 'typebox/value'
import type { Algorithm } from '../../policy/issuer.ts'
import { importedKey } from '../public-key.ts'

/** A public key, for one algorithm alone. */
export interface PublicKey {
  readonly kid: string | undefined
  readonly algorithm: Algorithm
  readonly key: CryptoKey
  /** What it is made of: two keys of the same text are one. */
  readonly text: string
}

const MAX_KEYS = 100

/** Of a JWK nothing else is read: not where certificates are (`x5u`), nor what else it may say. */
const Jwk = Type.Object({
  kty: Type.String(),
  kid: Type.Optional(Type.String({ maxLength: 512 })),
  use: Type.Optional(Type.String()),
  key_ops: Type.Optional(Type.Array(Type.String())),
  alg: Type.Optional(Type.String()),
  n: Type.Optional(Type.String({ maxLength: 4096 })),
  e: Type.Optional(Type.String({ maxLength: 64 })),
  crv: Type.Optional(Type.String()),
  x: Type.Optional(Type.String({ maxLength: 256 })),
  y: Type.Optional(Type.String({ maxLength: 256 })),
})
const JwkSet = Type.Object({ keys: Type.Array(Type.Unknown(), { maxItems: MAX_KEYS }) })

/**
 * The keys of a JWK set that can verify by one of these algorithms. A key without `alg` is taken once for each that it
 * fits. What can't be used, or is no public key, is passed over. @throws Error where it is no set of keys at all.
 */
export async function publicKeys(set: unknown, algorithms: readonly Algorithm[]): Promise<PublicKey[]> {
  if (!Value.Check(JwkSet, set)) throw new Error('it is no JWK set')
  const keys: PublicKey[] = []
  for (const jwk of set.keys) for (const key of await keysOf(jwk, algorithms)) keys.push(key)
  return keys
}

/** One key, as often as there are algorithms that it may verify by. */
export async function keysOf(jwk: unknown, algorithms: readonly Algorithm[]): Promise<PublicKey[]> {
  if (!Value.Check(Jwk, jwk) || 'd' in jwk || 'k' in jwk) return []
  const { kty, kid, use = 'sig', key_ops = ['verify'], alg, n, e, crv, x, y } = jwk
  if (use !== 'sig' || !key_ops.includes('verify')) return []
  const text = JSON.stringify(kty === 'RSA' ? { kty, n, e } : { kty, crv, x, ...(kty === 'EC' && { y }) })
  const fitting = algorithmsOf(kty, crv).filter(
    (algorithm) => algorithms.includes(algorithm) && (alg === undefined || nameOf(alg) === nameOf(algorithm)),
  )
  const keys: PublicKey[] = []
  for (const algorithm of fitting) {
    const key = await importedKey(JSON.parse(text), algorithm)
    if (key !== undefined) keys.push({ kid, algorithm, key, text })
  }
  return keys
}

function algorithmsOf(kty: string, crv: string | undefined): readonly Algorithm[] {
  if (kty === 'RSA') return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  if (kty === 'OKP') return crv === 'Ed25519' ? ['EdDSA', 'Ed25519'] : []
  if (kty !== 'EC') return []
  const byCurve: Record<string, readonly Algorithm[]> = { 'P-256': ['ES256'], 'P-384': ['ES384'], 'P-521': ['ES512'] }
  return Object.hasOwn(byCurve, crv ?? '') ? (byCurve[crv ?? ''] ?? []) : []
}

/** The one algorithm with two names (RFC 9864). */
function nameOf(algorithm: string): string {
  return algorithm === 'EdDSA' ? 'Ed25519' : algorithm
}
