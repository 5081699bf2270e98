import { setTimeout as pause } from 'node:timers/promises'
import { instantIn } from '../../audit/event-id.ts'
import type { Refund, RefundBody } from '../../contract/quotas.ts'
import { Failure } from '../../failure.ts'
import type { AuditItem } from '../../store/audit.ts'
import { getAudit } from '../../store/audit.ts'
import type { TenantDatabase } from '../../store/database.ts'
import { type CounterWindow, refund } from '../../store/quota-counters.ts'
import { quotas as documents } from '../../store/quotas.ts'
import type { Quotas } from '../quotas.ts'

export interface RefundParts {
  readonly db: TenantDatabase
  readonly quotas: Quotas
  /** ms since the epoch. */
  readonly clock: () => number
}

/** What a record says that a decision took of a counter. */
interface Took {
  readonly window: CounterWindow
  readonly units: number
  /** ms since the epoch. */
  readonly end: number
}

// A record is in the database a moment after its decision: who gives back at once waits for it, and not for long.
const TRIES = 10
const PAUSE_MS = 150
const FRESH_MS = 10_000

/**
 * Gives back what a decision took of a quota, once, while its window lasts. What that was is read from the decision's own
 * record: nobody can give back what was never taken. Fails with `not_found`, `unprocessable` or `conflict`.
 */
export async function refundDecision(
  { db, quotas, clock }: RefundParts,
  tenant: string,
  name: string,
  { decision_id, units }: RefundBody,
): Promise<Refund> {
  if ((await documents.get(db.of(tenant), tenant, name)) === undefined) throw notFound(`quota ${name}`)
  const record = await recordOf(db, tenant, decision_id, clock())
  if (record === undefined) throw notFound(`decision ${decision_id} in the audit`)
  const took = tookOf(record, name)
  if (took === undefined) throw refused('/decision_id', `took nothing of the quota ${name}`)
  if (took.end <= clock()) throw refused('/decision_id', 'was taken of a window that is over')
  const given = units ?? took.units
  if (given > took.units) throw refused('/units', `is more than the decision took: ${took.units}`)
  if (!(await refund(db.of(tenant), tenant, decision_id, took.window, given))) {
    throw new Failure('conflict', 'what the decision took has been given back already')
  }
  quotas.refunded(took.window.counter)
  return { name, decision_id, units: given, reset_at: new Date(took.end).toISOString() }
}

async function recordOf(db: TenantDatabase, tenant: string, id: string, now: number): Promise<AuditItem | undefined> {
  const isFresh = now - instantIn(id) < FRESH_MS
  for (let tries = 1; ; tries++) {
    const found = await getAudit(db.of(tenant), tenant, id)
    if (found !== undefined || !isFresh || tries === TRIES) return found
    await pause(PAUSE_MS)
  }
}

function tookOf({ type, decision, quotas = [] }: AuditItem, name: string): Took | undefined {
  if (type !== 'decision' || decision !== true) return undefined
  for (const use of quotas) {
    const { name: quota, units, counter, window_seconds, reset_at }: Loose = use
    if (quota !== name || typeof units !== 'number' || units < 1) continue
    if (typeof counter !== 'string' || typeof window_seconds !== 'number' || typeof reset_at !== 'string') continue
    const end = Date.parse(reset_at)
    return { window: { quota: name, counter, window_seconds, start: end - window_seconds * 1000 }, units, end }
  }
  return undefined
}

interface Loose {
  readonly name?: unknown
  readonly units?: unknown
  readonly counter?: unknown
  readonly window_seconds?: unknown
  readonly reset_at?: unknown
}

function notFound(what: string): Failure {
  return new Failure('not_found', `there is no ${what}`)
}

function refused(pointer: string, detail: string): Failure {
  return new Failure('unprocessable', `${pointer.slice(1)} ${detail}`, { problems: [{ pointer, detail }] })
}
