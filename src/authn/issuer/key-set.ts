import { isDeepStrictEqual } from 'node:util'
import type { CryptoKey } from 'jose'
import type { IssuerWithDefaults } from '../../policy/issuer.ts'
import { discover } from './discovery.ts'
import { type PublicKey, publicKeys } from './keys.ts'

/** What a key set needs of the world: `fetchJson` rejects where there is nothing to be had. */
export interface KeySource {
  readonly fetchJson: (url: string) => Promise<unknown>
  /** Told that an issuer's keys could not be had. */
  readonly warn: (error: unknown, issuer: string) => void
}

/** How a token says what it was signed with. */
export interface KeyName {
  readonly kid: string | undefined
  readonly algorithm: string
}

/** With the generation that it is of. */
export type FoundKey = { readonly key: CryptoKey; readonly generation: number } | 'unknown' | 'unavailable'

/** Keys this old are fetched anew by whoever uses them next, who does not wait for it: a withdrawn key ends with that. */
const REFRESH_MS = 5 * 60_000
/** Keys that could not be fetched anew for this long are used no more. */
const MAX_STALENESS_MS = 60 * 60_000
/** An unknown key is asked for once in so long: tokens with made-up names of keys are free. */
const ASK_AGAIN_MS = 60_000
/** The same as long as there is no key at all. */
const RETRY_MS = 10_000

/**
 * The keys of one issuer. They stand in its registration or are fetched: one fetch at a time for whoever waits, and
 * never erased by an answer that is broken, or holds no key that could be used. Times are ms since the epoch.
 */
export class KeySet {
  readonly #issuer: IssuerWithDefaults
  #keys: readonly PublicKey[] = []
  #generation = 0
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | undefined

  constructor(issuer: IssuerWithDefaults) {
    this.#issuer = issuer
  }

  /**
   * Grows with every other set of keys; undefined where the keys are too old to be used. What was verified by keys of
   * an earlier generation is to be verified again.
   */
  generation(now: number, source: KeySource): number | undefined {
    if (this.#issuer.jwks !== undefined) return this.#generation
    if (now - this.#fetchedAt >= REFRESH_MS) void this.#refresh(now, source)
    return this.#isUsable(now) ? this.#generation : undefined
  }

  async find(name: KeyName, now: number, source: KeySource): Promise<FoundKey> {
    if (this.#issuer.jwks !== undefined) {
      if (this.#keys.length === 0) this.#keys = await publicKeys(this.#issuer.jwks, this.#issuer.algorithms)
      return this.#match(name) ?? 'unknown'
    }
    if (this.generation(now, source) === undefined) await this.#refresh(now, source)
    if (!this.#isUsable(now)) return 'unavailable'
    const known = this.#match(name)
    if (known !== undefined) return known
    await this.#refresh(now, source)
    return this.#match(name) ?? 'unknown'
  }

  /** The one key that it can be. Without a `kid` there must be no other of the algorithm. */
  #match({ kid, algorithm }: KeyName): FoundKey | undefined {
    const fitting = this.#keys.filter((key) => key.algorithm === algorithm && (kid === undefined || key.kid === kid))
    const [only, second] = fitting
    return only === undefined || second !== undefined ? undefined : { key: only.key, generation: this.#generation }
  }

  #isUsable(now: number): boolean {
    return now - this.#fetchedAt < MAX_STALENESS_MS
  }

  #refresh(now: number, source: KeySource): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching
    if (now - this.#triedAt < (this.#isUsable(now) ? ASK_AGAIN_MS : RETRY_MS)) return Promise.resolve()
    this.#triedAt = now
    this.#fetching = this.#fetch(now, source)
      .catch((error: unknown) => source.warn(error, this.#issuer.name))
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }

  async #fetch(now: number, { fetchJson }: KeySource): Promise<void> {
    const uri = this.#issuer.jwks_uri ?? (await discover(this.#issuer, fetchJson))
    const keys = await publicKeys(await fetchJson(uri), this.#issuer.algorithms)
    if (keys.length === 0) throw new Error('its key set holds no key that can be used')
    if (!sameKeys(keys, this.#keys)) this.#generation++
    this.#keys = keys
    this.#fetchedAt = now
  }
}

function sameKeys(some: readonly PublicKey[], others: readonly PublicKey[]): boolean {
  const texts = (keys: readonly PublicKey[]) => keys.map(({ kid, algorithm, text }) => [kid, algorithm, text])
  return isDeepStrictEqual(texts(some), texts(others))
}
