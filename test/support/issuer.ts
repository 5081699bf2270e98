import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { jwkOf } from './jwk.ts'

/** Somebody who signs tokens, and the public key to verify them by. */
export interface Signer {
  readonly jwk: Record<string, unknown> & { readonly kid: string; readonly alg: string }
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  /** A token with these claims and this header beside the usual ones; `undefined` leaves one out. */
  token(claims?: object, header?: object): string
  /** A token of exactly these texts. */
  signed(header: string, claims: string): string
}

const PAIRS = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'RS256 of 1024 bits': () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
} as const

/** `now` in ms; a token of it is for `verdict`, about `ann`, and lives for five minutes. */
export function signer(iss: string, now: () => number, kid = 'k1', kind: keyof typeof PAIRS = 'ES256'): Signer {
  const { publicKey, privateKey } = PAIRS[kind]()
  const alg = kind.slice(0, 5)
  const signed = (header: string, claims: string) => {
    const input = `${Buffer.from(header).toString('base64url')}.${Buffer.from(claims).toString('base64url')}`
    const hash = alg === 'EdDSA' ? null : 'sha256'
    const signature = sign(hash, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return `${input}.${signature.toString('base64url')}`
  }
  return {
    jwk: { ...jwkOf(publicKey), kid, alg },
    publicKey,
    privateKey,
    signed,
    token(claims = {}, header = {}) {
      const iat = Math.floor(now() / 1000)
      const usual = { iss, aud: 'verdict', sub: 'ann', iat, exp: iat + 300, jti: 'j1' }
      return signed(JSON.stringify({ alg, kid, typ: 'JWT', ...header }), JSON.stringify({ ...usual, ...claims }))
    },
  }
}
