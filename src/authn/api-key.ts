import { hash } from 'node:crypto'
import type { EntityRef } from '../policy/model.ts'

/** An API key as it is kept. */
export interface ApiKey {
  readonly id: string
  readonly tenant: string
  readonly name: string
  readonly subject: EntityRef
  /** Built-in roles that the key holds itself; null: it holds what its subject holds. */
  readonly roles: readonly string[] | null
  readonly secret_sha256: Buffer
  /** ms since the epoch: tells it from one of the same id that stood there before. */
  readonly made: number
  /** ms since the epoch. */
  readonly expires_at: number | null
}

/** The two parts of an API key, `vdt_<id>_<secret>`. */
export interface ApiKeyParts {
  readonly id: string
  readonly secret: string
}

const SHAPE = /^vdt_([a-z0-9]{4,32})_([A-Za-z0-9_-]{32,128})$/

/** Takes a key apart; undefined where the text is none. An id holds no `_`, so there is one way to do it. */
export function parseApiKey(text: string): ApiKeyParts | undefined {
  const match = SHAPE.exec(text)
  const [, id, secret] = match ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}

/** SHA-256 of a secret, 32 bytes: what is stored. A secret holds 256 random bits, so it needs no slow hash. */
export function secretHash(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
