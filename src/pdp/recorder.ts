import type { AuditEvent } from '../audit/event.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { Asking, AuditMode, Trail } from '../pdp.ts'
import type { Settings } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export interface RecorderParts {
  readonly trail: Trail
  readonly snapshots: Pick<Snapshots, 'tenant'>
  readonly redactor: Redactor
  readonly metrics: Pick<Metrics, 'auditAppendSeconds'>
}

/** Keeps records, of what their tenant lets be recorded: each method resolves once that is so. */
export class Recorder {
  readonly #trail: Trail
  readonly #snapshots: Pick<Snapshots, 'tenant'>
  readonly #redactor: Redactor
  readonly #metrics: Pick<Metrics, 'auditAppendSeconds'>

  constructor({ trail, snapshots, redactor, metrics }: RecorderParts) {
    this.#trail = trail
    this.#snapshots = snapshots
    this.#redactor = redactor
    this.#metrics = metrics
  }

  /** What a call came to, by the settings that it was decided with. */
  decided(call: Asking, event: AuditEvent, settings: Required<Settings>): Promise<void> {
    return this.#keep(this.#trail.record(this.#redactor.event(event, settings)), settings.audit_mode, call)
  }

  /** What the items of a call came to, redacted and encoded: in one write. */
  decidedAll(call: Asking, records: readonly string[], mode: AuditMode): Promise<void> {
    return this.#keep(this.#trail.recordAll(call.tenant, records), mode, call)
  }

  /** Something that is not a decision of the tenant's policy. */
  async happened(event: AuditEvent, mode: AuditMode): Promise<void> {
    await this.#keep(this.#trail.record(await this.#redacted(event)), mode)
  }

  async #keep(recording: Promise<number>, mode: AuditMode, call?: Asking): Promise<void> {
    const began = performance.now()
    const seq = await recording
    // From here on the call has its record, even if its answer is withheld because Postgres does not have it in time.
    if (call !== undefined) call.recorded = true
    if (mode === 'commit') await this.#trail.committed(seq)
    this.#metrics.auditAppendSeconds((performance.now() - began) / 1000)
  }

  /** Where the tenant's settings can't be had, nothing is recorded in the clear that they could hide. */
  async #redacted(event: AuditEvent): Promise<AuditEvent> {
    try {
      const tenant = await this.#snapshots.tenant(event.tenant)
      return tenant === undefined ? this.#redactor.strictly(event) : this.#redactor.event(event, tenant.index.settings)
    } catch {
      return this.#redactor.strictly(event)
    }
  }
}
