import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/**
 * The key as a JWK; of a copy, since Node 20 stands still where a key that it has just made is exported so and memory is
 * collected meanwhile.
 */
export function jwkOf(key: KeyObject): JsonWebKey {
  const copy =
    key.type === 'private'
      ? createPrivateKey(key.export({ format: 'pem', type: 'pkcs8' }))
      : createPublicKey(key.export({ format: 'pem', type: 'spki' }))
  return copy.export({ format: 'jwk' })
}
