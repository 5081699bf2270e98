import { hkdfSync } from 'node:crypto'
import { DEFAULT_SETTINGS, type RedactionSettings, type Settings, STRICTEST_REDACTION } from '../policy/model.ts'
import type { AuditEvent } from './event.ts'
import { redactedEvent } from './redacted-event.ts'
import { keyedHash, Redaction } from './redaction.ts'

const KEY_BYTES = 32

/** Each tenant's redaction, under a key of the tenant's own: the same value has another hash in another tenant. */
export class Redactor {
  readonly #masterKey: Buffer
  // By the settings object: it is another one after each change of them, and gone when nobody holds it.
  readonly #compiled = new WeakMap<RedactionSettings, { readonly tenant: string; readonly redaction: Redaction }>()

  constructor(masterKey: Buffer) {
    this.#masterKey = masterKey
  }

  /** The tenant's redaction by these settings, compiled once; undefined where there is none. */
  of(tenant: string, { redaction }: Pick<Required<Settings>, 'redaction'>): Redaction | undefined {
    if (redaction === DEFAULT_SETTINGS.redaction) return undefined
    const known = this.#compiled.get(redaction)
    if (known?.tenant === tenant) return known.redaction
    const compiled = new Redaction(redaction, this.#keyOf(tenant))
    this.#compiled.set(redaction, { tenant, redaction: compiled })
    return compiled
  }

  /** The event as its tenant lets it be recorded. */
  event(event: AuditEvent, settings: Pick<Required<Settings>, 'redaction'>): AuditEvent {
    const redaction = this.of(event.tenant, settings)
    return redaction === undefined ? event : redactedEvent(event, redaction)
  }

  /** The event as any tenant lets it be recorded. */
  strictly(event: AuditEvent): AuditEvent {
    return redactedEvent(event, new Redaction(STRICTEST_REDACTION, this.#keyOf(event.tenant)))
  }

  /** What stands in the tenant's records in the place of a text that is hashed. */
  hashIn(tenant: string): (text: string) => string {
    const key = this.#keyOf(tenant)
    return (text) => keyedHash(key, text)
  }

  #keyOf(tenant: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#masterKey, '', `verdict 1 redaction ${tenant}`, KEY_BYTES))
  }
}
