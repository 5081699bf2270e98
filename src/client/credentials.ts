import type { Credential } from '../contract/authenticate.ts'
import { Deadline } from './deadline.ts'
import { VerdictError } from './error.ts'

/**
 * As whom to ask: with an API key; with access tokens that somebody else keeps fresh (`refused` is the one that was just
 * refused); or with a credential that is exchanged for them, and refreshed, here.
 */
export type Authentication =
  | { readonly apiKey: string }
  | { readonly token: string | ((refused?: string) => string | Promise<string>) }
  | {
      readonly credentials: Credential | (() => Credential | Promise<Credential>)
      /** Told of each new session: a refresh token is good for once, so whoever keeps one keeps the newest. */
      readonly onSession?: (session: Session) => void
    }

/** What `POST /v1/authenticate` gave. */
export interface Session {
  readonly access_token: string
  readonly expires_in: number
  readonly refresh_token?: string
}

export interface Tokens {
  /** What goes behind `Bearer`. */
  current(): Promise<string>
  /** Another one in its place, now that it was refused; undefined: there is none. */
  refused(token: string): Promise<string | undefined>
}

type Authenticate = (credential: Credential) => Promise<Session>

/** `timeoutMs`: how long the application may take to give a token or a credential. */
export function tokensOf(given: Authentication, timeoutMs: number, authenticate: Authenticate): Tokens {
  if ('apiKey' in given) return { current: async () => printable(given.apiKey), refused: async () => undefined }
  if ('token' in given) return givenTokens(given.token, timeoutMs)
  return new Sessions(given.credentials, timeoutMs, authenticate, given.onSession)
}

function givenTokens(token: string | ((refused?: string) => string | Promise<string>), timeoutMs: number): Tokens {
  if (typeof token === 'string') return { current: async () => printable(token), refused: async () => undefined }
  const asked = new Single(async (refused: string | undefined) =>
    printable(await within(timeoutMs, async () => token(refused))),
  )
  return { current: () => asked.run(undefined), refused: async (refused) => other(refused, await asked.run(refused)) }
}

const other = (refused: string, token: string) => (token === refused ? undefined : token)

/** A token that expires within this time is not used any more: it would expire on the way. */
const MARGIN_MS = 10_000

class Sessions implements Tokens {
  readonly #credentials: Credential | (() => Credential | Promise<Credential>)
  readonly #timeoutMs: number
  readonly #authenticate: Authenticate
  readonly #onSession: ((session: Session) => void) | undefined
  readonly #renewal = new Single(() => this.#renew())
  #token: { readonly text: string; readonly until: number } | undefined
  #refreshToken: string | undefined

  constructor(
    credentials: Credential | (() => Credential | Promise<Credential>),
    timeoutMs: number,
    authenticate: Authenticate,
    onSession: ((session: Session) => void) | undefined,
  ) {
    this.#credentials = credentials
    this.#timeoutMs = timeoutMs
    this.#authenticate = authenticate
    this.#onSession = onSession
  }

  async current(): Promise<string> {
    const token = this.#token
    return token !== undefined && Date.now() < token.until ? token.text : this.#renewal.run(undefined)
  }

  async refused(token: string): Promise<string | undefined> {
    if (this.#token?.text === token) this.#token = undefined
    return other(token, await this.current())
  }

  async #renew(): Promise<string> {
    const session = (await this.#refreshed()) ?? (await this.#authenticate(await this.#given()))
    const lives = session.expires_in * 1000
    this.#token = {
      text: printable(session.access_token),
      until: Date.now() + lives - Math.min(MARGIN_MS, lives / 10),
    }
    this.#refreshToken = session.refresh_token
    this.#onSession?.(session)
    return this.#token.text
  }

  /** Undefined: there is nothing to refresh, or not any more. */
  async #refreshed(): Promise<Session | undefined> {
    const refresh_token = this.#refreshToken
    if (refresh_token === undefined) return undefined
    try {
      return await this.#authenticate({ method: 'refresh_token', refresh_token })
    } catch (error) {
      if (!(error instanceof VerdictError) || error.status !== 401) throw error
      this.#refreshToken = undefined
      return undefined
    }
  }

  async #given(): Promise<Credential> {
    const given = this.#credentials
    return typeof given === 'function' ? within(this.#timeoutMs, async () => given()) : given
  }
}

/** What never settles would be waited for by every later call, too. */
async function within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = new Deadline(timeoutMs, undefined)
  try {
    return await deadline.race(work())
  } finally {
    deadline.close()
  }
}

/** However many ask at once, it is done once. */
class Single<Input, Output> {
  readonly #work: (input: Input) => Promise<Output>
  #running: Promise<Output> | undefined

  constructor(work: (input: Input) => Promise<Output>) {
    this.#work = work
  }

  run(input: Input): Promise<Output> {
    this.#running ??= this.#work(input).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }
}

function printable(token: string): string {
  // What a header cannot carry would come back in the message of an error.
  if (typeof token === 'string' && /^[!-~]+$/.test(token)) return token
  throw new VerdictError('bad_request', 'the credential is empty, or holds characters that none has')
}
