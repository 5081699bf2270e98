import { randomBytes } from 'node:crypto'
import { secretHash } from './api-key.ts'

/** `vdr_<tenant>_<secret>`: the tenant says where to look, the 256 bits of the secret are what is looked for. */
export interface RefreshTokenParts {
  readonly tenant: string
  readonly sha256: Buffer
}

const SHAPE = /^vdr_([a-z0-9-]{1,63})_([A-Za-z0-9_-]{43})$/

export function newRefreshToken(tenant: string): { readonly text: string; readonly sha256: Buffer } {
  const secret = randomBytes(32).toString('base64url')
  return { text: `vdr_${tenant}_${secret}`, sha256: secretHash(secret) }
}

/** Undefined where the text is no refresh token. A tenant's id holds no `_`, so there is one way to read it. */
export function parseRefreshToken(text: string): RefreshTokenParts | undefined {
  const [, tenant, secret] = SHAPE.exec(text) ?? []
  return tenant === undefined || secret === undefined ? undefined : { tenant, sha256: secretHash(secret) }
}
