import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Failure } from '../failure.ts'
import type { Fault as QuarantineFault } from '../policy/quarantine.ts'
import { within } from './deadline.ts'
import type { Workshop } from './draft.ts'
import type { EntityCache } from './entity-cache.ts'
import { type Divergence, type Followed, Follower } from './follower.ts'
import type { LoggedChange, Revision, RevisionId, TenantRevision } from './source.ts'
import { prepare, type Succession } from './succession.ts'
import { TenantLoad } from './tenant-load.ts'
import { type Surroundings, TenantSnapshot } from './tenant-snapshot.ts'

/** The database has another history than memory: it was restored or failed over, or its log was meddled with. */
export interface Mismatch {
  readonly tenant: string
  readonly how: Divergence
  readonly held: RevisionId
  readonly found: RevisionId | undefined
}

export type Fault = QuarantineFault & { readonly tenant: string }

export interface TenantsOptions {
  readonly workshop: Workshop
  readonly cache: EntityCache
  /** ms between two polls. */
  readonly interval: number
  /** ms, monotonic. */
  readonly clock: () => number
  readonly onMismatch: (mismatch: Mismatch) => void
  readonly onFault: (fault: Fault) => void
  readonly onError: (error: unknown) => void
  /** A key was made or deleted. */
  readonly onApiKey: () => void
}

interface Load {
  readonly promise: Promise<TenantSnapshot | undefined>
  /** The tenant's row changed while it was read. */
  outdated: boolean
}

const FAULTS_TOLD = 100
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
  #stopped = false

  constructor(options: TenantsOptions) {
    const { clock, interval, workshop } = options
    const { source } = workshop
    this.#options = options
    this.follower = new Follower(this, { clock, interval, workshop })
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
    return within(LOAD_MS, this.#load(id).promise, beingLoaded)
  }

  /** Ends what is under way beside decisions; comes back when nothing is any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.follower.stop()
    await Promise.allSettled([...this.#loads.values()].map(({ promise }) => promise))
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
      const build = this.follower.building(tenant)
      if (build !== undefined) await within(until - this.#options.clock(), build, notReached)
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
    this.#tell(revision.changes)
    for (const change of revision.changes) this.#tellFault(tenant, change)
    return this.#tenants.get(tenant.id) === tenant
  }

  /** Takes over a revision that is too big for one turn: made beside the tenant, and swapped in one. */
  async build(tenant: TenantSnapshot, big: RevisionId): Promise<void> {
    const { workshop, onError } = this.#options
    const isMoot = () => this.#stopped || this.#tenants.get(tenant.id) !== tenant
    const prepared = await prepare(tenant, big, workshop, isMoot)
    if (prepared === undefined || isMoot()) return
    if ('divergence' in prepared) {
      if (prepared.divergence === 'unreadable') onError(new Error('a revision of the log cannot be read'))
      return this.diverged(tenant, prepared.divergence, prepared.found)
    }
    const tidy = this.#succeed(tenant, prepared)
    await tidy?.(workshop.slices).catch(onError)
  }

  #succeed(tenant: TenantSnapshot, { draft, overlay }: Succession) {
    const before = tenant.revision
    try {
      const tidy = tenant.succeed(draft, overlay)
      this.#applied += draft.revision - before
      this.#tell(draft.others.map(({ change }) => change))
      this.#tellFaults(tenant)
      return tidy
    } catch (error) {
      this.#options.onError(error)
      this.diverged(tenant, 'unreadable', draft)
      return undefined
    }
  }

  #tell(changes: readonly LoggedChange[]): void {
    for (const { kind, key, after } of changes) {
      if (kind === 'api_key') this.#options.onApiKey()
      else if (kind === 'tenant') this.#tenantChanged(key.id, after?.status ?? 'deleted')
    }
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
    promise.catch((error) => this.#stopped || this.#options.onError(error))
    const load: Load = { promise, outdated: false }
    this.#loads.set(id, load)
    return load
  }

  async #read(id: string): Promise<TenantSnapshot | undefined> {
    const { cache, workshop } = this.#options
    for (;;) {
      const begun = await workshop.source.standing(id)
      if (isGone(begun)) return this.#isAbsent(id)
      const load = new TenantLoad(begun, { workshop, cache, isMoot: () => this.#stopped })
      try {
        await load.read()
        const tenant = await this.#finish(load, id)
        if (tenant instanceof TenantSnapshot) return tenant
        load.abandon()
        if (tenant === 'gone') return this.#isAbsent(id)
      } catch (error) {
        load.abandon()
        throw error
      }
    }
  }

  /** Brings what was read to where the tenant is now, and takes it into memory. */
  async #finish(load: TenantLoad, id: string): Promise<TenantSnapshot | 'gone' | 'of another history'> {
    const { cache, workshop, clock } = this.#options
    for (;;) {
      const mark = this.#loads.get(id)
      if (mark !== undefined) mark.outdated = false
      const at = clock()
      const row = await workshop.source.standing(id)
      if (isGone(row)) return 'gone'
      if ((await load.catchUp(row)) !== undefined) return 'of another history'
      // The log of `system` has told of its status meanwhile.
      if (mark?.outdated === true) continue
      const tenant = new TenantSnapshot(load.loaded, row.status, at, cache, this.#surroundings)
      this.#tenants.set(id, tenant)
      this.#tellFaults(tenant)
      return tenant
    }
  }

  #tellFault(tenant: TenantSnapshot, { kind, key }: LoggedChange): void {
    if (kind === 'entity' || kind === 'assignment' || kind === 'api_key' || kind === 'tenant') return
    if (kind === 'credential' || kind === 'permission_request') return
    const name = kind === 'settings' ? '' : kind === 'capability' ? key.id : key.name
    const reason = tenant.faultOf(kind, name)
    if (reason !== undefined) this.#options.onFault({ tenant: tenant.id, kind, name, reason })
  }

  // Somebody has to look at them in any case, and finds the others where these are.
  #tellFaults(tenant: TenantSnapshot): void {
    let count = 0
    for (const fault of tenant.faults()) {
      if (count++ === FAULTS_TOLD) return
      this.#options.onFault({ tenant: tenant.id, ...fault })
    }
  }

  #isAbsent(id: string): undefined {
    this.#absent.set(id, true)
    return undefined
  }
}

function isGone(row: TenantRevision | undefined): row is undefined {
  return row === undefined || row.status === 'deleted'
}

function beingLoaded(): Failure {
  return new Failure('store_unavailable', 'the tenant is being loaded, which is not finished yet', { retryAfter: 1 })
}

function loadFailed(cause?: unknown): Failure {
  return new Failure('store_unavailable', 'the tenant could not be loaded', { cause, retryAfter: 1 })
}

export function notReached(): Failure {
  return new Failure('revision_not_reached', 'this process has not come to the revision yet', { retryAfter: 1 })
}
