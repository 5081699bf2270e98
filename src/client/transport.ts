import { checkStatus, chunksOf, jsonOf } from './answer.ts'
import type { Tokens } from './credentials.ts'
import { checkedTimeout, Deadline } from './deadline.ts'
import { VerdictError } from './error.ts'

export type Fetch = typeof globalThis.fetch

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly retry: Retry
  /** How long an answer may be. */
  readonly maxBytes?: number
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * `repeatable`: done twice, it is as if done once, so whatever failed on the way is tried again. `unanswered`: only where
 * nothing was decided for sure, as there was no connection, or a 503 that names a time. `never`: only with a new token
 * after a 401.
 */
export type Retry = 'repeatable' | 'unanswered' | 'never'

export interface Answered {
  readonly status: number
  readonly body: unknown
  readonly headers: Headers
}

export interface TransportOptions {
  readonly url: string
  readonly timeoutMs: number
  readonly fetch: Fetch
}

/** In bytes: nobody's memory is filled by what answers in Verdict's place. */
const MAX_ANSWER = 256 * 1024 * 1024

const TRIES = 3

/** Sends calls. The time-out of one covers all its tries, and the getting of a token. */
export class Transport {
  readonly #options: TransportOptions
  readonly #tokens: Tokens | undefined

  constructor(options: TransportOptions, tokens?: Tokens) {
    this.#options = options
    this.#tokens = tokens
  }

  /** The same, as somebody. */
  as(tokens: Tokens): Transport {
    return new Transport(this.#options, tokens)
  }

  /** The answer, whole. A VerdictError: there is none. */
  async json(call: Call): Promise<Answered> {
    const deadline = this.#deadline(call)
    try {
      return await this.#tried(call, deadline, async (response) => ({
        status: response.status,
        body: await jsonOf(response, call.maxBytes ?? MAX_ANSWER, deadline),
        headers: response.headers,
      }))
    } catch (error) {
      deadline.abandon()
      throw error
    } finally {
      deadline.close()
    }
  }

  /** The answer as it comes: its head within the time-out, and each part of it within another `idleMs`. */
  async *bytes(call: Call, idleMs: number): AsyncGenerator<Uint8Array> {
    const head = this.#deadline(call)
    let open = head
    try {
      const response = await this.#tried(call, head, async (found) => {
        await checkStatus(found, head)
        return found
      })
      head.close()
      open = new Deadline(idleMs, call.signal)
      for await (const chunk of chunksOf(response, { race: (work) => open.race(work) })) {
        open.close()
        yield chunk
        open = new Deadline(idleMs, call.signal)
      }
    } finally {
      open.abandon()
      head.abandon()
    }
  }

  #deadline({ timeoutMs = this.#options.timeoutMs, signal }: Call): Deadline {
    return new Deadline(checkedTimeout(timeoutMs), signal)
  }

  async #tried<T>(call: Call, deadline: Deadline, read: (response: Response) => Promise<T>): Promise<T> {
    let token = await this.#token(deadline)
    let isRenewed = false
    for (let tries = 1; ; tries++) {
      try {
        return await read(await this.#sent(call, token, deadline))
      } catch (error) {
        if (!(error instanceof VerdictError)) throw error
        const renewed = isRenewed ? undefined : await this.#renewed(error, token, deadline)
        if (renewed !== undefined) {
          token = renewed
          isRenewed = true
          continue
        }
        const waitMs = tries < TRIES ? waitBefore(call.retry, error, tries) : undefined
        if (waitMs === undefined || waitMs >= deadline.leftMs) throw error
        await deadline.pause(waitMs)
      }
    }
  }

  async #token(deadline: Deadline): Promise<string | undefined> {
    return this.#tokens === undefined ? undefined : asVerdictError(deadline.race(this.#tokens.current()))
  }

  async #renewed(error: VerdictError, token: string | undefined, deadline: Deadline): Promise<string | undefined> {
    if (error.status !== 401 || token === undefined || this.#tokens === undefined) return undefined
    return asVerdictError(deadline.race(this.#tokens.refused(token)))
  }

  async #sent(call: Call, token: string | undefined, deadline: Deadline): Promise<Response> {
    const { method, path, headers, body } = call
    const init: RequestInit = {
      method,
      headers: {
        accept: 'application/json',
        ...headers,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      // What answers with a redirect is no Verdict, and is not given the question, nor a key, a second time.
      redirect: 'manual',
      signal: deadline.signal,
      ...(body !== undefined && { body }),
    }
    return deadline.race(
      // Inside a promise, so that what it throws at once is caught as well.
      Promise.resolve()
        .then(() => this.#options.fetch(this.#options.url + path, init))
        .catch((cause: unknown) => {
          throw unsent(cause)
        }),
    )
  }
}

async function asVerdictError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    if (cause instanceof VerdictError) throw cause
    throw new VerdictError('bad_request', 'there is no credential to ask with', { cause })
  }
}

/** Undefined: it is not tried again. */
function waitBefore(retry: Retry, error: VerdictError, tries: number): number | undefined {
  const { code, status, retryAfterMs } = error
  const backoffMs = 50 * 2 ** tries * (0.5 + Math.random())
  if (retry === 'never') return undefined
  if (code === 'unreachable') return backoffMs
  if (status === 503 && retryAfterMs !== undefined) return retryAfterMs
  if (retry !== 'repeatable') return undefined
  if (code === 'disconnected' || (status !== undefined && PASSING.has(status))) return retryAfterMs ?? backoffMs
  return undefined
}

/** What may have passed by the next time. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** What Node's `fetch` says where it got no connection; a browser does not say. */
const NO_CONNECTION: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function unsent(error: unknown): VerdictError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return NO_CONNECTION.has(code)
    ? new VerdictError('unreachable', `there is no connection: ${String(code)}`, { cause: error })
    : new VerdictError('disconnected', 'the connection broke before an answer came', { cause: error })
}
