import { LRUCache } from 'lru-cache'
import { Failure } from '../failure.ts'
import { within } from './deadline.ts'
import { Gathered } from './gathered.ts'
import type { ApiKey, Source } from './source.ts'
import type { Tenants } from './tenants.ts'

const DEADLINE_MS = 2000

/** From the id of an API key to the key. A key never moves to another tenant, so where one was found is kept. */
export class ApiKeyDirectory {
  readonly #tenants: Tenants
  /** Strangers that knock in crowds, with a new id each, take one connection: those who have a key need the others. */
  readonly #index: Gathered<string>
  readonly #homes = new LRUCache<string, string>({ max: 100_000 })
  /** Ids that are no key: so that guessing is not a query each, and for so short that a new key works soon. */
  readonly #strangers = new LRUCache<string, true>({ max: 10_000, ttl: 1000 })
  readonly #searches = new Map<string, Promise<ApiKey | undefined>>()
  #forgotten = 0

  constructor(source: Source, tenants: Tenants) {
    this.#index = new Gathered((ids) => source.tenantsOfApiKeys(ids))
    this.#tenants = tenants
  }

  find(id: string): ApiKey | undefined | Promise<ApiKey | undefined> {
    const home = this.#homes.get(id)
    const known = home === undefined ? undefined : this.#tenants.tenants.get(home)?.api_keys.get(id)
    if (known !== undefined || this.#strangers.has(id)) return known
    let search = this.#searches.get(id)
    if (search === undefined) {
      search = this.#search(id).finally(() => this.#searches.delete(id))
      this.#searches.set(id, search)
    }
    return within(DEADLINE_MS, search, () => unavailable())
  }

  /** Keys were made or deleted: what was unknown may be known now. */
  forgetStrangers(): void {
    this.#forgotten++
    this.#strangers.clear()
  }

  async #search(id: string): Promise<ApiKey | undefined> {
    const forgotten = this.#forgotten
    const home = await this.#index.get(id).catch((error: unknown) => {
      throw unavailable(error)
    })
    const key = home === undefined ? undefined : await this.#findIn(home, id)
    if (home !== undefined && key !== undefined) this.#homes.set(id, home)
    else if (forgotten === this.#forgotten) this.#strangers.set(id, true)
    return key
  }

  async #findIn(home: string, id: string): Promise<ApiKey | undefined> {
    const key = (await this.#tenants.tenant(home))?.api_keys.get(id)
    if (key !== undefined) return key
    // Another replica made it a moment ago.
    await this.#tenants.follower.poke(home)
    return this.#tenants.tenants.get(home)?.api_keys.get(id)
  }
}

function unavailable(cause?: unknown): Failure {
  return new Failure('store_unavailable', 'the API key could not be looked up', { cause, retryAfter: 1 })
}
