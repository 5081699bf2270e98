import { Failure } from '../failure.ts'
import type { FactFinder, Gather } from './fact-finder.ts'
import type { Slices } from './slices.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'

/** Work over a tenant that is too long for one turn, in small steps. */
export interface Walk<T> {
  readonly steps: Iterator<undefined, T>
  /** What it comes to if it ends here; undefined: nothing yet. */
  cut(): T | undefined
}

interface Begun<T> {
  readonly tenant: TenantSnapshot
  readonly revision: number
  readonly walk: Walk<T> | undefined
}

export interface WalksOptions {
  readonly tenants: ReadonlyMap<string, TenantSnapshot>
  readonly facts: FactFinder
  readonly slices: Slices
}

// What a walk does before it comes to something takes a fraction of a second, and revisions come one after the other.
const TRIES = 20

/** Walks over tenants in memory, each in slices and all of it at one revision: one that is overtaken by another ends there. */
export class Walks {
  readonly #tenants: ReadonlyMap<string, TenantSnapshot>
  readonly #facts: FactFinder
  readonly #slices: Slices

  constructor({ tenants, facts, slices }: WalksOptions) {
    this.#tenants = tenants
    this.#facts = facts
    this.#slices = slices
  }

  /** Undefined: `begin` wants none. */
  async run<Q, F, T>(
    id: string,
    query: Q,
    gather: Gather<Q, F>,
    begin: (tenant: TenantSnapshot, facts: F) => Walk<T> | undefined,
  ): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#slices.next()
      const begun: Begun<T> = await this.#facts.with(id, query, gather, (tenant, facts) => ({
        tenant,
        revision: tenant.revision,
        walk: begin(tenant, facts),
      }))
      if (begun.walk === undefined) return undefined
      const come = await this.#go(begun, begun.walk)
      if (come !== undefined) return come.to
    }
    throw new Failure('busy', 'the policy changes too fast to look through it', { retryAfter: 1 })
  }

  async #go<T>(begun: Begun<T>, { steps, cut }: Walk<T>): Promise<{ readonly to: T } | undefined> {
    for (;;) {
      if (!this.#stands(begun)) {
        const to = cut()
        return to && { to }
      }
      do {
        const { done, value } = steps.next()
        if (done === true) return { to: value }
      } while (!this.#slices.spent)
      await this.#slices.next()
    }
  }

  #stands({ tenant, revision }: Begun<unknown>): boolean {
    return this.#tenants.get(tenant.id) === tenant && tenant.revision === revision
  }
}
