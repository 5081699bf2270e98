import { setTimeout as pause } from 'node:timers/promises'
import { type AuditEvent, encodeEvent } from './event.ts'
import { Journal, type JournalOptions } from './journal.ts'
import { atMost } from './limit.ts'
import { Outbox, type OutboxStore } from './outbox.ts'
import { leftBytes, type Progress, recoverJournals } from './recovery.ts'
import { type AuditStore, type Log, Shipper } from './shipper.ts'

export interface AuditTrailOptions extends JournalOptions {
  readonly store: AuditStore & OutboxStore
  readonly log: Log
}

const COMMIT_MS = 2000
const RECOVERY_PAUSE = 2000

/** The way of every record from an event to the database: the parts, wired; closed in reverse. */
export class AuditTrail {
  readonly journal: Journal
  readonly shipper: Shipper
  readonly outbox: Outbox
  readonly #options: AuditTrailOptions
  readonly #stopped = new AbortController()
  /** Of dead processes' logs that are being shipped, how many records are left of each. */
  readonly #left = new Map<string, number>()
  #recovery: Promise<void> | undefined
  /** Whether there may be somebody who waits for a record to be in the database. */
  isAwaited: () => boolean = () => true

  private constructor(options: AuditTrailOptions, journal: Journal) {
    this.#options = options
    this.journal = journal
    const mayYield = () => this.mayYield
    this.shipper = new Shipper({ source: journal, store: options.store, log: options.log, mayYield })
    this.outbox = new Outbox({ journal, shipper: this.shipper, store: options.store, log: options.log })
    journal.onConfirmed = () => this.shipper.nudge()
  }

  /** The data directory's lock must be held: journals of other writers in it are taken for those of dead processes. */
  static async open(options: AuditTrailOptions): Promise<AuditTrail> {
    const trail = new AuditTrail(options, await Journal.open(options))
    await trail.#weigh()
    trail.shipper.start()
    trail.outbox.start()
    trail.#recovery = trail.#recover()
    return trail
  }

  /** Whether a record would be kept now, as far as is known. */
  get isKeeping(): boolean {
    return this.journal.isKeeping
  }

  /** Whether records may stay on this machine's disk for a while: nobody waits for them, and there is room. */
  get mayYield(): boolean {
    return !this.isAwaited() && this.journal.isRoomy
  }

  /** Records on this machine's disk that are not known to be in the database, dead processes' included. */
  get backlog(): number {
    let sum = this.shipper.backlog
    for (const records of this.#left.values()) sum += records
    return sum
  }

  /** Waits until the record is safe on this machine's disk. @returns its number in the log. */
  async record(event: AuditEvent): Promise<number> {
    return this.journal.append(event.tenant, encodeEvent(event))
  }

  /**
   * The same for several events of one tenant, encoded: all are kept, in one write, or none.
   * @returns the number of the last.
   */
  async recordAll(tenant: string, events: readonly string[]): Promise<number> {
    return (await this.journal.appendAll(tenant, events)) + events.length - 1
  }

  /** Waits until the record of that number is in the database, too: tenants with `audit_mode: commit`. */
  committed(seq: number): Promise<void> {
    return this.shipper.committed(seq, COMMIT_MS)
  }

  /**
   * Nothing is recorded any more. True: everything is in the database, and nothing is left on the disk. What the
   * database does not take within `deadlineMs` stays for the next start.
   */
  async stop(deadlineMs: number): Promise<boolean> {
    const until = Date.now() + deadlineMs
    this.#stopped.abort()
    await atMost(deadlineMs / 4, this.#lastSweep())
    await this.journal.close()
    const complete = await this.shipper.stop(until - Date.now())
    await atMost(until - Date.now(), this.#recovery ?? Promise.resolve())
    return complete
  }

  async #weigh(): Promise<void> {
    this.journal.besides = await leftBytes({ root: this.#options.root, self: this.journal.writer })
  }

  async #lastSweep(): Promise<void> {
    await this.outbox.stop()
    await this.outbox.sweep().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'the audit outbox is left to the next start')
    })
  }

  /** Until no log of a dead process is left but damaged ones. */
  async #recover(): Promise<void> {
    const { root, store, log } = this.#options
    const { signal } = this.#stopped
    const onProgress = ({ writer, records, shipped }: Progress) => void this.#left.set(writer, records - shipped)
    while (!signal.aborted) {
      try {
        const logs = await recoverJournals(
          { root, self: this.journal.writer, store, log, signal, onProgress },
          Infinity,
        )
        await this.#weigh()
        // Closing a writer frees what it owed.
        await this.outbox.sweep()
        if (logs.every(({ complete, damage }) => complete || damage !== undefined)) return
      } catch (error) {
        log.warn({ err: error }, 'the journals of dead processes could not be recovered yet')
      }
      await pause(RECOVERY_PAUSE, undefined, { signal }).catch(() => {})
    }
  }
}
