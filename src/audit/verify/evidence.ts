import type { VerifierKey } from '../note.ts'
import type { HashSpan } from '../seal/seal-store.ts'
import type { StoredPrune } from './pruned.ts'

/** A writer, wherever the database knows of it. */
export interface WriterState {
  readonly writer: string
  /** How many records the database says it has; undefined where it is not among the writers. */
  readonly position: number | undefined
  readonly closed: boolean
}

export interface StoredRun {
  readonly first: number
  readonly hashes: Buffer
  /** How long it has been there. */
  readonly age_ms: number
}

export interface StoredCheckpoint {
  readonly writer: string
  readonly size: number
  readonly final: boolean
  readonly root: Buffer
  readonly note: string
  readonly writers: {
    readonly whole: boolean
    readonly logs: readonly (readonly [writer: string, size: number, root: string])[]
  }
}

/** The revisions of a tenant's policy, as the database has them. */
export interface StoredRevisions {
  readonly tenant: string
  /** Where the tenant stands. */
  readonly revision: number
  /** The change log: by revision, how many changes. */
  readonly logged: ReadonlyMap<number, number>
  /** Records of changes that are in no log yet, as JSON text. */
  readonly owed: readonly string[]
}

/** A record with the columns that are searched beside it. */
export interface StoredRecord {
  readonly tenant_id: string
  readonly at: Date
  readonly id: string
  readonly writer: string
  readonly seq: number
  readonly record: Buffer
  /** Whether the hashes by which ids are found are those of the ids. */
  readonly is_found: boolean
  readonly type: string
  readonly actor_type: string | null
  readonly actor_id: string | null
  readonly subject_type: string | null
  readonly subject_id: string | null
  readonly action: string | null
  readonly resource_type: string | null
  readonly resource_id: string | null
  readonly decision: boolean | null
  readonly reason: string | null
  readonly rules: readonly string[] | null
  readonly ip: string | null
  readonly request_id: string | null
  readonly trace_id: string | null
}

/** Which records: all, or those of a tenant, of a time, of a writer. */
export interface RecordScope {
  readonly tenant?: string | undefined
  readonly writer?: string | undefined
  /** The instant itself is in. */
  readonly from?: Date | undefined
  /** The instant itself is out. */
  readonly to?: Date | undefined
  /** By time; where it is left out, in whatever order is quickest. */
  readonly order?: 'asc' | 'desc' | undefined
}

/** What is looked at, all of it as it was at one instant: `store/audit-evidence.ts`. */
export interface Evidence {
  /** What keys have signed of those that follow them. */
  endorsements(): Promise<readonly string[]>
  keys(): Promise<VerifierKey[]>
  /** The statements of what was pruned. */
  prunes(): Promise<StoredPrune[]>
  /** Sorted. */
  tenants(): Promise<string[]>
  /** Whether it is a tenant, or was one that the audit has records of. */
  hasTenant(tenant: string): Promise<boolean>
  /** Sorted. */
  writers(): Promise<WriterState[]>
  /** A writer's hashes of one level, as they were stored, in order. */
  runs(writer: string, level: number): AsyncIterable<StoredRun>
  /** A writer's checkpoints, the smallest first. */
  checkpoints(writer: string): AsyncIterable<StoredCheckpoint>
  /** Of the checkpoint of that size; undefined: there is none. */
  rootAt(writer: string, size: number): Promise<Buffer | undefined>
  /** Whether this very checkpoint is there. */
  hasNote(writer: string, size: number, note: string): Promise<boolean>
  lastCheckpoint(writer: string): Promise<StoredCheckpoint | undefined>
  /** The hashes of each span, end to end. @throws Failure `internal` where some are not there. */
  hashes(writer: string, spans: readonly HashSpan[]): Promise<Buffer[]>
  /** In pages. One such reading at a time. */
  records(scope: RecordScope): AsyncIterable<readonly StoredRecord[]>
  /** Of this tenant, or of all there are. */
  revisions(tenant?: string): AsyncIterable<StoredRevisions>
  /** Records of this writer after `seq`, of all tenants: among those from `since` on, or among all. As `records`. */
  recordsAfter(writer: string, seq: number, since: Date | undefined): AsyncIterable<readonly StoredRecord[]>
  /** How many these are. */
  countAfter(writer: string, seq: number, since: Date | undefined): Promise<number>
}
