import { generateKeyPairSync } from 'node:crypto'

/** RFC 8037. `x` and `d` are the 32 raw bytes of the public and the private key, base64url. */
export interface Ed25519Jwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly x: string
  readonly d: string
}

const RAW_BYTES = 32

/**
 * A new key. It is encoded while it is made: Node 20 stands still for ever where a key that it has just made is exported as
 * a JWK and memory is collected meanwhile, since both hold the key's lock.
 */
export function newEd25519(): Ed25519Jwk {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  return { kty: 'OKP', crv: 'Ed25519', x: raw(publicKey), d: raw(privateKey) }
}

/** The raw key ends either encoding (RFC 8410). */
function raw(der: Buffer): string {
  return der.subarray(-RAW_BYTES).toString('base64url')
}
