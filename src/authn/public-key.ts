import { type CryptoKey, importJWK, type JWK } from 'jose'

/** The shortest modulus that is believed in, of a key that signs and of one that a token is wrapped for. */
const MIN_RSA_BITS = 2048

/** A public key that somebody else has published; undefined: it can't be read, is symmetric, or is too short. */
export async function importedKey(jwk: JWK, algorithm: string): Promise<CryptoKey | undefined> {
  try {
    const key = await importJWK(jwk, algorithm)
    return key instanceof Uint8Array || isShort(key) ? undefined : key
  } catch {
    return undefined
  }
}

function isShort({ algorithm }: CryptoKey): boolean {
  return 'modulusLength' in algorithm && Number(algorithm.modulusLength) < MIN_RSA_BITS
}
