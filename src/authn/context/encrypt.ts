import { CompactEncrypt, type CryptoKey, type JWK } from 'jose'
import type { RecipientJwk } from '../../contract/contexts.ts'
import { importedKey } from '../public-key.ts'

/** Wraps a token in a JWE that only the holder of the key can open; undefined: it is no key that can be used. */
export async function encryptFor(jwk: RecipientJwk, token: string): Promise<string | undefined> {
  const alg = jwk.kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW'
  const key = jwk.alg === undefined || jwk.alg === alg ? await imported(jwk, alg) : undefined
  if (key === undefined) return undefined
  return new CompactEncrypt(Buffer.from(token))
    .setProtectedHeader({ alg, enc: 'A256GCM', cty: 'JWT', ...(jwk.kid !== undefined && { kid: jwk.kid }) })
    .encrypt(key)
}

function imported({ kty, crv, n, e, x, y }: RecipientJwk, alg: string): Promise<CryptoKey | undefined> {
  const all = { kty, crv, n, e, x, y }
  const bare: JWK = JSON.parse(JSON.stringify(all))
  return importedKey(bare, alg)
}
