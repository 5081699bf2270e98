import { setImmediate as turn } from 'node:timers/promises'
import type { Granted, Reservation } from '../../store/quota-counters.ts'
import type { Counter } from './counter.ts'

export type Reserve = (tenant: string, asked: readonly Reservation[]) => Promise<readonly Granted[]>

/** As many counters are asked about in one statement, which has a deadline. */
const AT_ONCE = 500

interface Round {
  readonly counters: Set<Counter>
  readonly done: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Reserves units for counters: of one tenant one statement at a time, which asks for all who came meanwhile. */
export class Reservations {
  readonly #reserve: Reserve
  readonly #clock: () => number
  readonly #next = new Map<string, Round>()
  readonly #running = new Map<string, Promise<void>>()

  constructor(reserve: Reserve, clock: () => number) {
    this.#reserve = reserve
    this.#clock = clock
  }

  /** Comes back when the counter has what could be had. Fails if the database does. */
  ask(counter: Counter): Promise<void> {
    const { tenant } = counter
    const round = this.#next.get(tenant) ?? newRound()
    this.#next.set(tenant, round)
    round.counters.add(counter)
    counter.isAsking = true
    if (!this.#running.has(tenant)) this.#running.set(tenant, this.#run(tenant))
    return round.done
  }

  /** Comes back when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async #run(tenant: string): Promise<void> {
    // Whoever else asks in this turn comes along.
    await turn()
    for (let round = this.#next.get(tenant); round !== undefined; round = this.#next.get(tenant)) {
      this.#next.delete(tenant)
      const { counters, resolve, reject } = round
      try {
        for (const part of parts(counters)) await this.#reserveFor(tenant, part)
        resolve()
      } catch (error) {
        reject(error)
      } finally {
        for (const counter of counters) counter.isAsking = false
      }
    }
    this.#running.delete(tenant)
  }

  async #reserveFor(tenant: string, counters: ReadonlyMap<string, Counter>): Promise<void> {
    const now = this.#clock()
    for (const counter of counters.values()) counter.turnTo(now)
    const asked = [...counters.values()].map((counter) => counter.ask(now))
    const starts = new Map(asked.map(({ counter, start }) => [counter, start]))
    for (const granted of await this.#reserve(tenant, asked)) {
      const start = starts.get(granted.counter)
      if (start !== undefined) counters.get(granted.counter)?.receive(granted, start, this.#clock())
    }
  }
}

function newRound(): Round {
  let resolve = () => {}
  let reject: (error: unknown) => void = () => {}
  const done = new Promise<void>((onDone, onFailure) => {
    resolve = onDone
    reject = onFailure
  })
  // What is reserved ahead is nobody's to wait for.
  done.catch(() => {})
  return { counters: new Set(), done, resolve, reject }
}

/** A statement writes no row twice: a quota that has just changed may have two counters of one row for a while. */
function parts(counters: Iterable<Counter>): Map<string, Counter>[] {
  const all: Map<string, Counter>[] = []
  for (const counter of counters) {
    const part = all.find((one) => one.size < AT_ONCE && !one.has(counter.id))
    if (part === undefined) all.push(new Map([[counter.id, counter]]))
    else part.set(counter.id, counter)
  }
  return all
}
