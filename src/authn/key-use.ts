import type { Caller } from './caller.ts'

export interface Use {
  readonly id: string
  readonly at: Date
}

/** So many keys are remembered between two writes; of more, it is not known when they were last used. */
const KEYS = 100_000

/** When API keys were last used: noted in memory as they are, written now and then, off the answer's path. */
export class KeyUse {
  readonly #write: (tenant: string, uses: readonly Use[]) => Promise<void>
  #used = new Map<string, { readonly tenant: string; at: number }>()

  constructor(write: (tenant: string, uses: readonly Use[]) => Promise<void>) {
    this.#write = write
  }

  /** `now` in ms. */
  note({ key_id, tenant }: Caller, now: number): void {
    if (key_id === null) return
    const known = this.#used.get(key_id)
    if (known !== undefined) known.at = now
    else if (this.#used.size < KEYS) this.#used.set(key_id, { tenant, at: now })
  }

  /** Writes what was noted since the last time. What can not be written is forgotten: the next use tells it again. */
  async drain(): Promise<void> {
    const used = this.#used
    this.#used = new Map()
    const tenants = new Map<string, Use[]>()
    for (const [id, { tenant, at }] of used) {
      const uses = tenants.get(tenant) ?? []
      tenants.set(tenant, uses)
      uses.push({ id, at: new Date(at) })
    }
    for (const [tenant, uses] of tenants) await this.#write(tenant, uses)
  }
}
