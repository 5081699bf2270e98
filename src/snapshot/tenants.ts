import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Failure } from '../failure.ts'
import { within } from './deadline.ts'
import type { EntityCache } from './entity-cache.ts'
import { type Divergence, type Followed, Follower } from './follower.ts'
import type { Revision, RevisionId, Source } from './source.ts'
import { type Surroundings, TenantSnapshot } from './tenant-snapshot.ts'

/** The database has another history than memory: it was restored or failed over, or its log was meddled with. */
export interface Mismatch {
  readonly tenant: string
  readonly how: Divergence
  readonly held: RevisionId
  readonly found: RevisionId | undefined
}

export interface TenantsOptions {
  readonly source: Source
  readonly cache: EntityCache
  /** ms between two polls. */
  readonly interval: number
  /** ms, monotonic. */
  readonly clock: () => number
  readonly onMismatch: (mismatch: Mismatch) => void
  readonly onError: (error: unknown) => void
  /** A key was made or deleted. */
  readonly onApiKey: () => void
}

interface Load {
  readonly promise: Promise<TenantSnapshot | undefined>
  /** The tenant's row changed while it was read. */
  outdated: boolean
}

const LOAD_MS = 2000
const FILL_MS = 2000

/** The tenants in memory: loaded on first use, followed, and dropped when they are gone or have another history. */
export class Tenants implements Followed {
  readonly follower: Follower
  readonly #options: TenantsOptions
  readonly #surroundings: Surroundings
  readonly #tenants = new Map<string, TenantSnapshot>()
  readonly #loads = new Map<string, Load>()
  /** Ids that are no tenant. Few and for a short time: anybody can make them up. */
  readonly #absent = new LRUCache<string, true>({ max: 1000, ttl: 1000 })
  #applied = 0

  constructor(options: TenantsOptions) {
    const { source, clock } = options
    this.#options = options
    this.follower = new Follower(this, options)
    this.#surroundings = {
      load: (id, refs) => source.loadEntities(id, refs),
      reach: (id, revision) => this.bringTo(id, revision, clock() + FILL_MS),
      diverged: (tenant, found) => this.diverged(tenant, found === undefined ? 'missing' : 'other_revision', found),
    }
  }

  get tenants(): ReadonlyMap<string, TenantSnapshot> {
    return this.#tenants
  }

  /** Revisions taken over since the process began. */
  get applied(): number {
    return this.#applied
  }

  /** A tenant, loaded on first use; undefined where there is none. */
  tenant(id: string): TenantSnapshot | undefined | Promise<TenantSnapshot | undefined> {
    const tenant = this.#tenants.get(id)
    if (tenant !== undefined || this.#absent.has(id)) return tenant
    return within(LOAD_MS, this.#load(id).promise, () => loadFailed())
  }

  /** Tenants were made: what was absent may be there now. */
  forgetAbsent(): void {
    this.#absent.clear()
  }

  /** Until the tenant is at a revision that the database has had, or is not in memory. */
  async bringTo(id: string, revision: number, until: number): Promise<void> {
    await this.#loads.get(id)?.promise.catch(() => undefined)
    let before = -1
    for (;;) {
      const tenant = this.#tenants.get(id)
      if (tenant === undefined || tenant.revision >= revision) return
      if (this.#options.clock() >= until) throw notReached()
      // Asked again at once only as long as that brings something.
      if (tenant.revision === before) await sleep(20)
      before = tenant.revision
      const read = (await this.follower.poke(id)).get(id)
      if (read === undefined || read.revision < revision) return this.diverged(tenant, 'behind', read)
    }
  }

  failed(error: unknown): void {
    this.#options.onError(error)
  }

  deleted(tenant: TenantSnapshot): void {
    this.#drop(tenant)
  }

  apply(tenant: TenantSnapshot, revision: Revision): boolean {
    try {
      tenant.apply(revision)
    } catch (error) {
      // Dropped within this turn: nobody sees what it left half done.
      this.#options.onError(error)
      this.diverged(tenant, 'unreadable', revision)
      return false
    }
    this.#applied++
    for (const { kind, key, after } of revision.changes) {
      if (kind === 'api_key') this.#options.onApiKey()
      else if (kind === 'tenant') this.#tenantChanged(key.id, after?.status ?? 'deleted')
    }
    return this.#tenants.get(tenant.id) === tenant
  }

  /** The log of `system` tells of other tenants: sooner than the next poll of them would. */
  #tenantChanged(id: string, status: TenantSnapshot['status']): void {
    this.#absent.delete(id)
    const load = this.#loads.get(id)
    if (load !== undefined) load.outdated = true
    const tenant = this.#tenants.get(id)
    if (tenant === undefined) return
    if (status === 'deleted') this.#drop(tenant)
    else tenant.status = status
  }

  #drop(tenant: TenantSnapshot): void {
    if (this.#tenants.get(tenant.id) !== tenant) return
    this.#tenants.delete(tenant.id)
    tenant.leave()
  }

  diverged(tenant: TenantSnapshot, how: Divergence, found: RevisionId | undefined): void {
    if (this.#tenants.get(tenant.id) !== tenant) return
    const { id, revision, revision_id } = tenant
    this.#drop(tenant)
    this.#load(id)
    this.#options.onMismatch({ tenant: id, how, held: { revision, revision_id }, found })
  }

  #load(id: string): Load {
    const underway = this.#loads.get(id)
    if (underway !== undefined) return underway
    const promise = this.#read(id)
      .catch((error: unknown) => {
        throw loadFailed(error)
      })
      .finally(() => this.#loads.delete(id))
    // Who waits is told; but by then everybody may have given up waiting.
    promise.catch(this.#options.onError)
    const load: Load = { promise, outdated: false }
    this.#loads.set(id, load)
    return load
  }

  async #read(id: string): Promise<TenantSnapshot | undefined> {
    // In the next turn, when the load is listed.
    await Promise.resolve()
    for (;;) {
      const load = this.#loads.get(id)
      if (load !== undefined) load.outdated = false
      const at = this.#options.clock()
      const loaded = await this.#options.source.loadTenant(id, this.#options.cache.room)
      if (load?.outdated === true) continue
      if (loaded === undefined || loaded.status === 'deleted') {
        this.#absent.set(id, true)
        return undefined
      }
      const tenant = new TenantSnapshot(loaded, this.#options.cache, this.#surroundings, at)
      this.#tenants.set(id, tenant)
      return tenant
    }
  }
}

function loadFailed(cause?: unknown): Failure {
  return new Failure('store_unavailable', 'the tenant could not be loaded', { cause, retryAfter: 1 })
}

export function notReached(): Failure {
  return new Failure('revision_not_reached', 'this process has not come to the revision yet', { retryAfter: 1 })
}
