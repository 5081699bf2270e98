import type { PolicyIndex } from '../policy/policy-index.ts'
import { Draft, type Workshop } from './draft.ts'
import type { EntityCache, TenantEntities, WholeTenant } from './entity-cache.ts'
import { entityNode, follow } from './entity-node.ts'
import type { Divergence } from './follower.ts'
import type { ApiKey, DatedChange, LoadedIssuer, LoggedChange, RevisionId, TenantRevision } from './source.ts'

/** What a tenant in memory is made of. */
export interface LoadedTenant extends RevisionId {
  readonly id: string
  readonly index: PolicyIndex
  readonly api_keys: readonly ApiKey[]
  readonly issuers: readonly LoadedIssuer[]
  readonly entities: TenantEntities
  /** `entities`, if they are all there are. */
  readonly whole: WholeTenant | undefined
  /** What happened to its keys and issuers since they were read. */
  readonly others: readonly DatedChange[]
}

export interface LoadOptions {
  readonly workshop: Workshop
  readonly cache: EntityCache
  readonly isMoot: () => boolean
}

/**
 * A tenant that is being loaded, in slices. No transaction is held open meanwhile, which would keep a connection from
 * everybody else and the database from cleaning up: pages are read as they stand, each by a statement of its own, and
 * what was written since the beginning is taken from the log in the end.
 */
export class TenantLoad {
  readonly #draft: Draft
  readonly #options: LoadOptions
  #entities: TenantEntities
  #whole: WholeTenant | undefined
  #api_keys: readonly ApiKey[] = []
  #issuers: readonly LoadedIssuer[] = []

  constructor(begun: TenantRevision, options: LoadOptions) {
    const { workshop, cache, isMoot } = options
    this.#options = options
    this.#entities = cache.partial()
    const entities = (change: LoggedChange) => follow(this.#entities, change)
    this.#draft = new Draft({ ...begun, entities, isMoot }, workshop)
  }

  async read(): Promise<void> {
    const { source } = this.#options.workshop
    const { id } = this.#draft
    this.#api_keys = await source.apiKeys(id)
    this.#issuers = await source.issuers(id)
    await this.#draft.readPolicy()
    if (await source.fits(id, this.#options.cache.room)) await this.#readEntities(id)
  }

  catchUp(to: RevisionId): Promise<Divergence | undefined> {
    return this.#draft.catchUp(to)
  }

  get loaded(): LoadedTenant {
    const { id, revision, revision_id, index, others } = this.#draft
    if (index === undefined) throw new Error(`tenant ${id} has not been read`)
    return { id, revision, revision_id, index, others, ...this.#held }
  }

  /** Gives back the room that it took. */
  abandon(): void {
    this.#entities.clear()
  }

  get #held() {
    return { entities: this.#entities, whole: this.#whole, api_keys: this.#api_keys, issuers: this.#issuers }
  }

  async #readEntities(id: string): Promise<void> {
    const { cache, workshop } = this.#options
    const whole = cache.whole()
    this.#entities = whole
    this.#whole = whole
    for await (const part of workshop.source.entities(id)) {
      for (const entity of part) {
        whole.set(entityNode(entity))
        if (this.#draft.spent) await this.#draft.pause()
      }
      if (cache.overfull) return this.#turnPartial()
    }
  }

  /** Others have taken the room meanwhile. */
  #turnPartial(): void {
    this.#entities.clear()
    this.#whole = undefined
    this.#entities = this.#options.cache.partial()
  }
}
