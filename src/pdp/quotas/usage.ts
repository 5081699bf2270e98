import type { QuotaUsage, UsageQuery } from '../../contract/quotas.ts'
import { Failure, type Problem } from '../../failure.ts'
import type { EntityRef } from '../../policy/model.ts'
import { type Per, windowAt } from '../../policy/quota.ts'
import { soundQuota } from '../../policy/soundness.ts'
import { reservedOf } from '../../store/quota-counters.ts'
import { quotas as documents } from '../../store/quotas.ts'
import type { RefundParts } from './refunds.ts'

/** What was taken of a counter in its running window, as the database has it. */
export async function usageOf(
  { db, quotas, clock }: RefundParts,
  tenant: string,
  name: string,
  query: UsageQuery,
): Promise<QuotaUsage> {
  const stored = await documents.get(db.of(tenant), tenant, name)
  if (stored === undefined) throw new Failure('not_found', `there is no quota ${name}`)
  const { document, broken } = soundQuota(name, stored.document)
  const { per = 'subject', limit, window_seconds } = document
  if (broken || window_seconds === undefined) {
    throw new Failure('unprocessable', `the quota ${name} counts nothing: it is no counter`)
  }
  const { type, id } = countedIn(per, query)
  const window = windowAt(clock(), window_seconds)
  const counter = quotas.idOf(tenant, { name, per }, type, id)
  const reserved = await reservedOf(db.of(tenant), tenant, {
    quota: name,
    counter,
    window_seconds,
    start: window.start,
  })
  const used = Math.max(0, reserved - quotas.inHand(counter))
  const remaining = Math.max(0, limit - reserved)
  return { name, limit, reserved, used, remaining, reset_at: new Date(window.end).toISOString() }
}

function countedIn(per: Per, query: UsageQuery): EntityRef {
  const { subject_type, subject_id, resource_type, resource_id } = query
  const given = { subject: [subject_type, subject_id], resource: [resource_type, resource_id] }
  const problems: Problem[] = []
  for (const kind of ['subject', 'resource'] as const) {
    const [type, id] = given[kind]
    const isWhole = type !== undefined && id !== undefined
    if (kind === per && !isWhole) problems.push({ pointer: `/${kind}_id`, detail: `is needed, as is ${kind}_type` })
    if (kind !== per && (type ?? id) !== undefined) {
      problems.push({ pointer: `/${kind}_id`, detail: `does not belong here: the quota is per ${per}` })
    }
  }
  if (problems.length > 0) throw new Failure('invalid_request', 'whose usage is not said', { problems })
  const [type = '', id = ''] = per === 'tenant' ? [] : given[per]
  return { type, id }
}
