import { type Window, windowAt } from '../../policy/quota.ts'
import type { CompiledQuota } from '../../policy/quota-index.ts'
import type { CounterWindow, Granted, Reservation } from '../../store/quota-counters.ts'

/** ms. What the database has said of what is left is believed for as long, by whoever would be refused by it. */
const BELIEVED_MS = 100
/** ms of use that a block is for. */
const AHEAD_MS = 100
const OFTEN_MS = 250
/** A process holds at most this part of a limit in hand, unless more is waited for: a kill loses no more. */
const PART = 64
/** From here on there is no reserving ahead: each unit is worth a question. */
const FEW = 16

/** What a process knows of one counter, and the units that it has reserved of it and not spent yet. */
export class Counter {
  readonly tenant: string
  readonly quota: CompiledQuota
  /** A keyed hash of whom it counts, in hex: the name of its row. */
  readonly id: string
  /** Of its windows. */
  readonly seconds: number
  /** When it was last drawn from, in ms since the epoch. */
  usedAt = 0
  /** Units that decisions are waiting for, or will draw as soon as it is their turn. */
  waiting = 0
  /** A reservation is asked for, or under way. */
  isAsking = false
  #window: Window
  #reset_at: string
  #block = 0
  #granted = 0
  // Units of the window that nobody had reserved when the database was last asked; undefined: it was not.
  #left: number | undefined
  #heardAt = 0
  #taken = 0
  // ms between the last two decisions that drew from it.
  #gap = Number.POSITIVE_INFINITY
  #askedAt = 0

  constructor(tenant: string, quota: CompiledQuota, seconds: number, id: string, now: number) {
    this.tenant = tenant
    this.quota = quota
    this.id = id
    this.seconds = seconds
    this.#window = windowAt(now, seconds)
    this.#reset_at = new Date(this.#window.end).toISOString()
    this.#askedAt = now
  }

  get row(): CounterWindow {
    return { quota: this.quota.name, counter: this.id, window_seconds: this.seconds, start: this.#window.start }
  }

  get start(): number {
    return this.#window.start
  }

  get reset_at(): string {
    return this.#reset_at
  }

  /** Units that are reserved for this process and not spent yet: what other comments call "in hand". */
  get block(): number {
    return this.#block
  }

  /** Units that may still be had, as far as is known; null: that has not been asked. */
  get remaining(): number | null {
    return this.#left === undefined ? null : this.#block + this.#left
  }

  /**
   * Goes on to the window of an instant. What is in hand is good for its own window only. A clock that goes back stays in
   * the later window: its units are counted there.
   */
  turnTo(now: number): void {
    if (now < this.#window.end) return
    this.#window = windowAt(now, this.seconds)
    this.#reset_at = new Date(this.#window.end).toISOString()
    this.#block = 0
    this.#granted = 0
    this.#left = undefined
    this.#heardAt = 0
  }

  /** The database has just been asked, and there are not so many units. */
  isShort(units: number, now: number): boolean {
    if (units > this.quota.limit) return true
    return this.#left !== undefined && now - this.#heardAt < BELIEVED_MS && units > this.#block + this.#left
  }

  /** Whether so many may be waited for besides what is: as many as are in hand, or the first to ask. */
  hasRoomFor(units: number): boolean {
    return this.waiting === 0 || this.waiting + units <= this.#block
  }

  take(units: number, now: number): void {
    this.#gap = now - this.usedAt
    this.#block -= units
    this.#taken += units
    this.usedAt = now
  }

  /** What was taken of a window and not used. Of another one than the present it is worth nothing. */
  putBack(units: number, start: number): void {
    if (start === this.#window.start) this.#block += units
  }

  /** Takes all out of hand: 0 where nothing is. */
  empty(): number {
    const units = this.#block
    this.#block = 0
    this.#granted = 0
    if (this.#left !== undefined) this.#left += units
    return units
  }

  /** Whether it is time to ask for more, before the block is spent: of what is drawn from seldom, nothing is kept. */
  get isLow(): boolean {
    if (this.isAsking || this.#gap > OFTEN_MS) return false
    return this.#block * 2 <= this.#granted && this.#left !== undefined && this.#left >= FEW
  }

  /** Something was given back elsewhere: what was heard is not so any more. */
  forgetHeard(): void {
    this.#heardAt = 0
  }

  /** What to ask for: what is waited for, and a block for as long as it lasts at the pace of late. */
  ask(now: number): Reservation {
    const { limit } = this.quota
    const pace = this.#taken / Math.max(1, now - this.#askedAt)
    this.#taken = 0
    this.#askedAt = now
    const needed = Math.min(limit, Math.max(0, this.waiting - this.#block))
    const wanted = Math.max(1, Math.min(Math.ceil(pace * AHEAD_MS), Math.ceil(limit / PART)))
    return { ...this.row, limit, needed, wanted }
  }

  /** Takes what was asked for a window into hand. */
  receive({ granted, reserved }: Granted, start: number, now: number): void {
    if (start !== this.#window.start) return
    this.#block += granted
    this.#granted = this.#block
    this.#left = Math.max(0, this.quota.limit - reserved)
    this.#heardAt = now
  }
}
