import type { Log } from './shipper.ts'

/** A record that was written with an administrative change and is not yet known to be in `audit`. */
export interface OwedEvent {
  readonly tenant_id: string
  readonly id: string
  /** The event's JSON text. */
  readonly event: string
}

export interface OutboxStore {
  /**
   * Makes this writer owe what closed writers left, and answers with what it owes, oldest first. A closed writer's
   * log is wholly shipped, and shipping a record deletes it from the outbox: what is left stands in no log.
   */
  owed(writer: string, limit: number): Promise<readonly OwedEvent[]>
}

export interface OutboxOptions {
  readonly journal: { readonly writer: string; append(tenant: string, event: string): Promise<number> }
  readonly shipper: { readonly shipped: number }
  readonly store: OutboxStore
  readonly log: Log
  readonly sweepMs?: number
  /** How long a shipped id is remembered, for an announcement that comes later than the sweep that found the row. */
  readonly rememberMs?: number
}

interface Announced {
  readonly seq: Promise<number>
  /** Set once it is appended. */
  appended: { readonly seq: number; readonly at: number } | undefined
}

const SWEEP_LIMIT = 1000

/**
 * Appends the records of administrative changes to the log, once the change is committed, each once. Who made the
 * change announces it. Where the outcome of a commit stayed unknown nobody does: a sweep finds the row if there is one.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #announced = new Map<string, Announced>()
  readonly #rememberMs: number
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> | undefined

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#rememberMs = options.rememberMs ?? 60_000
  }

  /** To be called after the commit. It may fail (audit_unavailable): the row keeps the record, the sweep tries again. */
  announce(tenant: string, id: string, event: string): Promise<number> {
    const known = this.#announced.get(id)
    if (known !== undefined) return known.seq
    const announced: Announced = { seq: this.#options.journal.append(tenant, event), appended: undefined }
    this.#announced.set(id, announced)
    announced.seq.then(
      (seq) => {
        announced.appended = { seq, at: Date.now() }
      },
      () => this.#announced.delete(id),
    )
    return announced.seq
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#sweepQuietly(), this.#options.sweepMs ?? 5000).unref()
    this.#sweepQuietly()
  }

  /** Appends what is owed and was never announced. One at a time, or one would forget what another still needs. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce().finally(() => {
      this.#sweeping = undefined
    })
    return this.#sweeping
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sweeping?.catch(() => {})
  }

  async #sweepOnce(): Promise<void> {
    const { journal, store } = this.#options
    const rows = await store.owed(journal.writer, SWEEP_LIMIT)
    await Promise.all(rows.map((row) => this.announce(row.tenant_id, row.id, row.event)))
    this.#forget()
  }

  /** Only after a sweep's rows are done with: one of them may have been shipped since they were read. */
  #forget(): void {
    const { shipped } = this.#options.shipper
    const longAgo = Date.now() - this.#rememberMs
    for (const [id, { appended }] of this.#announced) {
      if (appended !== undefined && appended.seq < shipped && appended.at <= longAgo) this.#announced.delete(id)
    }
  }

  #sweepQuietly(): void {
    this.sweep().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the audit outbox could not be swept')
    })
  }
}
