import { randomUUID } from 'node:crypto'
import { type AuditEvent, encodeEvent, NO_CALL } from './event.ts'
import { eventId } from './event-id.ts'

/** Records of one writer that are pruned: from `first_seq` to before `next_seq`, of which `records` are pruned here. */
export interface PrunedRange {
  readonly writer: string
  readonly first_seq: number
  readonly next_seq: number
  readonly records: number
}

/** What a prune says of itself: what is signed. */
export interface PruneStatement {
  readonly id: string
  /** RFC 3339. */
  readonly at: string
  /** A month's partition, or the default one. */
  readonly partition: string
  /** Nothing from here on is pruned; RFC 3339. */
  readonly before: string
  readonly writers: readonly PrunedRange[]
}

/** Where checkpoints are known and signed. */
export interface Checkpoints {
  /** How many records of each of these writers a signed checkpoint covers; one that is left out: none. */
  covered(writers: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Signs the statement's text; null where nothing signs. */
  signPruned(statement: PruneStatement, text: string): Promise<string | null>
}

export interface PruneStore {
  /** Who prunes: the database's role. */
  role(): Promise<string>
  /** The partitions of whole months before this instant, oldest first. */
  months(before: Date): Promise<readonly string[]>
  /** What a partition holds that is older than this instant. */
  ranges(partition: string, before: Date): Promise<readonly PrunedRange[]>
  /** False: it holds other records than the statement says by now, and still does. */
  prune(pruned: {
    readonly statement: PruneStatement
    readonly text: string
    readonly signed: string | null
    readonly event: AuditEvent
    readonly event_text: string
  }): Promise<boolean>
}

export interface PruneOptions {
  readonly store: PruneStore
  readonly checkpoints: Checkpoints
  readonly before: Date
  /** Whether records that fit no month's partition go, too. */
  readonly withDefault: boolean
  readonly dryRun: boolean
  readonly clock: () => number
}

export interface PruneOutcome {
  readonly partition: string
  readonly writers: readonly PrunedRange[]
  /** `would`: a dry run. `uncovered`: some of its records are under no signed checkpoint yet, and nothing was done. */
  readonly outcome: 'pruned' | 'would' | 'uncovered'
  /** The writers whose records are not covered. */
  readonly uncovered: readonly string[]
}

export const DEFAULT_PARTITION = 'audit_default'
const ATTEMPTS = 5

/**
 * Prunes whole months, oldest first, and stops at the first that may not go: what is left is the trail's end without
 * a hole in it.
 */
export async function pruneAudit(options: PruneOptions): Promise<PruneOutcome[]> {
  const { store, before, withDefault } = options
  const partitions = [...(await store.months(before)), ...(withDefault ? [DEFAULT_PARTITION] : [])]
  const outcomes: PruneOutcome[] = []
  for (const partition of partitions) {
    const outcome = await prunePartition(partition, options)
    outcomes.push(outcome)
    if (outcome.outcome === 'uncovered') break
  }
  return outcomes
}

async function prunePartition(partition: string, options: PruneOptions): Promise<PruneOutcome> {
  const { store, checkpoints, before, dryRun, clock } = options
  for (let attempt = 1; ; attempt++) {
    const writers = await store.ranges(partition, before)
    const uncovered = await uncoveredOf(writers, checkpoints)
    if (uncovered.length > 0) return { partition, writers, outcome: 'uncovered', uncovered }
    if (dryRun) return { partition, writers, outcome: 'would', uncovered }
    const now = clock()
    const at = new Date(now).toISOString()
    const statement: PruneStatement = { id: randomUUID(), at, partition, before: before.toISOString(), writers }
    const text = JSON.stringify(statement)
    const event = pruneEvent(statement, await store.role(), now)
    const signed = await checkpoints.signPruned(statement, text)
    if (await store.prune({ statement, text, signed, event, event_text: encodeEvent(event) }))
      return { partition, writers, outcome: 'pruned', uncovered }
    if (attempt === ATTEMPTS) throw new Error(`records keep coming into ${partition} while it is pruned`)
  }
}

async function uncoveredOf(writers: readonly PrunedRange[], checkpoints: Checkpoints): Promise<string[]> {
  const covered = await checkpoints.covered(writers.map(({ writer }) => writer))
  return writers.filter(({ writer, next_seq }) => next_seq > (covered.get(writer) ?? 0)).map(({ writer }) => writer)
}

function pruneEvent({ id, partition, before, writers }: PruneStatement, role: string, now: number): AuditEvent {
  const records = writers.reduce((sum, range) => sum + range.records, 0)
  return {
    ...eventId(now),
    tenant: 'system',
    type: 'administration',
    actor: { type: 'pdp:database_role', id: role },
    subject: null,
    action: { name: 'pdp:prune' },
    resource: { type: 'pdp:audit', id: partition },
    context: { prune: id, before, writers: writers.length, records },
    decision: null,
    reason: null,
    rules: [],
    obligations: [],
    revision: null,
    ...NO_CALL,
  }
}
