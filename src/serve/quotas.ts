import { Quotas } from '../pdp/quotas.ts'
import type { TenantDatabase } from '../store/database.ts'
import { handBack, pruneCounters, reserve, tenantsAfter } from '../store/quota-counters.ts'
import { type Opening, openPool } from './database.ts'
import { MINUTE, SECOND } from './rounds.ts'

const QUOTA_CONNECTIONS = 3

/** Others are gone through so many at a time. */
const TENANTS = 50

/** Counters over connections of their own, which are swept and pruned. */
export function openQuotas(opening: Opening, masterKey: Buffer): Quotas {
  const { opened, every, clock } = opening
  const { db } = openPool(opening, 'verdict quotas', QUOTA_CONNECTIONS)
  const drew = new Set<string>()
  const store = {
    reserve: (tenant: string, asked: Parameters<typeof reserve>[2]) => {
      drew.add(tenant)
      return reserve(db.of(tenant), tenant, asked)
    },
    handBack: (tenant: string, unused: Parameters<typeof handBack>[2]) => handBack(db.of(tenant), tenant, unused),
  }
  const quotas = new Quotas({ store, masterKey, clock })
  opened.add('quotas', () => quotas.close())
  every(SECOND, 'sweeping quotas', () => quotas.sweep())
  every(MINUTE, 'pruning counters', pruner(db, drew))
  return quotas
}

/** Deletes what belongs to windows that are over: of tenants that drew of late, and of some others in their turn. */
function pruner(db: TenantDatabase, drew: Set<string>): () => Promise<void> {
  let last = ''
  return async () => {
    const others = await tenantsAfter(db, last, TENANTS)
    last = others.length < TENANTS ? '' : (others.at(-1) ?? '')
    const tenants = new Set([...drew, ...others])
    drew.clear()
    for (const tenant of tenants) await pruneCounters(db.of(tenant), tenant)
  }
}
