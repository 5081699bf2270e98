import { Failure } from '../failure.ts'
import type { EntityNode } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import { within } from './deadline.ts'
import { Fill, type Roll } from './fill.ts'
import { RefMap } from './ref-map.ts'
import type { LoadedEntities, RevisionId } from './source.ts'

/** What the loads of a tenant's entities need of the tenant. */
export interface Filled extends RevisionId {
  load(refs: readonly EntityRef[]): Promise<LoadedEntities | undefined>
  /** Comes back when the tenant is at the revision, or has left memory. */
  reach(revision: number): Promise<void>
  admit(nodes: Iterable<EntityNode>): void
  /** The database has another history than the tenant. */
  diverged(found: RevisionId | undefined): void
}

// What is missing while these are under way goes together in the next one: after a start, a thousand requests
// become a few statements instead of a thousand that wait for each other's connections.
const LOADS_AT_A_TIME = 4
const REFS_IN_A_LOAD = 1000
const DEADLINE_MS = 2000

/** The loads of one tenant's entities. An entity is on its way once, whoever asks for it. */
export class Fills {
  readonly #tenant: Filled
  readonly #coming = new RefMap<Fill>()
  readonly #queue: Fill[] = []
  /** Begun, and either under way or used by somebody: these follow the tenant. */
  readonly #begun = new Set<Fill>()
  #underway = 0

  constructor(tenant: Filled) {
    this.#tenant = tenant
  }

  /** Adds to `fills` those that will bring what is missing. They are kept until they are given back. */
  request(missing: readonly EntityRef[], fills: Set<Fill>): void {
    for (const ref of missing) {
      const fill = this.#coming.get(ref.type, ref.id) ?? this.#enqueue(ref)
      if (!fills.has(fill)) fill.users++
      fills.add(fill)
    }
    this.#start()
  }

  release(fills: Iterable<Fill>): void {
    for (const fill of fills) {
      fill.users--
      this.#discard(fill)
    }
  }

  /** The tenant has taken over a revision, or several at once. */
  follow(revision: Roll): void {
    for (const fill of this.#begun) if (!fill.follow(revision)) this.#tenant.diverged(fill.landed)
  }

  #enqueue(ref: EntityRef): Fill {
    let fill = this.#queue.at(-1)
    if (fill === undefined || fill.refs.length >= REFS_IN_A_LOAD) {
      fill = new Fill()
      this.#queue.push(fill)
    }
    fill.refs.push(ref)
    this.#coming.set(ref.type, ref.id, fill)
    return fill
  }

  #start(): void {
    while (this.#underway < LOADS_AT_A_TIME) {
      const fill = this.#queue.shift()
      if (fill === undefined) return
      this.#underway++
      void this.#run(fill)
    }
  }

  async #run(fill: Fill): Promise<void> {
    fill.begin(this.#tenant)
    this.#begun.add(fill)
    try {
      await within(DEADLINE_MS, this.#bring(fill), factsUnavailable)
      fill.resolve()
    } catch (error) {
      fill.reject(factsUnavailable(error))
    }
    fill.settled = true
    for (const { type, id } of fill.refs) this.#coming.delete(type, id)
    this.#discard(fill)
    this.#underway--
    this.#start()
  }

  async #bring(fill: Fill): Promise<void> {
    const loaded = await this.#tenant.load(fill.refs)
    if (loaded === undefined || !fill.land(loaded)) return this.#tenant.diverged(loaded)
    await this.#tenant.reach(loaded.revision)
    if (!fill.settled) this.#tenant.admit(fill.values())
  }

  #discard(fill: Fill): void {
    if (fill.settled && fill.users === 0) this.#begun.delete(fill)
  }
}

export function factsUnavailable(cause?: unknown): Failure {
  if (cause instanceof Failure && cause.code === 'facts_unavailable') return cause
  return new Failure('facts_unavailable', 'what is known of the subject or the resource could not be loaded', {
    cause,
    retryAfter: 1,
  })
}
