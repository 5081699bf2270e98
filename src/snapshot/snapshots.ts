import { Failure } from '../failure.ts'
import type { EntityFacts, Facts } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import type { Quarantined } from '../policy/quarantine.ts'
import type { VagueRules } from '../policy/vague-rules.ts'
import { ApiKeyDirectory } from './api-key-directory.ts'
import { within } from './deadline.ts'
import { EntityCache } from './entity-cache.ts'
import {
  type Asked,
  type DecideEach,
  FactFinder,
  type Foresee,
  ofEach,
  ofEntity,
  ofRequest,
  ofRequests,
} from './fact-finder.ts'
import { Slices } from './slices.ts'
import type { ApiKey, Source, StoredIds } from './source.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'
import { type Fault, type Mismatch, notReached, Tenants } from './tenants.ts'
import { type Walk, Walks } from './walks.ts'

export type { Fault, Mismatch } from './tenants.ts'

export interface SnapshotsOptions {
  readonly source: Source
  /** Entities and assignments that are held in memory, over all tenants. */
  readonly entities: number
  /** ms without word from the database after which nothing is decided any more. */
  readonly maxStaleness: number
  /** Changes of one revision that are made within one turn; a revision with more is made beside what decides. */
  readonly inPlace?: number
  /** What long work is cut into. */
  readonly slices?: Slices
  /** ms between two polls. */
  readonly interval?: number
  /** ms, monotonic. */
  readonly clock?: () => number
  readonly onMismatch?: (mismatch: Mismatch) => void
  /** A document was found that is quarantined. */
  readonly onFault?: (fault: Fault) => void
  /** A poll or a load failed; both are tried again. */
  readonly onError?: (error: unknown) => void
}

type Waiting<T> = T | Promise<T>

const APPLIED_MS = 10_000
// A tenant of a million rules is made anew within half of it.
const BIG_APPLIED_MS = 60_000
const IN_PLACE = 1000
const MIN_REVISION_MS = 1000
const LISTED_MS = 10_000
const MIN_REVISION_WAITERS = 1000

/** The tenants that a process has in memory. One per process. */
export class Snapshots {
  readonly #clock: () => number
  readonly #cache: EntityCache
  readonly #tenants: Tenants
  readonly #facts: FactFinder
  readonly #walks: Walks
  readonly #slices: Slices
  readonly #source: Source
  readonly #keys: ApiKeyDirectory
  readonly #inPlace: number
  readonly #onError: (error: unknown) => void
  #waiters = 0

  constructor(options: SnapshotsOptions) {
    const { source, maxStaleness, interval = 1000, clock = () => performance.now() } = options
    const {
      onMismatch = () => {},
      onFault = () => {},
      onError = () => {},
      inPlace = IN_PLACE,
      slices = new Slices(),
    } = options
    const workshop = { source, slices, inPlace }
    const onApiKey = () => this.#keys.forgetStrangers()
    this.#clock = clock
    this.#inPlace = inPlace
    this.#onError = onError
    this.#cache = new EntityCache(options.entities)
    this.#tenants = new Tenants({
      workshop,
      cache: this.#cache,
      interval,
      clock,
      onMismatch,
      onFault,
      onError,
      onApiKey,
    })
    this.#facts = new FactFinder({ tenants: this.#tenants, maxStaleness, clock, slices })
    this.#walks = new Walks({ tenants: this.#tenants.tenants, facts: this.#facts, slices })
    this.#slices = slices
    this.#source = source
    this.#keys = new ApiKeyDirectory(source, this.#tenants)
  }

  /** Begins to follow the database. */
  start(): void {
    this.#tenants.follower.start()
  }

  stop(): Promise<void> {
    return this.#tenants.stop()
  }

  /** Asks the database now where the tenants stand. It is what the timer does, and what a hint is good for. */
  async poll(): Promise<void> {
    await this.#tenants.follower.poll()
  }

  /** Somebody says that a tenant has come to a revision: if it is in memory, and not there yet, the database is asked. */
  async hint(id: string, revision: number): Promise<void> {
    const tenant = this.#tenants.tenants.get(id)
    if (tenant === undefined || tenant.revision >= revision) return
    await this.#tenants.follower.poke(id)
  }

  /**
   * A tenant, loaded on first use; undefined where there is none, or none any more. At once if it is in memory.
   * Fails with `store_unavailable`.
   */
  tenant(id: string): Waiting<TenantSnapshot | undefined> {
    return this.#tenants.tenant(id)
  }

  /** A key and whose it is, its secret and its expiry still to be checked. At once if it is in memory. */
  findApiKey(id: string): Waiting<ApiKey | undefined> {
    return this.#keys.find(id)
  }

  /**
   * Calls `decide` with the tenant and what is known of subject and resource, all at one revision, in one turn: it must
   * not keep the tenant. At once if everything is in memory. Fails (throws or rejects) with `facts_unavailable`,
   * `store_unavailable`, `stale`, or `not_found` where there is no such tenant.
   */
  withFacts<T>(id: string, request: Asked, decide: (tenant: TenantSnapshot, facts: Facts) => T): Waiting<T> {
    return this.#facts.with(id, request, ofRequest, decide)
  }

  /** The same for many requests at once, in their order, all at one revision. */
  withAllFacts<T>(
    id: string,
    requests: readonly Asked[],
    decide: (tenant: TenantSnapshot, facts: readonly Facts[]) => T,
  ): Waiting<T> {
    return this.#facts.with(id, requests, ofRequests, decide)
  }

  /**
   * The same for each of many by itself, in their order, until `decide` answers false. What memory lacks of them is
   * loaded together; each is decided at one revision, and a later one may be at a later revision, since other calls have
   * their turns between them. While `decide` waits, `foresee` is called with those that come after it.
   */
  withEachFacts<Q>(
    id: string,
    queries: readonly Q[],
    asked: (query: Q) => Asked | undefined,
    decide: DecideEach<Q, Facts | undefined>,
    foresee?: Foresee<Q, Facts | undefined>,
  ): Promise<void> {
    return this.#facts.each(id, queries, ofEach(asked), decide, foresee)
  }

  /** The same for one entity alone: who calls, say. */
  withEntity<T>(id: string, ref: EntityRef, decide: (tenant: TenantSnapshot, facts: EntityFacts) => T): Waiting<T> {
    return this.#facts.with(id, ref, ofEntity, decide)
  }

  /**
   * The same for work that is too long for one turn: it goes in slices, between which everybody else is served, all of it
   * at one revision. `begin` may decline (undefined). Fails with `busy` where revisions come faster than it gets on.
   */
  walk<T>(
    id: string,
    request: Asked,
    begin: (tenant: TenantSnapshot, facts: Facts) => Walk<T> | undefined,
  ): Promise<T | undefined> {
    return this.#walks.run(id, request, ofRequest, begin)
  }

  /** The same for one entity alone. */
  walkFrom<T>(
    id: string,
    ref: EntityRef,
    begin: (tenant: TenantSnapshot, facts: EntityFacts) => Walk<T> | undefined,
  ): Promise<T | undefined> {
    return this.#walks.run(id, ref, ofEntity, begin)
  }

  /** Has a tenant's `directory` made, where all its entities are in memory. Fails with `busy` where that takes long. */
  async list(id: string): Promise<void> {
    const tenant = await this.tenant(id)
    if (tenant !== undefined && tenant.directory === undefined) {
      await within(LISTED_MS, tenant.list(this.#slices), notListed)
    }
  }

  /**
   * The next stored entities of a type after one, in byte order, for a tenant that is not all in memory: asked of the
   * database, and at a revision that memory has reached.
   */
  async idsOf(id: string, type: string, after: string, limit: number): Promise<StoredIds['ids']> {
    const found = await this.#source.idsOf(id, type, after, limit)
    if (found === undefined) return []
    await this.#tenants.bringTo(id, found.revision, this.#clock() + MIN_REVISION_MS)
    return found.ids
  }

  /**
   * Comes back when a write of this process is in memory here; at once if the tenant is not. False: it is not yet, for
   * 10 s (of more `changes` than one turn takes: 60 s), or the database is away. What was written stands in any case.
   */
  async applied(id: string, revision: number, changes = 1): Promise<boolean> {
    this.#tenants.forgetAbsent()
    this.#keys.forgetStrangers()
    const ms = changes > this.#inPlace ? BIG_APPLIED_MS : APPLIED_MS
    try {
      await within(ms, this.#tenants.bringTo(id, revision, this.#clock() + ms), notReached)
      return true
    } catch (error) {
      this.#onError(error)
      return false
    }
  }

  /**
   * Makes sure that the tenant is at a revision (`min_revision`); undefined if it is. Fails with `revision_unknown` if
   * there is no such revision yet, with `revision_not_reached` if it does not come within a second.
   */
  atLeast(id: string, revision: number): undefined | Promise<void> {
    const tenant = this.#tenants.tenants.get(id)
    if (tenant !== undefined && tenant.revision >= revision) return undefined
    if (this.#waiters >= MIN_REVISION_WAITERS) return Promise.reject(notReached())
    this.#waiters++
    const until = this.#clock() + MIN_REVISION_MS
    return within(MIN_REVISION_MS, this.#demand(id, revision, until), notReached).finally(() => {
      this.#waiters--
    })
  }

  /** The rules of a tenant with vague patterns of ids, at this revision or a later one. Fails as `atLeast` does. */
  async vagueRules(id: string, revision: number): Promise<VagueRules> {
    await this.atLeast(id, revision)
    const tenant = await this.tenant(id)
    if (tenant === undefined || tenant.revision < revision) throw notReached()
    return tenant.index.vague
  }

  get tenantsLoaded(): number {
    return this.#tenants.tenants.size
  }

  /** Entities and assignments in memory. */
  get entitiesCached(): number {
    return this.#cache.used
  }

  /** Entities that a question found in memory. */
  get cacheHits(): number {
    return this.#cache.hits
  }

  /** Entities that had to be waited for. */
  get cacheMisses(): number {
    return this.#cache.misses
  }

  get revisionsApplied(): number {
    return this.#tenants.applied
  }

  /** Why something of a tenant in memory is quarantined; undefined: it is not, as far as memory knows. */
  faultOf(id: string, kind: Quarantined, name: string): string | undefined {
    return this.#tenants.tenants.get(id)?.faultOf(kind, name)
  }

  /** Whether a tenant in memory has its records in Postgres before it has its answers. */
  get hasCommitting(): boolean {
    for (const { index } of this.#tenants.tenants.values()) if (index.settings.audit_mode === 'commit') return true
    return false
  }

  /** Documents in quarantine, over all tenants in memory. */
  get quarantined(): number {
    let sum = 0
    for (const tenant of this.#tenants.tenants.values()) sum += tenant.quarantined
    return sum
  }

  /** ms since all of memory was known to be up to date. */
  get staleness(): number {
    return this.#tenants.follower.staleness
  }

  /** ms since the tenant that was confirmed the longest ago was. */
  get oldestRevisionAge(): number {
    let oldest = this.#clock()
    for (const tenant of this.#tenants.tenants.values()) oldest = Math.min(oldest, tenant.confirmed_at)
    return this.#clock() - oldest
  }

  async #demand(id: string, revision: number, until: number): Promise<void> {
    const tenant = await this.#tenants.tenant(id)
    if (tenant === undefined) throw new Failure('not_found', 'there is no such tenant')
    if (tenant.revision >= revision) return
    const read = (await this.#tenants.follower.poke(id)).get(id)
    if (read === undefined || read.revision < revision) throw unknownRevision(revision)
    await this.#tenants.bringTo(id, revision, until)
    const reached = await this.#tenants.tenant(id)
    if (reached === undefined || reached.revision < revision) throw notReached()
  }
}

function notListed(): Failure {
  return new Failure('busy', 'what the tenant has is being listed, which is not finished yet', { retryAfter: 2 })
}

function unknownRevision(revision: number): Failure {
  return new Failure('revision_unknown', `the tenant has no revision ${revision} yet`, {
    problems: [{ pointer: '/options/min_revision', detail: "is ahead of the tenant's revision" }],
  })
}
