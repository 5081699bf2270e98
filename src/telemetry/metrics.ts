import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { REASONS, type Reason } from '../policy/model.ts'
import { FastHistogram } from './histogram.ts'
import { metricsOfAll } from './worker-metrics.ts'

/**
 * Numbers that another part owns; each is read when the metrics are. `counter` only ever grows.
 * Every name stands here once. No label ever holds the name of a tenant, a rule or a subject: `/metrics` is open.
 */
const OBSERVED = {
  verdict_tenants_loaded: ['gauge', 'Tenants whose policy is in memory.'],
  verdict_entities_cached: ['gauge', 'Entities in memory, over all tenants.'],
  verdict_entity_cache_hits_total: ['counter', 'Entities that a decision found in memory.'],
  verdict_entity_cache_misses_total: ['counter', 'Entities that a decision had to wait for.'],
  verdict_rules_quarantined: [
    'gauge',
    'Rules, roles, policies, types and settings that are not what they should be: they never allow, and deny at their strictest.',
  ],
  verdict_revisions_applied_total: [
    'counter',
    'Revisions of policy data that this process has applied, over all tenants.',
  ],
  verdict_snapshot_staleness_seconds: ['gauge', 'Time since the database last confirmed that memory is up to date.'],
  verdict_listening: [
    'gauge',
    '1 while Postgres tells of changes as they are committed; 0: the poll alone finds them.',
  ],
  verdict_hints_total: ['counter', 'Changes that Postgres has told of.'],
  verdict_audit_backlog_records: [
    'gauge',
    'Audit records on this disk that Postgres does not have yet, those of dead processes included.',
  ],
  verdict_audit_backlog_bytes: ['gauge', 'The same in bytes.'],
  verdict_audit_backlog_seconds: ['gauge', 'Age of the oldest of them; 0 where there is none.'],
  verdict_audit_shipped_total: ['counter', 'Audit records of this process that Postgres has.'],
  verdict_audit_tenants_refused: ['gauge', 'Tenants that hold more than their share of the journal and are refused.'],
  verdict_audit_ship_failures_total: [
    'counter',
    'Batches of audit records that did not get into Postgres; tried again.',
  ],
  verdict_audit_refusals_total: [
    'counter',
    'Of these, the ones in which Postgres refused a record: its log stands still until somebody looks.',
  ],
  verdict_journal_bytes: ['gauge', 'Bytes of the journal on this disk; shipped files go whole.'],
  verdict_pool_connections: ['gauge', 'Connections to Postgres that are open.'],
  verdict_pool_idle: ['gauge', 'Connections to Postgres that nobody uses at the moment.'],
  verdict_pool_waiting: ['gauge', 'Calls that wait for a connection to Postgres.'],
} as const satisfies Record<string, readonly ['gauge' | 'counter', string]>

export type ObservedMetric = keyof typeof OBSERVED

/** What becomes of the numbers of several workers where their sum says nothing. */
const OF_WORKERS: Partial<Record<ObservedMetric, 'max' | 'min'>> = {
  verdict_snapshot_staleness_seconds: 'max',
  verdict_rules_quarantined: 'max',
  verdict_audit_backlog_seconds: 'max',
  verdict_listening: 'min',
}

const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** Observes one number, in seconds. Made once, called often: a call allocates nothing that lives on. */
export type Observe = (seconds: number) => void

/** Every metric of the process, in a registry of its own: two servers in one process do not meet. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #ofAll = metricsOfAll(this.#registry)
  readonly #decisions: Map<Reason, number>
  readonly #requests: FastHistogram
  readonly decideSeconds: Observe
  readonly auditAppendSeconds: Observe

  constructor() {
    const registry = this.#registry
    // `nodejs_eventloop_lag_*`, `nodejs_heap_*`, `process_*`: the names that dashboards for Node know.
    collectDefaultMetrics({ register: registry })
    this.#decisions = decisionCounters(registry)
    const decide = new FastHistogram({
      name: 'verdict_decide_seconds',
      help: 'Time to decide, from memory: without the facts that had to be loaded and without the audit record.',
      buckets: [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2e-2],
      registry,
    }).series()
    this.decideSeconds = (seconds) => decide.observe(seconds)
    const append = new FastHistogram({
      name: 'verdict_audit_append_seconds',
      help: 'Time that an answer waited for its audit record to be safe.',
      buckets: [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 2],
      registry,
    }).series()
    this.auditAppendSeconds = (seconds) => append.observe(seconds)
    this.#requests = new FastHistogram({
      name: 'verdict_request_seconds',
      help: 'Time to answer a request, by the pattern of its route and the class of its status.',
      labelNames: ['route', 'status'],
      buckets: [2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.25, 1, 2.5, 10],
      registry,
    })
  }

  /** A decision came out. That it was an allow is part of its reason. */
  decided(reason: Reason): void {
    this.#decisions.set(reason, (this.#decisions.get(reason) ?? 0) + 1)
  }

  /** How a route observes its requests. `route` is the pattern (`/v1/rules/:name`), never the path of a request. */
  route(route: string): (status: number, seconds: number) => void {
    const children = STATUS_CLASSES.map((status) => this.#requests.series({ route, status }))
    return (status, seconds) => children[Math.floor(status / 100) - 1]?.observe(seconds)
  }

  /** Hands over a number that its owner keeps; `read` is called whenever the metrics are read. */
  observe(name: ObservedMetric, read: () => number): void {
    const [kind, help] = OBSERVED[name]
    const registers = [this.#registry]
    if (kind === 'gauge') {
      new Gauge({
        name,
        help,
        registers,
        aggregator: OF_WORKERS[name] ?? 'sum',
        collect() {
          this.set(read())
        },
      })
      return
    }
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics in the text format of Prometheus: of one of several workers, those of all. */
  text(): Promise<string> {
    return this.#ofAll?.() ?? this.#registry.metrics()
  }
}

/** Counted here and told when the metrics are read: the library's own counting costs a microsecond for each. */
function decisionCounters(registry: Registry): Map<Reason, number> {
  // A reason that has not occurred yet is there, at 0: rates begin with the first.
  const counts = new Map<Reason, number>(REASONS.map((reason) => [reason, 0]))
  new Counter({
    name: 'verdict_decisions_total',
    help: 'Decisions, by outcome and reason.',
    labelNames: ['decision', 'reason'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [reason, count] of counts) this.inc({ decision: String(reason === 'allowed_by_rule'), reason }, count)
    },
  })
  return counts
}
