import type { AuditEvent } from '../event.ts'
import { recordedEvent } from './columns.ts'
import type { StoredRecord, StoredRevisions } from './evidence.ts'
import type { Findings } from './findings.ts'

/**
 * Holds the change log of tenants against the trail: every revision of the log has its record, of as many changes, and
 * every record of a change its revision. What a change was, and the policy that came of it, no record holds whole.
 */
export class RevisionCheck {
  /** By tenant and revision, how many changes the record tells of: some bytes for each revision there is. */
  readonly #recorded = new Map<string, Map<number, number>>()
  readonly #findings: Findings

  constructor(findings: Findings) {
    this.#findings = findings
  }

  /**
   * A record, with its event where it is sound. One that is not has a finding of its own: that there is no record of what it
   * tells would be said of it twice.
   */
  see({ record }: StoredRecord, sound: AuditEvent | undefined): void {
    const event = sound ?? recordedEvent(record)
    if (event !== undefined) this.#note(event)
  }

  #note(event: AuditEvent): void {
    const { tenant, revision } = event
    const changes = changesOf(event)
    if (changes === undefined || typeof revision !== 'number') return
    const known = this.#recorded.get(tenant) ?? new Map<number, number>()
    this.#recorded.set(tenant, known.set(revision, changes))
  }

  /** @param isPruned what is older than the oldest record of a change that is left may have been pruned. */
  conclude({ tenant, revision, logged, owed }: StoredRevisions, isPruned: boolean): void {
    for (const text of owed) this.#noteOwed(text)
    const recorded = this.#recorded.get(tenant) ?? new Map<number, number>()
    const known = isPruned ? least(recorded.keys()) : 0
    const add = (detail: string) => this.#findings.add({ verdict: 'completeness', kind: 'policy', detail, tenant })

    const missing = firstMissing(logged, Math.max(revision, most(recorded.keys())))
    if (missing !== undefined) add(`revision ${missing} is not in the change log`)
    const last = most(logged.keys())
    if (last > revision) add(`the change log goes on to revision ${last}, and the tenant stands at ${revision}`)
    const wrong = [...logged].find(([made, changes]) => made >= known && recorded.get(made) !== changes)
    if (wrong === undefined) return
    const [made, changes] = wrong
    const told = recorded.get(made)
    const differs = `has ${changes} changes, and its record tells of ${told}`
    add(`revision ${made} of the change log ${told === undefined ? 'has no record in the trail' : differs}`)
  }

  #noteOwed(text: string): void {
    try {
      this.#note(JSON.parse(text))
    } catch {
      // It is no record, and so none of a revision.
    }
  }
}

/** How many changes of the tenant's own policy the record is of; undefined: of none. */
function changesOf({ type, context }: AuditEvent): number | undefined {
  if (type !== 'administration' || !context) return undefined
  const { changes, changes_total, tenant } = context
  // An operator's own record of what it did in another tenant has that one's revision.
  if (!Array.isArray(changes) || tenant !== undefined) return undefined
  return typeof changes_total === 'number' ? changes_total : changes.length
}

/** The first of 1 to `last` that is not there. */
function firstMissing(logged: ReadonlyMap<number, number>, last: number): number | undefined {
  let next = 1
  while (logged.has(next)) next++
  return next <= Math.max(last, most(logged.keys())) ? next : undefined
}

function most(numbers: Iterable<number>): number {
  let most = 0
  for (const number of numbers) if (number > most) most = number
  return most
}

function least(numbers: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY
  for (const number of numbers) if (number < least) least = number
  return least
}
