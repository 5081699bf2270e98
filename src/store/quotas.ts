import type { Transaction } from 'kysely'
import { asRule, type Quota } from '../policy/quota.ts'
import { type DocumentTable, documentTable } from './documents.ts'
import { referencesOfRule, replaceReferences } from './references.ts'
import type { Database } from './schema.ts'

const table = documentTable<Quota>('quotas')

export const quotas: DocumentTable<Quota> = {
  ...table,
  async put(trx, stamp, documents) {
    await table.put(trx, stamp, documents)
    const names = documents.map(({ name }) => name)
    const references = documents.flatMap((quota) => referencesOfRule(asRule(quota)))
    await replaceReferences(trx, stamp.tenant, 'quota', names, references)
  },
  async remove(trx: Transaction<Database>, tenant: string, names: readonly string[]) {
    await table.remove(trx, tenant, names)
    await replaceReferences(trx, tenant, 'quota', names, [])
  },
}
