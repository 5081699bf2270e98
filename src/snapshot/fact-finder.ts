import { Failure } from '../failure.ts'
import type { EntityFacts, Facts } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import { within } from './deadline.ts'
import type { Fill } from './fill.ts'
import { factsUnavailable } from './fills.ts'
import type { Slices } from './slices.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'
import type { Tenants } from './tenants.ts'

/** What is asked of memory: an access request has this shape. */
export interface Asked {
  readonly subject: EntityRef
  readonly resource: EntityRef
}

/** Gathers the facts that a query needs; what memory lacks is pushed on `missing`. */
export type Gather<Q, F> = (tenant: TenantSnapshot, query: Q, missing: EntityRef[], fills?: ReadonlySet<Fill>) => F

/** False: that is enough. */
export type DecideEach<Q, F> = (tenant: TenantSnapshot, facts: F, query: Q) => boolean | Promise<boolean>

/** Looks at a query whose turn is yet to come. False: that is far enough. */
export type Foresee<Q, F> = (tenant: TenantSnapshot, facts: F, query: Q) => boolean

interface Each<Q, F> {
  readonly gather: Gather<Q, F>
  readonly decide: DecideEach<Q, F>
  readonly foresee: Foresee<Q, F> | undefined
}

export interface FactFinderOptions {
  readonly tenants: Tenants
  /** ms without word from the database after which nothing is decided any more. */
  readonly maxStaleness: number
  readonly clock: () => number
  readonly slices: Slices
}

const FACTS_MS = 2000
/** ms. What is asked for many is decided in turns of about this, and everybody else has a chance between them. */
const TURN_MS = 4

/** Finds the facts of a decision and has it made, in one turn. */
export class FactFinder {
  readonly #tenants: Tenants
  readonly #held: ReadonlyMap<string, TenantSnapshot>
  readonly #maxStaleness: number
  readonly #clock: () => number
  readonly #slices: Slices

  constructor({ tenants, maxStaleness, clock, slices }: FactFinderOptions) {
    this.#tenants = tenants
    this.#held = tenants.tenants
    this.#maxStaleness = maxStaleness
    this.#clock = clock
    this.#slices = slices
  }

  /** At once, without a promise, if everything is in memory. */
  with<Q, F, T>(
    id: string,
    query: Q,
    gather: Gather<Q, F>,
    decide: (tenant: TenantSnapshot, facts: F) => T,
  ): T | Promise<T> {
    const tenant = this.#held.get(id)
    if (tenant !== undefined) {
      this.#refuseStale(tenant)
      const missing: EntityRef[] = []
      const facts = gather(tenant, query, missing)
      if (missing.length === 0) return decide(tenant, facts)
    }
    return this.#withLoaded(id, query, gather, decide)
  }

  async #withLoaded<Q, F, T>(
    id: string,
    query: Q,
    gather: Gather<Q, F>,
    decide: (tenant: TenantSnapshot, facts: F) => T,
  ): Promise<T> {
    const until = this.#clock() + FACTS_MS
    for (;;) {
      const tenant = await this.#tenants.tenant(id)
      if (tenant === undefined) throw new Failure('not_found', 'there is no such tenant')
      const fills = new Set<Fill>()
      try {
        // The tenant may be dropped and loaded anew while its entities are on their way.
        while (this.#held.get(id) === tenant) {
          this.#refuseStale(tenant)
          const missing: EntityRef[] = []
          const facts = gather(tenant, query, missing, fills)
          if (missing.length === 0) return decide(tenant, facts)
          tenant.request(missing, fills)
          await this.#arrival(fills, until)
        }
      } finally {
        tenant.release(fills)
      }
    }
  }

  /**
   * Decides each query of many by itself, in their order, until `decide` says that it is enough (false). What they lack
   * is loaded together, and kept until the last of them is decided. Where `decide` has to wait, nothing else of it is
   * decided meanwhile; `foresee` is called with what comes next, in the same turn.
   */
  async each<Q, F>(
    id: string,
    queries: readonly Q[],
    gather: Gather<Q, F>,
    decide: DecideEach<Q, F>,
    foresee?: Foresee<Q, F>,
  ): Promise<void> {
    const each = { gather, decide, foresee }
    const until = this.#clock() + FACTS_MS
    let left = queries
    for (;;) {
      const tenant = this.#held.get(id) ?? (await this.#tenants.tenant(id))
      if (tenant === undefined) throw new Failure('not_found', 'there is no such tenant')
      const fills = new Set<Fill>()
      try {
        while (this.#held.get(id) === tenant) {
          this.#refuseStale(tenant)
          const missing: EntityRef[] = []
          const { done, waiting } = this.#turn(tenant, left, each, missing, fills)
          left = left.slice(done)
          if (waiting !== undefined && !(await waiting)) return
          if (left.length === 0) return
          if (waiting !== undefined) continue
          if (missing.length === 0) await this.#slices.next()
          else {
            tenant.request(missing, fills)
            await this.#arrival(fills, until)
          }
        }
      } finally {
        tenant.release(fills)
      }
    }
  }

  /** How many queries are done with, from the first on. After one that lacks something, or waits, none is decided. */
  #turn<Q, F>(
    tenant: TenantSnapshot,
    queries: readonly Q[],
    each: Each<Q, F>,
    missing: EntityRef[],
    fills: ReadonlySet<Fill>,
  ): { readonly done: number; readonly waiting?: Promise<boolean> } {
    const end = this.#clock() + TURN_MS
    let done = 0
    for (const query of queries) {
      const facts = each.gather(tenant, query, missing, fills)
      if (missing.length === 0) {
        const goesOn = each.decide(tenant, facts, query)
        done++
        if (goesOn instanceof Promise) {
          this.#lookAhead(tenant, queries.slice(done), each, fills, end)
          return { done, waiting: goesOn }
        }
        if (!goesOn) return { done: queries.length }
      }
      if (this.#clock() >= end) break
    }
    return { done }
  }

  /** Until the turn is over, or memory lacks something. What fails here fails again when its own turn comes. */
  #lookAhead<Q, F>(
    tenant: TenantSnapshot,
    queries: readonly Q[],
    { gather, foresee }: Each<Q, F>,
    fills: ReadonlySet<Fill>,
    end: number,
  ): void {
    if (foresee === undefined) return
    try {
      for (const query of queries) {
        const missing: EntityRef[] = []
        const facts = gather(tenant, query, missing, fills)
        if (missing.length > 0 || this.#clock() >= end) return
        if (!foresee(tenant, facts, query)) return
      }
    } catch {
      return
    }
  }

  async #arrival(fills: ReadonlySet<Fill>, until: number): Promise<void> {
    const left = until - this.#clock()
    if (left <= 0) throw factsUnavailable()
    await within(left, Promise.all([...fills].map(({ ready }) => ready)), factsUnavailable)
  }

  #refuseStale(tenant: TenantSnapshot): void {
    if (this.#clock() - tenant.confirmed_at <= this.#maxStaleness) return
    throw new Failure('stale', 'the database has been away for too long to decide by what is in memory', {
      retryAfter: 1,
    })
  }
}

export const ofEntity: Gather<EntityRef, EntityFacts> = (tenant, ref, missing, fills) =>
  tenant.facts(ref, missing, fills)

export const ofRequest: Gather<Asked, Facts> = (tenant, { subject, resource }, missing, fills) => ({
  subject: tenant.facts(subject, missing, fills),
  resource: tenant.facts(resource, missing, fills),
})

export const ofRequests: Gather<readonly Asked[], readonly Facts[]> = (tenant, requests, missing, fills) =>
  requests.map((request) => ofRequest(tenant, request, missing, fills))

/** Of many that ask about the same subject, as batches do, its facts are gathered once, and what follows from them. */
export function ofEach<Q>(asked: (query: Q) => Asked | undefined): Gather<Q, Facts | undefined> {
  let known:
    | { readonly ref: EntityRef; readonly tenant: TenantSnapshot; revision: number; facts: EntityFacts }
    | undefined
  return (tenant, query, missing, fills) => {
    const of = asked(query)
    if (of === undefined) return undefined
    const { subject, resource } = of
    if (known?.ref !== subject || known.tenant !== tenant || known.revision !== tenant.revision) {
      const before = missing.length
      const facts = tenant.facts(subject, missing, fills)
      known = missing.length > before ? undefined : { ref: subject, tenant, revision: tenant.revision, facts }
      return { subject: facts, resource: tenant.facts(resource, missing, fills) }
    }
    return { subject: known.facts, resource: tenant.facts(resource, missing, fills) }
  }
}
