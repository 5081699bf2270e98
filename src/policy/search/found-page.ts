/** What one call may look at. */
export interface SearchLimits {
  /** In steps of about 50 ns. */
  readonly steps: number
  readonly candidates: number
}

/** About 100 ms of work, between which everybody else is served. */
export const SEARCH_LIMITS: SearchLimits = { steps: 2_000_000, candidates: 20_000 }

export interface PageAsked {
  /** At most so many results. */
  readonly limit: number
  /** What stands up to here, itself included, was looked at; '' is the beginning. */
  readonly after: string
}

export interface FoundPage {
  readonly results: readonly string[]
  /** Up to where it was looked; undefined: there is nothing more. */
  readonly next: string | undefined
}

/**
 * One page, while it is being filled. It is over when it has as many results as were asked for and there is another one,
 * so that a page which says that there is more is never followed by nothing; or when the call has looked at as much as it
 * may.
 */
export class PageInProgress {
  readonly #results: string[] = []
  readonly #limit: number
  #position: string
  #steps: number
  #candidates: number
  #lookedAt = 0

  constructor({ limit, after }: PageAsked, { steps, candidates }: SearchLimits) {
    this.#limit = limit
    this.#position = after
    this.#steps = steps
    this.#candidates = candidates
  }

  /** Whether something was looked at: then the page may end here, and the next one gets further. */
  get isBegun(): boolean {
    return this.#lookedAt > 0
  }

  /** Whether it has looked at as much as it may; asked before each candidate. */
  get isSpent(): boolean {
    return this.isBegun && (this.#steps <= 0 || this.#lookedAt >= this.#candidates)
  }

  /** Takes in what a candidate came to. False: it was one too many, and the page is full. */
  take(id: string, { allowed, steps }: { readonly allowed: boolean; readonly steps: number }): boolean {
    this.#lookedAt++
    this.#steps -= steps
    if (allowed) {
      if (this.#results.length === this.#limit) {
        this.#position = this.#results.at(-1) ?? this.#position
        return false
      }
      this.#results.push(id)
    }
    this.#position = id
    return true
  }

  /** As it is when nothing was left. */
  get last(): FoundPage {
    return { results: this.#results, next: undefined }
  }

  /** As it is when there may be more. */
  get soFar(): FoundPage {
    return { results: this.#results, next: this.#position }
  }
}
