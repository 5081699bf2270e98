/** A key that signs access tokens (Ed25519). */
export interface SigningKey {
  readonly kid: string
  /** PKCS #8. */
  readonly private_pem: string
  /** SPKI. */
  readonly public_pem: string
  /** With `kid`, `use` and `alg`, as JWKS gives it out. */
  readonly public_jwk: Readonly<Record<string, unknown>>
}

/** The deployment's signing keys, newest first; never none. */
export interface SigningKeys {
  /** The one that signs: the newest that everybody has had time to read. */
  current(): SigningKey
  find(kid: string): SigningKey | undefined
  all(): readonly SigningKey[]
}
