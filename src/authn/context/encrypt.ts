import { CompactEncrypt, type CryptoKey, importJWK, type JWK } from 'jose'
import type { RecipientJwk } from '../../contract/contexts.ts'

const MIN_RSA_BITS = 2048

/** Wraps a token in a JWE that only the holder of the key can open; undefined: it is no key that can be used. */
export async function encryptFor(jwk: RecipientJwk, token: string): Promise<string | undefined> {
  const alg = jwk.kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW'
  const key = jwk.alg === undefined || jwk.alg === alg ? await imported(jwk, alg) : undefined
  if (key === undefined) return undefined
  return new CompactEncrypt(Buffer.from(token))
    .setProtectedHeader({ alg, enc: 'A256GCM', cty: 'JWT', ...(jwk.kid !== undefined && { kid: jwk.kid }) })
    .encrypt(key)
}

async function imported({ kty, crv, n, e, x, y }: RecipientJwk, alg: string): Promise<CryptoKey | undefined> {
  const all = { kty, crv, n, e, x, y }
  const bare: JWK = JSON.parse(JSON.stringify(all))
  try {
    const key = await importJWK(bare, alg)
    return key instanceof Uint8Array || isShort(key) ? undefined : key
  } catch {
    return undefined
  }
}

function isShort({ algorithm }: CryptoKey): boolean {
  return 'modulusLength' in algorithm && Number(algorithm.modulusLength) < MIN_RSA_BITS
}
