import { Quotas } from '../pdp/quotas.ts'
import type { TenantDatabase } from '../store/database.ts'
import { handBack, pruneCounters, reserve, tenantsAfter } from '../store/quota-counters.ts'

export interface OpenQuotas {
  readonly quotas: Quotas
  /** Deletes what belongs to windows that are over: of tenants that drew of late, and of some others in their turn. */
  prune(): Promise<void>
}

/** Others are gone through so many at a time. */
const TENANTS = 50

export function openQuotas(db: TenantDatabase, masterKey: Buffer, clock: () => number): OpenQuotas {
  const drew = new Set<string>()
  let last = ''
  const store = {
    reserve: (tenant: string, asked: Parameters<typeof reserve>[2]) => {
      drew.add(tenant)
      return reserve(db.of(tenant), tenant, asked)
    },
    handBack: (tenant: string, unused: Parameters<typeof handBack>[2]) => handBack(db.of(tenant), tenant, unused),
  }
  return {
    quotas: new Quotas({ store, masterKey, clock }),
    async prune() {
      const others = await tenantsAfter(db, last, TENANTS)
      last = others.length < TENANTS ? '' : (others.at(-1) ?? '')
      const tenants = new Set([...drew, ...others])
      drew.clear()
      for (const tenant of tenants) await pruneCounters(db.of(tenant), tenant)
    },
  }
}
