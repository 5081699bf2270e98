import { randomBytes } from 'node:crypto'

export interface EventId {
  /** UUIDv7. */
  readonly id: string
  /** The instant in it: RFC 3339, UTC, milliseconds. */
  readonly at: string
}

/** Two digits for each byte. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** How many ids one millisecond can name. */
const COUNTED = 2 ** 26

const DRAWN_BYTES = 6
const DRAWN_DIGITS = 2 * DRAWN_BYTES

/**
 * Makes UUIDv7 (RFC 9562, 6.2, method 1): the milliseconds, 26 bits that count, 48 that are drawn. Put together as text,
 * since each decision has one: made as bytes first they took a twentieth of the work for an item of a batch.
 */
export class EventIds {
  readonly #counted: number
  #msecs = 0
  #count: number
  #at = ''
  /** An id's text as far as the higher 12 of the bits that count. */
  #head = ''
  // Asking the system for random bytes costs more than all the rest of an id, so it is asked for many at once.
  #pool = ''
  #used = 0

  /** @param counted how many ids one millisecond can name, 2^26 at most. */
  constructor(counted = COUNTED) {
    this.#counted = counted
    this.#count = counted - 1
  }

  /** An id that sorts after the one before. `now` is in whole ms; where it goes back, ids stay where they are. */
  next(now: number): EventId {
    if (now > this.#msecs || this.#count === this.#counted - 1) this.#begin(Math.max(now, this.#msecs + 1))
    else if ((++this.#count & 0x3fff) === 0) this.#head = this.#headOf()
    const lower = `${HEX[0x80 | ((this.#count >>> 8) & 0x3f)]}${HEX[this.#count & 0xff]}`
    return { id: `${this.#head}${lower}-${this.#drawn()}`, at: this.#at }
  }

  /** Where the count begins is drawn: replicas that decide in the same millisecond are told apart by it, too. */
  #begin(msecs: number): void {
    this.#msecs = msecs
    this.#at = new Date(msecs).toISOString()
    this.#count = Number.parseInt(this.#drawn().slice(0, 8), 16) % Math.floor(this.#counted / 2)
    this.#head = this.#headOf()
  }

  #headOf(): string {
    const time = this.#msecs.toString(16).padStart(12, '0')
    const higher = (this.#count >>> 14).toString(16).padStart(3, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7${higher}-`
  }

  #drawn(): string {
    if (this.#used === this.#pool.length) {
      this.#pool = randomBytes(512 * DRAWN_BYTES).toString('hex')
      this.#used = 0
    }
    this.#used += DRAWN_DIGITS
    return this.#pool.slice(this.#used - DRAWN_DIGITS, this.#used)
  }
}

const ids = new EventIds()

/** An id that no other event has, and its instant. `now` in whole ms. */
export function eventId(now: number): EventId {
  return ids.next(now)
}

/** The instant in a UUIDv7, its first 48 bits: of an event's id or a writer's. ms since the epoch. */
export function instantIn(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
