import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { Failure } from '../failure.ts'
import { within } from '../snapshot/deadline.ts'

/** What is told, by whoever commits it, to every process that listens: a hint, on which nothing hangs. */
const CHANGED = 'verdict_changed'
const REVOKED = 'verdict_revoked'

/** Part of a statement with a `revision`: told with the commit of its transaction that a tenant has come to it. */
export const tellChanged = (tenant: string) => sql`pg_notify(${CHANGED}, revision || ' ' || ${tenant}::text)`

/** Part of a statement: told with its commit that sessions or tokens were ended. */
export const tellRevoked = sql`pg_notify(${REVOKED}, '')`

/** Who is told. */
export interface Listener {
  changed(tenant: string, revision: number): void
  revoked(): void
  /** From now on it is listened, for the first time or again: what was told meanwhile is lost. */
  listening(): void
  /** The connection broke, or nothing comes over it any more; another is made. */
  lost(error: unknown): void
}

export interface HintsOptions {
  /** A database that is reached without a pooler that shares connections between transactions. */
  readonly url: string
  readonly listener: Listener
  /** ms between two proofs that notifications still come through. */
  readonly heartbeat?: number
  /** ms that a connection, a statement or a notification may take. */
  readonly patience?: number
}

const RETRY_MS = { first: 100, longest: 5_000 } as const

/**
 * A connection that listens. It proves itself by a notification of its own that must come back: a server that is gone
 * without a word, and a pooler that swallows notifications, are found out by that.
 */
export class Hints {
  readonly #options: Required<HintsOptions>
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #listening = false
  #heard = 0

  constructor(options: HintsOptions) {
    this.#options = { heartbeat: 3_000, patience: 2_000, ...options }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  get isListening(): boolean {
    return this.#listening
  }

  /** Notifications that came, those that only prove the connection left out. */
  get heard(): number {
    return this.#heard
  }

  async #run(): Promise<void> {
    let wait: number = RETRY_MS.first
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#listen(() => {
          wait = RETRY_MS.first
        })
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#options.listener.lost(error)
      }
      this.#listening = false
      // Replicas that lost the same server do not come back in step.
      await sleep(wait * (0.5 + Math.random()), undefined, { signal: this.#stopping.signal }).catch(() => undefined)
      wait = Math.min(wait * 2, RETRY_MS.longest)
    }
  }

  /** Comes back only by failing. */
  async #listen(proved: () => void): Promise<never> {
    const { url, heartbeat, patience, listener } = this.#options
    const socket = new Socket()
    const client = new pg.Client({
      connectionString: url,
      application_name: 'verdict listen',
      stream: () => socket,
      keepAlive: true,
      connectionTimeoutMillis: patience,
      query_timeout: patience,
    })
    const ended = new AbortController()
    const end = () => {
      ended.abort()
      // Its own goodbye would wait for one from the other side.
      socket.destroy()
    }
    const beat = `verdict_beat_${randomBytes(8).toString('hex')}`
    const beats = new Beats()
    client.on('error', end).on('end', end)
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === beat) beats.came()
      else this.#hear(channel, payload)
    })
    this.#stopping.signal.addEventListener('abort', end)
    try {
      await client.connect()
      await client.query(`listen ${CHANGED}; listen ${REVOKED}; listen ${beat}`)
      for (let first = true; ; first = false) {
        const came = beats.next()
        await client.query('select pg_notify($1, $2)', [beat, ''])
        await within(patience, came, silent)
        if (first) {
          proved()
          this.#listening = true
          listener.listening()
        }
        await sleep(heartbeat, undefined, { signal: ended.signal })
      }
    } finally {
      this.#stopping.signal.removeEventListener('abort', end)
      end()
    }
  }

  #hear(channel: string, payload: string): void {
    this.#heard++
    const { listener } = this.#options
    if (channel === REVOKED) listener.revoked()
    const [, revision = '', tenant = ''] = /^(\d+) (.+)$/.exec(payload) ?? []
    if (tenant !== '') listener.changed(tenant, Number(revision))
  }
}

/** Notifications to oneself. */
class Beats {
  #came: () => void = () => undefined

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#came = resolve
    })
  }

  came(): void {
    this.#came()
  }
}

function silent(): Failure {
  const why = 'notifications do not come through: is there a pooler between that shares connections?'
  return new Failure('store_unavailable', why)
}
