import { asRule, normalQuota, type Quota } from '../policy/quota.ts'
import { checkQuota } from '../policy/quota-check.ts'
import { isReadable } from '../policy/soundness.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { quotas } from '../store/quotas.ts'
import type { Changer } from './change.ts'
import { type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { abnormalResources } from './operations.ts'
import { unknownRoles } from './references.ts'
import { notFound } from './refusal.ts'
import { type Readable, readable, type Written } from './representation.ts'
import { rolesOfSubjects } from './rules.ts'
import { undeclaredNames } from './undeclared.ts'
import { vagueQuota } from './vague.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface QuotaAdministration {
  list(read: Read, page: Page): Promise<Listed<Readable<Quota>>>
  get(read: Read, name: string): Promise<Found<Readable<Quota>>>
  put(write: Write, quota: Quota): Promise<Answer<Written<Quota>>>
  /** What was counted stays until its window ends: made again under the same name, the quota goes on from there. */
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function quotaAdministration({ db, faultOf }: Parts, change: Changer): QuotaAdministration {
  const asRead = (tenant: string, { document, ...rest }: Stored<Quota>) =>
    readable('quota', { ...rest, document: stored(document) }, faultOf(tenant, 'quota', document.name))
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await quotas.list(db.of(tenant), tenant, page)
      return { items: items.map((one) => asRead(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = await quotas.get(db.of(tenant), tenant, name)
      if (found === undefined) throw notFound(`quota ${name}`)
      return { body: asRead(tenant, found), version: found.version }
    },
    put: (write, quota) => change(write, (at) => putDocument(QUOTA, at, quota)),
    delete: (write, name) => change(write, (at) => deleteDocument(QUOTA, at, name)),
  }
}

const QUOTA: DocumentKind<Quota> = {
  noun: 'quota',
  table: quotas,
  normal: stored,
  async check(change, quota) {
    const { trx, tenant } = change
    const roles = await unknownRoles(trx, tenant, rolesOfSubjects(asRule(quota)))
    const ids = [...(await vagueQuota(change, asRule(quota))), ...(await abnormalResources(change, quota))]
    return [...checkQuota(quota), ...roles, ...ids]
  },
  warnings: (change, quota) => undeclaredNames(change, asRule(quota)),
  logged: (name, operation, before, after) => ({ kind: 'quota', key: { name }, operation, before, after }),
  // Nothing refers to a quota.
  async refuseUsed() {},
}

function stored(quota: Quota): Quota {
  return isReadable('quota', quota) ? normalQuota(quota) : quota
}
