import type { Origin } from '../audit/event.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { Caller } from '../authn/caller.ts'
import type { PdpPermission } from '../policy/built-in.ts'
import type { Quarantined } from '../policy/quarantine.ts'
import type { VagueRules } from '../policy/vague-rules.ts'
import type { TenantDatabase } from '../store/database.ts'

export type FaultOf = (tenant: string, kind: Quarantined, name: string) => string | undefined

/** What administration is built of. */
export interface Parts {
  readonly db: TenantDatabase
  /** This process's log: it owes the records of changes to it. */
  readonly writer: string
  /** Appends a committed change's record (its event's exact text) to the log. */
  readonly announce: (tenant: string, id: string, event: string) => Promise<void>
  /**
   * Resolves once this replica decides by the tenant's revision, which made so many changes, or by a later one. False:
   * it does not yet, and the caller is not kept waiting any longer. Never rejects.
   */
  readonly applied: (tenant: string, revision: number, changes: number) => Promise<boolean>
  /**
   * The rules of the tenant that have vague patterns of ids, at this revision, which is its latest. They are those that
   * this replica decides by, so that counting them costs no reading of all rules.
   */
  readonly vagueRules: (tenant: string, revision: number) => Promise<VagueRules>
  /** Why this process has something in quarantine; undefined: it has not. */
  readonly faultOf: FaultOf
  readonly clock: () => Date
  readonly redactor: Redactor
  /** Told of a record that could not be appended now; the sweep of the outbox appends it later. */
  readonly warn: (error: unknown) => void
}

/**
 * Who writes, with the built-in roles that the caller holds for this call. Of what no call has caused, `session_id` is
 * absent.
 */
export type Author = Pick<Caller, 'tenant' | 'subject' | 'key_id'> &
  Partial<Pick<Caller, 'issuer' | 'session_id'>> & { readonly roles: readonly string[] }

/** What every write says of itself, beside its document. The policy `pdp` has allowed it already. */
export interface Write {
  readonly caller: Author
  /** The tenant that is written: the caller's, or the one that an operator acts in. */
  readonly tenant: string
  /** What the guard asked, and the rules (`pdp/…`) by which it allowed it: they go into the record. */
  readonly permission: PdpPermission
  readonly rules?: readonly string[]
  readonly origin: Origin
  readonly reason: string | null
  readonly idempotency: { readonly key: string; readonly request_sha256: Buffer } | null
  /** The header `If-Match` as it came. */
  readonly if_match: string | null
}

/** Who reads what. */
export interface Read {
  readonly tenant: string
  /** An operator reads in another tenant: of its assignments, those of built-in roles only. */
  readonly acting?: boolean
  /** The built-in roles that the reader holds for it. */
  readonly roles?: readonly string[]
  /** Of a call. */
  readonly caller?: Pick<Caller, 'subject' | 'key_id' | 'session_id' | 'issuer'>
}

export interface Answer<T> {
  readonly status: number
  /** null with 204. */
  readonly body: T
  /** The tenant's revision that the write made, or that it found when it changed nothing. */
  readonly revision: number
  /** For the ETag; null where the thing has none, or is gone. */
  readonly version: number | null
  /**
   * Whether the change's own record tells of the call. A write that changed nothing, or whose answer is given
   * again, has made none: it is the caller's to record it, as it records a read.
   */
  readonly recorded: boolean
  /** Whether this replica decides by it. If not, it is committed all the same, and will be. */
  readonly in_force: boolean
}

/** A thing as it is read: what goes to the reader, and its version for the ETag. */
export interface Found<T> {
  readonly body: T
  readonly version: number
}

/** Of a write that no call from outside has caused. */
export const NO_ORIGIN: Origin = { ip: null, user_agent: null, request_id: null, trace_id: null }
