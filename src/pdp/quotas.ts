import { Failure } from '../failure.ts'
import type { Decision } from '../policy/model.ts'
import type { Draw, Taking } from '../policy/quota-use.ts'
import { within } from '../snapshot/deadline.ts'
import type { Unused } from '../store/quota-counters.ts'
import type { Made } from './answer.ts'
import type { Counter } from './quotas/counter.ts'
import { Counters } from './quotas/counters.ts'
import { Reservations, type Reserve } from './quotas/reservations.ts'
import { drawn, type RecordedUse, recordedUses, refusedBy, type Taken, takeAll, type Wanted } from './quotas/takings.ts'

/** What quotas need of the database. */
export interface QuotaStore {
  readonly reserve: Reserve
  handBack(tenant: string, unused: readonly Unused[]): Promise<void>
}

export interface QuotasOptions {
  readonly store: QuotaStore
  readonly masterKey: Buffer
  /** ms since the epoch. */
  readonly clock: () => number
}

const WAIT_MS = 2_000
/** Others may have had what was reserved, or a window may have ended: then it is asked again. */
const TRIES = 5
/** ms. What nobody draws from for so long gives its units back, and after so long it is forgotten. */
const IDLE_MS = 1_000
const FORGOTTEN_MS = 60_000
/** As many counters are looked at in one turn. */
const LOOKED_AT = 10_000

/**
 * Draws what decisions take of counters from the blocks of units that this process has reserved. While a block has units
 * that is one turn, without waiting; the next block is on its way before it is spent. All that a decision takes is taken
 * in one turn, so that it has all of it or none.
 */
export class Quotas {
  readonly #counters: Counters
  readonly #reservations: Reservations
  readonly #store: QuotaStore
  readonly #clock: () => number
  #sweeping: Iterator<Counter> | undefined

  constructor({ store, masterKey, clock }: QuotasOptions) {
    this.#counters = new Counters(masterKey)
    this.#reservations = new Reservations((tenant, asked) => store.reserve(tenant, asked), clock)
    this.#store = store
    this.#clock = clock
  }

  /**
   * The decision with its units taken, or the deny that it is because there are not enough; one that takes none, as it
   * is. Fails with `quota_unavailable` where that can't be told.
   */
  draw(tenant: string, made: Made): Made | Promise<Made> {
    const { taking } = made.decision
    if (taking === undefined) return made
    const wanted = this.#wantedBy(tenant, taking, this.#clock())
    return this.#try(made, wanted) ?? this.#waitFor(made, wanted)
  }

  /**
   * Asks for what a decision will draw whose turn is yet to come, in one statement with what is waited for now. It stays
   * in hand until `release` is called, and is nobody's: whoever draws first takes it. Undefined: those before it may leave
   * too little for it, and nothing is asked for.
   */
  expect(tenant: string, made: Made): readonly Wanted[] | undefined {
    const { taking } = made.decision
    if (taking === undefined) return []
    const now = this.#clock()
    const wanted = this.#wantedBy(tenant, taking, now)
    for (const { counter } of wanted) counter.turnTo(now)
    if (wanted.some(({ counter, units }) => counter.isShort(units, now))) return []
    if (!wanted.every(({ counter, units }) => counter.hasRoomFor(units))) return undefined
    for (const { counter, units } of wanted) {
      counter.waiting += units
      if (counter.block < counter.waiting) this.#reservations.ask(counter).catch(() => {})
    }
    return wanted
  }

  /** What was expected is drawn now, or is not to be any more. */
  release(wanted: readonly Wanted[]): void {
    for (const { counter, units } of wanted) counter.waiting -= units
  }

  /** The same as far as this process knows without asking anybody; nothing is taken. */
  foresee<M extends Made>(made: M): M {
    const { taking } = made.decision
    if (taking === undefined) return made
    const now = this.#clock()
    const wanted = taking.draws.flatMap((draw) => {
      const counter = this.#counters.find(draw)
      counter?.turnTo(now)
      return counter === undefined ? [] : [{ counter, units: draw.units }]
    })
    const isShort = ({ counter, units }: Wanted) => units > (counter.remaining ?? counter.quota.limit)
    const { decision } = made
    if (wanted.some(isShort)) return { ...made, decision: refusedBy(decision, wanted, isShort) }
    return { ...made, decision: drawn(decision, wanted) }
  }

  /** What was taken for a decision that is not given after all. */
  giveBack({ taken = [] }: Made): void {
    for (const { counter, units, start } of taken) counter.putBack(units, start)
  }

  /** How many counters this process knows. */
  get size(): number {
    return this.#counters.size
  }

  /** The name of a counter's row. */
  idOf: Counters['idOf'] = (...named) => this.#counters.idOf(...named)

  /** Units of a counter that this process holds in hand. */
  inHand(id: string): number {
    let units = 0
    for (const counter of this.#counters) if (counter.id === id) units += counter.block
    return units
  }

  /** Units of a counter have been given back. */
  refunded(id: string): void {
    for (const counter of this.#counters) if (counter.id === id) counter.forgetHeard()
  }

  /** Gives back what lies idle, and forgets what nobody has asked for in a while. To be called every second or so. */
  async sweep(): Promise<void> {
    const now = this.#clock()
    const idle: Counter[] = []
    const walk = this.#sweeping ?? this.#counters[Symbol.iterator]()
    this.#sweeping = walk
    for (let looked = 0; looked < LOOKED_AT; looked++) {
      const { value: counter, done } = walk.next()
      if (done === true) {
        this.#sweeping = undefined
        break
      }
      if (counter.waiting > 0 || counter.isAsking) continue
      counter.turnTo(now)
      if (now - counter.usedAt >= IDLE_MS) idle.push(counter)
      if (now - counter.usedAt >= FORGOTTEN_MS) this.#counters.forget(counter)
    }
    await this.#handBack(idle)
  }

  /** Gives back all that is in hand. For the end, when nothing is decided any more. */
  async close(): Promise<void> {
    await this.#reservations.settled()
    const now = this.#clock()
    for (const counter of this.#counters) counter.turnTo(now)
    await this.#handBack([...this.#counters])
  }

  #wantedBy(tenant: string, { draws }: Taking, now: number): readonly Wanted[] {
    return draws.map((draw) => ({ counter: this.#counterOf(tenant, draw, now), units: draw.units }))
  }

  #counterOf(tenant: string, draw: Draw, now: number): Counter {
    return this.#counters.of(tenant, draw, now, (forgotten) => void this.#handBack([forgotten]).catch(() => {}))
  }

  /** Undefined: it depends on what the database says. */
  #try(made: Made, wanted: readonly Wanted[]): Made | undefined {
    const now = this.#clock()
    for (const { counter } of wanted) counter.turnTo(now)
    const taken = takeAll(wanted, now)
    if (taken !== undefined) return this.#taken(made, wanted, taken)
    const isShort = ({ counter, units }: Wanted) => counter.block < units && counter.isShort(units, now)
    return wanted.some(isShort) ? decidedAs(made, refusedBy(made.decision, wanted, isShort)) : undefined
  }

  #taken(made: Made, wanted: readonly Wanted[], taken: readonly Taken[]): Made {
    for (const { counter } of wanted) if (counter.isLow) this.#reservations.ask(counter).catch(() => {})
    const decision = drawn(made.decision, wanted)
    return decidedAs(made, decision, taken, recordedUses(decision.quotas ?? [], taken))
  }

  async #waitFor(made: Made, wanted: readonly Wanted[]): Promise<Made> {
    const until = performance.now() + WAIT_MS
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#reserved(wanted, until - performance.now())
      const found = this.#try(made, wanted)
      if (found !== undefined) return found
    }
    throw untold()
  }

  async #reserved(wanted: readonly Wanted[], ms: number): Promise<void> {
    for (const { counter, units } of wanted) counter.waiting += units
    const asked = wanted.filter(({ counter, units }) => counter.block < units)
    try {
      await within(Math.max(0, ms), Promise.all(asked.map(({ counter }) => this.#reservations.ask(counter))), untold)
    } catch (cause) {
      throw untold(cause)
    } finally {
      this.release(wanted)
    }
  }

  async #handBack(counters: readonly Counter[]): Promise<void> {
    const byTenant = new Map<string, Unused[]>()
    for (const counter of counters) {
      // Out of hand first: if this fails, it is lost, and never taken twice.
      const units = counter.empty()
      if (units === 0) continue
      const ofTenant = byTenant.get(counter.tenant) ?? []
      ofTenant.push({ ...counter.row, units })
      byTenant.set(counter.tenant, ofTenant)
    }
    await Promise.all([...byTenant].map(([tenant, unused]) => this.#store.handBack(tenant, unused)))
  }
}

// Written out: each decision that draws makes one, and a spread costs more than all the rest.
function decidedAs(made: Made, decision: Decision, taken?: readonly Taken[], recorded?: readonly RecordedUse[]): Made {
  const { revision, settings, warnings, proof, presented } = made
  if (taken === undefined || recorded === undefined) return { decision, revision, settings, warnings, proof, presented }
  return { decision, revision, settings, warnings, proof, presented, taken, recorded }
}

function untold(cause?: unknown): Failure {
  return new Failure('quota_unavailable', 'how much is left of a quota cannot be told', { cause, retryAfter: 1 })
}
