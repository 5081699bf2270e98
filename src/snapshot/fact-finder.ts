import { Failure } from '../failure.ts'
import type { EntityFacts, Facts } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import { within } from './deadline.ts'
import type { Fill } from './fill.ts'
import { factsUnavailable } from './fills.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'
import type { Tenants } from './tenants.ts'

/** What is asked of memory: an access request has this shape. */
export interface Asked {
  readonly subject: EntityRef
  readonly resource: EntityRef
}

/** Gathers the facts that a query needs; what memory lacks is pushed on `missing`. */
export type Gather<Q, F> = (tenant: TenantSnapshot, query: Q, missing: EntityRef[], fills?: ReadonlySet<Fill>) => F

export interface FactFinderOptions {
  readonly tenants: Tenants
  /** ms without word from the database after which nothing is decided any more. */
  readonly maxStaleness: number
  readonly clock: () => number
}

const FACTS_MS = 2000

/** Finds the facts of a decision and has it made, in one turn. */
export class FactFinder {
  readonly #tenants: Tenants
  readonly #held: ReadonlyMap<string, TenantSnapshot>
  readonly #maxStaleness: number
  readonly #clock: () => number

  constructor({ tenants, maxStaleness, clock }: FactFinderOptions) {
    this.#tenants = tenants
    this.#held = tenants.tenants
    this.#maxStaleness = maxStaleness
    this.#clock = clock
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
