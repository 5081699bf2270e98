import type { EntityRef, Obligation, Properties } from '../policy/model.ts'
import { withoutCredentials } from '../telemetry/secrets.ts'

export const EVENT_TYPES = ['decision', 'authentication', 'administration', 'audit_access', 'security'] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** The reason of an event of type `decision` that is no single decision: a search. */
export const SEARCHED = 'searched'

/**
 * One audit event, as it is recorded: its JSON text is what is kept, hashed and given out. The log adds one member
 * when it appends the record: `tenant_seq`, which counts this tenant's records in this writer's log from 1 without
 * a gap, so that a tenant can see its own trail complete without seeing others'.
 */
export interface AuditEvent {
  /** UUIDv7; its milliseconds are `at`. */
  readonly id: string
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string
  readonly tenant: string
  readonly type: EventType
  /** The authenticated caller; null where there is none. */
  readonly actor: (EntityRef & { readonly key_id?: string; readonly issuer?: string; readonly tenant?: string }) | null
  /** `proven_by`: it came as a token of this issuer. `context_id`: as this security context. */
  readonly subject:
    | (EntityRef & {
        readonly properties?: Properties
        readonly proven_by?: { readonly issuer: string; readonly jti: string | null }
        readonly context_id?: string
      })
    | null
  readonly action: { readonly name: string; readonly properties?: Properties } | null
  readonly resource: (EntityRef & { readonly properties?: Properties }) | null
  readonly context: Properties | null
  readonly decision: boolean | null
  readonly reason: string | null
  readonly rules: readonly string[]
  readonly obligations: readonly Obligation[]
  readonly revision: number | null
  /** The quotas that a decision is about, and what it took of each. */
  readonly quotas?: readonly object[] | undefined
  readonly ip: string | null
  readonly user_agent: string | null
  readonly request_id: string | null
  readonly trace_id: string | null
  readonly duration_us: number | null
  /** Of an item of a batch: the id of the batch's first record, and the item's place in what was asked, from 0. */
  readonly batch?: { readonly id: string; readonly item: number } | undefined
}

/** What a record says of the call that caused it. */
export interface Origin {
  readonly ip: string | null
  readonly user_agent: string | null
  readonly request_id: string | null
  readonly trace_id: string | null
}

/** What a record says of its call where there was none: a process did it, or somebody at its machine. */
export const NO_CALL = { ip: null, user_agent: null, request_id: null, trace_id: null, duration_us: null } as const

/**
 * The event's JSON text, without what looks like a credential of Verdict's. Postgres can read it as jsonb whatever a caller
 * sent: NUL and lone surrogates, which JSON can carry and jsonb can't, are recorded as the six characters of their escape
 * (`\u0000`).
 */
export function encodeEvent(event: AuditEvent): string {
  return cleanRecord(JSON.stringify(event))
}

/** The same for an event that is JSON text already. */
export function cleanRecord(event: string): string {
  const text = withoutCredentials(event)
  return text.includes('\\u') ? text.replace(ESCAPES, escapeAgain) : text
}

// Every escape is matched, so that a backslash which is itself escaped is never taken for the start of one.
const ESCAPES = /\\(?:u[0-9a-f]{4}|.)/g
const REFUSED_BY_JSONB = /^\\u(?:0000|d[89a-f])/

function escapeAgain(sequence: string): string {
  return REFUSED_BY_JSONB.test(sequence) ? `\\${sequence}` : sequence
}
