import { LRUCache } from 'lru-cache'

const WINDOW_MS = 60_000
const SINGLY = 10
const ADDRESSES = 10_000

interface Window {
  readonly began: number
  failures: number
}

/** Failures beyond those that were recorded singly. `address` null: of addresses that were too many to tell apart. */
export interface Uncounted {
  readonly address: string | null
  readonly count: number
}

/**
 * Bounds what failed authentications can write into the audit trail: 10 records a minute for an address, then one
 * that counts. Bounded in memory too; what falls out of the table is counted without its address.
 */
export class FailedAttempts {
  readonly #windows: LRUCache<string, Window>
  #evicted = 0

  constructor(addresses = ADDRESSES) {
    this.#windows = new LRUCache<string, Window>({
      max: addresses,
      disposeAfter: (window, _address, reason) => {
        if (reason === 'evict') this.#evicted += Math.max(0, window.failures - SINGLY)
      },
    })
  }

  /** Whether this failure is to be recorded by itself. `now` in ms. */
  isRecordedSingly(address: string, now: number): boolean {
    const window = this.#windows.get(address) ?? { began: now, failures: 0 }
    window.failures++
    this.#windows.set(address, window)
    return window.failures <= SINGLY
  }

  /** Ends the windows that are over, or all of them, and says what they hold beyond what was recorded singly. */
  drain(now: number, which: 'past' | 'all'): Uncounted[] {
    const counted: Uncounted[] = []
    for (const [address, window] of this.#windows) {
      if (which === 'past' && now - window.began < WINDOW_MS) continue
      this.#windows.delete(address)
      if (window.failures > SINGLY) counted.push({ address, count: window.failures - SINGLY })
    }
    if (this.#evicted > 0) counted.push({ address: null, count: this.#evicted })
    this.#evicted = 0
    return counted
  }

  /** Takes back a count that could not be recorded: the next drain gives it out again. */
  putBack({ address, count }: Uncounted): void {
    if (address === null) {
      this.#evicted += count
      return
    }
    const window = this.#windows.get(address) ?? { began: Number.NEGATIVE_INFINITY, failures: 0 }
    // What is recorded singly is not counted again.
    window.failures = Math.max(window.failures, SINGLY) + count
    this.#windows.set(address, window)
  }
}
