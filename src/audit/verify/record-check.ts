import { leafHash } from '../merkle.ts'
import { differingColumn, type RecordedEvent, recordedEvent } from './columns.ts'
import type { StoredRecord, WriterState } from './evidence.ts'
import type { Finding, Findings } from './findings.ts'
import type { SealedLeaves } from './sealed-leaves.ts'

/** Holds records against the leaves that were sealed, and their columns against their bytes. */
export class RecordCheck {
  readonly #leaves: SealedLeaves
  readonly #writers: ReadonlyMap<string, WriterState>
  readonly #findings: Findings
  #checked = 0

  constructor(leaves: SealedLeaves, writers: readonly WriterState[], findings: Findings) {
    this.#leaves = leaves
    this.#writers = new Map(writers.map((state) => [state.writer, state]))
    this.#findings = findings
  }

  get checked(): number {
    return this.#checked
  }

  /** @returns the event, where the record is the one that was sealed at its place. */
  async check(row: StoredRecord): Promise<RecordedEvent | undefined> {
    this.#checked++
    const { writer, seq } = row
    const position = this.#writers.get(writer)?.position ?? 0
    if (seq < 0 || seq >= position) {
      return this.#bad(row, 'foreign', `its log has ${position} records, and none at ${seq}`)
    }
    const leaf = await this.#leaves.at(writer, seq, position)
    if ('fault' in leaf) return this.#bad(row, 'tree', leaf.fault)
    if (!leafHash(row.record).equals(leaf)) return this.#bad(row, 'changed', 'its bytes are not those that were sealed')
    const event = recordedEvent(row.record)
    if (event === undefined) return this.#bad(row, 'changed', 'its bytes are no event')
    const column = differingColumn(row, event)
    if (column !== undefined) this.#bad(row, 'column', `the column ${column} says something else than the record`)
    return event
  }

  #bad({ writer, seq, tenant_id, id }: StoredRecord, kind: Finding['kind'], detail: string): undefined {
    this.#findings.add({ verdict: 'integrity', kind, detail, writer, seq, tenant: tenant_id, id })
  }
}
