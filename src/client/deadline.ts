import { VerdictError } from './error.ts'

/** A timer takes no more, and would end at once. */
const LONGEST_MS = 2 ** 31 - 1

export function checkedTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= LONGEST_MS) return timeoutMs
  throw new VerdictError('bad_request', `timeoutMs is more than 0, and at most ${LONGEST_MS}`)
}

/** The one end of a call with all of its tries, waits and reading: its time-out, or the caller's signal. */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #over: Promise<never>
  readonly #close: () => void
  readonly #at: number

  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    this.#at = Date.now() + timeoutMs
    const { promise, reject } = rejection()
    this.#over = promise
    const end = (error: VerdictError) => {
      reject(error)
      this.#controller.abort(error)
    }
    const timer = setTimeout(() => end(new VerdictError('timeout', `no answer within ${timeoutMs} ms`)), timeoutMs)
    const aborted = () => end(new VerdictError('aborted', 'the caller gave up', { cause: signal?.reason }))
    if (signal?.aborted === true) aborted()
    signal?.addEventListener('abort', aborted, { once: true })
    this.#close = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get leftMs(): number {
    return this.#at - Date.now()
  }

  /** The work's outcome, unless the end comes first: a `fetch` that heeds no signal is not waited for either. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#over])
  }

  async pause(ms: number): Promise<void> {
    const { promise, resolve } = resolution()
    const timer = setTimeout(resolve, ms)
    try {
      await this.race(promise)
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#close()
  }

  /** Lets go of what is still being received. */
  abandon(): void {
    this.#close()
    this.#controller.abort()
  }
}

function rejection() {
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<never>((_, no) => {
    reject = no
  })
  // Nobody may be waiting when it ends.
  promise.catch(() => {})
  return { promise, reject }
}

function resolution() {
  let resolve: () => void = () => {}
  const promise = new Promise<void>((yes) => {
    resolve = yes
  })
  return { promise, resolve }
}
