import { Failure } from '../failure.ts'
import { within } from './deadline.ts'

/** A session or an access token that was ended before its time. */
export interface Revoked {
  readonly id: string
  /** When nothing names it any more: ms since the epoch. */
  readonly expires_at: number
}

export interface RevocationSource {
  /** What was revoked since a position ('0': all), and the position to ask from the next time. */
  revokedSince(position: string): Promise<{ readonly position: string; readonly revoked: readonly Revoked[] }>
}

export interface RevokedTokensOptions {
  readonly source: RevocationSource
  /** ms without word from the database after which no session is believed any more. */
  readonly maxStaleness: number
  /** ms between two polls. */
  readonly interval?: number
  /** ms, monotonic. */
  readonly clock?: () => number
  readonly onError?: (error: unknown) => void
}

const DEADLINE_MS = 2_000

/**
 * The sessions that were ended while access tokens of theirs may still be valid, in memory: each use of a token asks.
 * The poll every second is the truth; who has just ended one asks for a round at once.
 */
export class RevokedTokens {
  readonly #options: Required<RevokedTokensOptions>
  readonly #revoked = new Map<string, number>()
  #position = '0'
  #next: Promise<void> | undefined
  #last: Promise<unknown> = Promise.resolve()
  #goodAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: RevokedTokensOptions) {
    this.#options = { interval: 1_000, clock: () => performance.now(), onError: () => {}, ...options }
  }

  /** Comes back when everything that is revoked is in memory. */
  async start(): Promise<void> {
    await this.poll()
    const { interval, onError } = this.#options
    this.#timer ??= setInterval(() => void this.poll().catch(onError), interval).unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#last
  }

  /** Fails with `stale` where memory is too old to say. */
  isRevoked(id: string): boolean {
    const { clock, maxStaleness } = this.#options
    if (clock() - this.#goodAt > maxStaleness) {
      throw new Failure('stale', 'the database has been away for too long to believe a session', { retryAfter: 1 })
    }
    return this.#revoked.has(id)
  }

  get size(): number {
    return this.#revoked.size
  }

  /** A round that begins after now, so that what it reads is not older than the asking. */
  poll(): Promise<void> {
    if (this.#next === undefined) {
      this.#next = this.#last.then(() => {
        this.#next = undefined
        return this.#round()
      })
      this.#last = this.#next.catch(() => undefined)
    }
    return this.#next
  }

  async #round(): Promise<void> {
    const at = this.#options.clock()
    const { position, revoked } = await this.#read(this.#position)
    for (const { id, expires_at } of revoked) this.#revoked.set(id, expires_at)
    for (const [id, expires_at] of this.#revoked) if (expires_at < Date.now()) this.#revoked.delete(id)
    const wentBack = BigInt(position) < BigInt(this.#position)
    this.#position = position
    this.#goodAt = at
    // A restored database counts from where it was: what it says of the time since then is all to be read.
    if (wentBack) {
      this.#position = '0'
      await this.#round()
    }
  }

  async #read(position: string): ReturnType<RevocationSource['revokedSince']> {
    const reading = this.#options.source.revokedSince(position).catch((error: unknown) => {
      throw unavailable(error)
    })
    return within(DEADLINE_MS, reading, unavailable)
  }
}

function unavailable(cause?: unknown): Failure {
  return new Failure('store_unavailable', 'the database could not be asked which sessions ended', {
    cause,
    retryAfter: 1,
  })
}
