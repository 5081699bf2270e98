import type { AuditTrail } from '../audit/trail.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { OpenDatabase } from '../store/database.ts'
import type { Hints } from '../store/hints.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Hands the numbers that the parts keep to the metrics. */
export function showFigures(
  metrics: Metrics,
  snapshots: Snapshots,
  trail: AuditTrail,
  hints: Hints,
  { pool }: OpenDatabase,
): void {
  metrics.observe('verdict_tenants_loaded', () => snapshots.tenantsLoaded)
  metrics.observe('verdict_entities_cached', () => snapshots.entitiesCached)
  metrics.observe('verdict_entity_cache_hits_total', () => snapshots.cacheHits)
  metrics.observe('verdict_entity_cache_misses_total', () => snapshots.cacheMisses)
  metrics.observe('verdict_rules_quarantined', () => snapshots.quarantined)
  metrics.observe('verdict_revisions_applied_total', () => snapshots.revisionsApplied)
  metrics.observe('verdict_snapshot_staleness_seconds', () => snapshots.staleness / 1000)
  metrics.observe('verdict_listening', () => Number(hints.isListening))
  metrics.observe('verdict_hints_total', () => hints.heard)
  metrics.observe('verdict_audit_backlog_records', () => trail.backlog)
  metrics.observe('verdict_audit_backlog_bytes', () => trail.journal.backlog.bytes)
  metrics.observe('verdict_audit_backlog_seconds', () => trail.journal.backlog.age / 1000)
  metrics.observe('verdict_audit_shipped_total', () => trail.shipper.shipped)
  metrics.observe('verdict_audit_tenants_refused', () => trail.journal.tenantsRefused)
  metrics.observe('verdict_audit_ship_failures_total', () => trail.shipper.failures)
  metrics.observe('verdict_audit_refusals_total', () => trail.shipper.refusals)
  metrics.observe('verdict_journal_bytes', () => trail.journal.bytes)
  metrics.observe('verdict_pool_connections', () => pool.totalCount)
  metrics.observe('verdict_pool_idle', () => pool.idleCount)
  metrics.observe('verdict_pool_waiting', () => pool.waitingCount)
}
