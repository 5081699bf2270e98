import type { SealedSize } from '../checkpoint.ts'
import type { HashRun } from './log-tree.ts'

/** A signed checkpoint, to be kept together with the hashes that became whole since the writer's one before. */
export interface Seal extends SealedSize {
  readonly final: boolean
  readonly note: string
  /** The known logs: all of them, or what changed since this writer's checkpoint before. */
  readonly whole: boolean
  readonly changes: readonly SealedSize[]
  readonly inner: readonly HashRun[]
}

/** Which hashes are wanted: `count` of them from `first` on, all of one level. */
export interface HashSpan {
  readonly level: number
  readonly first: number
  readonly count: number
}

/** Where trees and checkpoints are kept: `store/audit-tree.ts`. */
export interface SealStore {
  /** Every writer, with its last checkpoint's size and root; size 0 where it has none. */
  knownLogs(): Promise<SealedSize[]>
  /** The writer's last checkpoint of at most that size. */
  lastNote(writer: string, atMost: number): Promise<string | undefined>
  /** All or nothing. */
  keep(seal: Seal): Promise<void>
  /** The hashes of each span, end to end. @throws Failure `internal` where some are not there. */
  hashes(writer: string, spans: readonly HashSpan[]): Promise<Buffer[]>
}
