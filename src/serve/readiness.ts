import type { AuditTrail } from '../audit/trail.ts'
import type { Readiness } from '../http/operations.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'

/** What readiness is made of, read anew each time it is asked. */
export interface Vitals {
  readonly isClosing: boolean
  /** ms since the database last confirmed that memory is up to date. */
  readonly staleness: number
  readonly maxStaleness: number
  /** ms that this clock is ahead of the database's; undefined while it has not been measured. */
  readonly clockSkew: number | undefined
  /** Whether an audit record would be kept now. */
  readonly isAuditKept: boolean
  readonly auditBacklog: number
  /** ms since the oldest record that Postgres has not was kept. */
  readonly auditBacklogAge: number
  /** Tenants that hold more than their share of the journal. */
  readonly tenantsRefused: number
  readonly quarantinedRules: number
}

/** A missed poll or two is no news; after this, the database is said to be away. */
const AWAY_AFTER = 5_000
/** A backlog drains within seconds; one that stays this long is not draining. */
const LONG_BACKLOG = 60_000
/** Validity windows are judged by this process's clock: one that is further off would be wrong about them. */
const MAX_SKEW = 5_000

export function vitalsOf(
  isClosing: boolean,
  maxStaleness: number,
  clockSkew: number | undefined,
  snapshots: Snapshots,
  trail: AuditTrail,
): Vitals {
  return {
    isClosing,
    staleness: snapshots.staleness,
    maxStaleness,
    clockSkew,
    isAuditKept: trail.isKeeping,
    auditBacklog: trail.backlog,
    auditBacklogAge: trail.journal.backlog.age,
    tenantsRefused: trail.journal.tenantsRefused,
    quarantinedRules: snapshots.quarantined,
  }
}

/** Codes and counts: nothing here names a tenant or a rule. */
export function readinessOf(vitals: Vitals): Readiness {
  const fatal = [
    vitals.isClosing && 'shutting_down',
    vitals.staleness > vitals.maxStaleness && 'stale',
    vitals.clockSkew !== undefined && Math.abs(vitals.clockSkew) > MAX_SKEW && 'clock_skew',
    !vitals.isAuditKept && 'audit_unavailable',
  ].filter((code) => code !== false)
  const worrying = [
    vitals.staleness > AWAY_AFTER && 'store_unavailable',
    vitals.auditBacklogAge > LONG_BACKLOG && 'audit_backlog',
    vitals.isAuditKept && vitals.tenantsRefused > 0 && 'tenants_refused',
    vitals.quarantinedRules > 0 && 'rules_quarantined',
  ].filter((code) => code !== false)
  return {
    status: fatal.length > 0 ? 'unavailable' : worrying.length > 0 ? 'degraded' : 'ok',
    problems: [...fatal, ...worrying],
    staleness_ms: Math.round(vitals.staleness),
    audit_backlog_records: vitals.auditBacklog,
    quarantined_rules: vitals.quarantinedRules,
  }
}
