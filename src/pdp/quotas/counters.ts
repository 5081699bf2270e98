import { createHmac, hkdfSync } from 'node:crypto'
import type { CompiledQuota } from '../../policy/quota-index.ts'
import type { Draw } from '../../policy/quota-use.ts'
import { Counter } from './counter.ts'

/** As many are known to a process; of more, those that were made first are forgotten. */
const AT_MOST = 100_000
const ID_BYTES = 16

type ById = Map<string, Counter>

/** The counters that a process has drawn from of late. */
export class Counters {
  readonly #key: Buffer
  // By the quota as it is compiled: with each change of it, and each other limit, there are others.
  readonly #byQuota = new Map<CompiledQuota, Map<string, ById>>()
  readonly #all = new Set<Counter>()
  readonly #places = new WeakMap<Counter, { readonly type: string; readonly id: string }>()

  /** `masterKey`: the names of rows are hashed with a key that follows from it. */
  constructor(masterKey: Buffer) {
    this.#key = Buffer.from(hkdfSync('sha256', masterKey, '', 'verdict 1 quota counters', 32))
  }

  get size(): number {
    return this.#all.size
  }

  /** In the order in which they were made. May be walked while some are forgotten. */
  [Symbol.iterator](): Iterator<Counter> {
    return this.#all.values()
  }

  find({ quota, type, id }: Pick<Draw, 'quota' | 'type' | 'id'>): Counter | undefined {
    return this.#byQuota.get(quota)?.get(type)?.get(id)
  }

  /** The counter that a draw is from. `forgotten` is called with one that had to make room for it. */
  of(tenant: string, draw: Draw, now: number, forgotten: (counter: Counter) => void): Counter {
    const known = this.find(draw)
    if (known !== undefined) return known
    const { quota, type, id } = draw
    const counter = new Counter(tenant, quota, quota.window_seconds ?? 0, this.idOf(tenant, quota, type, id), now)
    if (this.#all.size >= AT_MOST) this.#forgetFirst(forgotten)
    const byType = this.#byQuota.get(quota) ?? new Map<string, ById>()
    const byId: ById = byType.get(type) ?? new Map()
    byId.set(id, counter)
    byType.set(type, byId)
    this.#byQuota.set(quota, byType)
    this.#all.add(counter)
    this.#places.set(counter, { type, id })
    return counter
  }

  forget(counter: Counter): void {
    this.#all.delete(counter)
    const place = this.#places.get(counter)
    const byType = this.#byQuota.get(counter.quota)
    if (place === undefined || byType === undefined) return
    const byId = byType.get(place.type)
    byId?.delete(place.id)
    if (byId?.size === 0) byType.delete(place.type)
    if (byType.size === 0) this.#byQuota.delete(counter.quota)
  }

  /** The name of a counter's row: nobody without the key can tell whom it counts. */
  idOf(tenant: string, { name, per }: Pick<CompiledQuota, 'name' | 'per'>, type: string, id: string): string {
    const named = JSON.stringify([tenant, name, per, type, id])
    return createHmac('sha256', this.#key)
      .update(named)
      .digest('hex')
      .slice(0, 2 * ID_BYTES)
  }

  #forgetFirst(forgotten: (counter: Counter) => void): void {
    const [first] = this.#all
    if (first === undefined) return
    this.forget(first)
    forgotten(first)
  }
}
