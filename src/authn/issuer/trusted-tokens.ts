import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Registrations } from './registrations.ts'
import { type Identity, type Refused, type TokenTools, verifyToken } from './verify.ts'

const TOKENS = 10_000
/** In characters of tokens: what is kept of one is about as large as its text. */
const ROOM = 16 * 1024 * 1024

/**
 * Foreign tokens, verified once and then known again by the hash of their exact bytes: a copy with another last character
 * that still verifies only misses. What is known is held each time against the clock, the issuer's present registration
 * and its present keys, so that what was taken away is gone at once.
 */
export class TrustedTokens {
  readonly #tools: TokenTools
  readonly #known = new LRUCache<string, Identity>({ max: TOKENS, maxSize: ROOM })

  constructor(tools: TokenTools) {
    this.#tools = tools
  }

  /** At once where it is known. `tenant` is whose `registrations` are: what one tenant trusts says nothing to another. */
  verify(
    tenant: string,
    registrations: Registrations,
    token: string,
    now: number,
  ): Identity | Promise<Identity | Refused> {
    // No tenant's id holds a colon.
    const digest = hash('sha256', `${tenant}:${token}`, 'base64url')
    const known = this.#known.get(digest)
    if (known !== undefined && this.#holds(known, registrations, now)) return known
    return this.#verify(digest, registrations, token, now)
  }

  #holds({ registration, generation, until }: Identity, registrations: Registrations, now: number): boolean {
    const { issuer, keys } = registration
    if (now >= until || registrations.of(issuer.issuer) !== registration) return false
    return keys.generation(now, this.#tools) === generation
  }

  async #verify(digest: string, registrations: Registrations, token: string, now: number): Promise<Identity | Refused> {
    const identity = await verifyToken(registrations, token, now, this.#tools)
    if ('registration' in identity) this.#known.set(digest, identity, { size: Math.max(1, token.length) })
    else this.#known.delete(digest)
    return identity
  }
}
