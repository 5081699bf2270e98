import { Failure } from '../failure.ts'
import { within } from './deadline.ts'
import type { Workshop } from './draft.ts'
import type { Revision, RevisionId, TenantRevision } from './source.ts'
import type { TenantSnapshot } from './tenant-snapshot.ts'
import { weightOf } from './weight.ts'

/** How the database can turn out to have another history than memory. */
export type Divergence = 'missing' | 'behind' | 'other_revision' | 'gap' | 'unreadable'

/** What is followed, and who is told. */
export interface Followed {
  readonly tenants: ReadonlyMap<string, TenantSnapshot>
  /** Takes over a revision in one turn. False: the tenant has left memory. */
  apply(tenant: TenantSnapshot, revision: Revision): boolean
  /** Takes over a revision that is too big for one turn, and maybe those after it: comes back when it is done. */
  build(tenant: TenantSnapshot, big: RevisionId): Promise<void>
  deleted(tenant: TenantSnapshot): void
  diverged(tenant: TenantSnapshot, how: Divergence, found: RevisionId | undefined): void
  /** A round or one tenant's part of it failed; the next round tries again. */
  failed(error: unknown): void
}

export interface FollowerOptions {
  readonly workshop: Workshop
  /** ms between two polls. */
  readonly interval: number
  /** ms, monotonic. */
  readonly clock: () => number
}

const DEADLINE_MS = 2000
const TENANTS_AT_A_TIME = 4

/** Where the tenants stood that a round asked about. */
export type Round = ReadonlyMap<string, TenantRevision>

/**
 * Brings tenants in memory to where the database is. It works in rounds, one after the other, never two at once:
 * whoever asks for one gets the next that has not begun, so that what it reads is not older than the asking.
 */
export class Follower {
  readonly #followed: Followed
  readonly #workshop: Workshop
  readonly #interval: number
  readonly #clock: () => number
  readonly #wanted = new Set<string>()
  readonly #steps = new Map<TenantSnapshot, Promise<void>>()
  readonly #builds = new Map<TenantSnapshot, Promise<void>>()
  #all = false
  #next: Promise<Round> | undefined
  #last: Promise<unknown> = Promise.resolve()
  #good_at: number
  #timer: NodeJS.Timeout | undefined

  constructor(followed: Followed, { workshop, interval, clock }: FollowerOptions) {
    this.#followed = followed
    this.#workshop = workshop
    this.#interval = interval
    this.#clock = clock
    this.#good_at = clock()
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.poll().catch((error) => this.#followed.failed(error)), this.#interval)
  }

  /** Comes back when nothing is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#last
    await Promise.all(this.#builds.values())
  }

  /** A big revision of the tenant that is being made. Later ones wait for it; it never fails, and may come to nothing. */
  building(tenant: TenantSnapshot): Promise<void> | undefined {
    return this.#builds.get(tenant)
  }

  /** ms since all tenants in memory were known to be where the database was. */
  get staleness(): number {
    return this.#clock() - this.#good_at
  }

  /** A round about all tenants in memory. */
  poll(): Promise<Round> {
    this.#all = true
    return this.#soon()
  }

  /** A round about one tenant at least. It has been brought as far as it could when the round comes back. */
  poke(tenant: string): Promise<Round> {
    this.#wanted.add(tenant)
    return this.#soon()
  }

  #soon(): Promise<Round> {
    if (this.#next === undefined) {
      this.#next = this.#last.then(() => this.#begin())
      this.#last = this.#next.catch(() => {})
    }
    return this.#next
  }

  async #begin(): Promise<Round> {
    const { tenants } = this.#followed
    const all = this.#all
    const ids = new Set(all ? [...tenants.keys(), ...this.#wanted] : this.#wanted)
    this.#wanted.clear()
    this.#all = false
    this.#next = undefined
    const at = this.#clock()
    const asked = [...ids].flatMap((id) => tenants.get(id) ?? [])
    const asking = this.#workshop.source.revisions([...ids]).catch((error: unknown) => {
      throw unavailable(error)
    })
    const rows = await within(DEADLINE_MS, asking, unavailable)
    const round = new Map(rows.map((row) => [row.id, row]))
    const behind = asked.filter((tenant) => !this.#confirm(tenant, round.get(tenant.id), at))
    const good = await this.#catchUpAll(behind, round, at)
    if (all && good) this.#good_at = at
    return round
  }

  /** Takes over the status, and sees whether there is nothing else to do. In one turn, before any change is applied. */
  #confirm(tenant: TenantSnapshot, row: TenantRevision | undefined, at: number): boolean {
    if (!this.#isHeld(tenant)) return true
    if (row === undefined || row.revision < tenant.revision) {
      this.#followed.diverged(tenant, row === undefined ? 'missing' : 'behind', row)
      return true
    }
    if (row.status === 'deleted') {
      this.#followed.deleted(tenant)
      return true
    }
    tenant.status = row.status
    if (row.revision > tenant.revision) return false
    if (row.revision_id === tenant.revision_id) tenant.confirmed_at = at
    else this.#followed.diverged(tenant, 'other_revision', row)
    return true
  }

  async #catchUpAll(tenants: TenantSnapshot[], round: Round, at: number): Promise<boolean> {
    let good = true
    const queue = tenants.values()
    const work = async () => {
      for (const tenant of queue) {
        const row = round.get(tenant.id)
        if (row === undefined) continue
        try {
          await this.#catchUp(tenant, row, at)
          if (tenant.revision >= row.revision) tenant.confirmed_at = at
          // One that is being built is known to be behind, by a database that answers: its own age speaks for it.
          else if (this.#isHeld(tenant) && !this.#builds.has(tenant)) good = false
        } catch (error) {
          good = false
          this.#followed.failed(error)
        }
      }
    }
    await Promise.all(Array.from({ length: TENANTS_AT_A_TIME }, work))
    return good
  }

  /** A step that takes longer goes on, and the next round waits for it: the others are not kept waiting. */
  async #catchUp(tenant: TenantSnapshot, row: TenantRevision, at: number): Promise<void> {
    while (this.#isHeld(tenant) && tenant.revision < row.revision && !this.#builds.has(tenant)) {
      const left = at + DEADLINE_MS - this.#clock()
      if (left <= 0) return
      await within(left, this.#step(tenant, row), unavailable)
    }
    const elsewhere = tenant.revision === row.revision && tenant.revision_id !== row.revision_id
    if (elsewhere) this.#followed.diverged(tenant, 'other_revision', row)
  }

  #step(tenant: TenantSnapshot, row: TenantRevision): Promise<void> {
    let step = this.#steps.get(tenant)
    if (step === undefined) {
      step = this.#takeOver(tenant, row).finally(() => this.#steps.delete(tenant))
      this.#steps.set(tenant, step)
    }
    return step
  }

  async #takeOver(tenant: TenantSnapshot, row: TenantRevision): Promise<void> {
    const { id, revision, revision_id } = tenant
    const { source, inPlace } = this.#workshop
    const { anchor, revisions, big } = await source.changesAfter(id, revision, inPlace)
    if (!this.#isHeld(tenant)) return
    if (revision > 0 && anchor !== revision_id) return this.#followed.diverged(tenant, 'other_revision', row)
    if (revisions.length === 0 && big === null) return this.#followed.diverged(tenant, 'gap', row)
    for (const next of revisions) {
      if (next.revision !== tenant.revision + 1) return this.#followed.diverged(tenant, 'gap', next)
      if (next.changes.reduce((sum, change) => sum + weightOf(change), 0) > inPlace) return this.#build(tenant, next)
      if (!this.#followed.apply(tenant, next)) return
    }
    if (big === null) return
    if (big.revision !== tenant.revision + 1) return this.#followed.diverged(tenant, 'gap', big)
    this.#build(tenant, big)
  }

  /** Not waited for by the round: other tenants' changes do not wait for this one's. */
  #build(tenant: TenantSnapshot, big: RevisionId): void {
    const build = this.#followed
      .build(tenant, big)
      .catch((error: unknown) => this.#followed.failed(error))
      .finally(() => this.#builds.delete(tenant))
    this.#builds.set(tenant, build)
  }

  #isHeld(tenant: TenantSnapshot): boolean {
    return this.#followed.tenants.get(tenant.id) === tenant
  }
}

function unavailable(cause?: unknown): Failure {
  return new Failure('store_unavailable', 'the database could not be asked what has changed', { cause, retryAfter: 1 })
}
