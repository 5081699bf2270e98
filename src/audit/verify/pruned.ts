import { noteText, openNote, type VerifierKey } from '../note.ts'
import type { PrunedRange } from '../prune.ts'
import { Findings } from './findings.ts'

/** A statement of what was pruned, as it is stored: the text, and the note that signs it. */
export interface StoredPrune {
  readonly statement: string
  readonly signed: string | null
}

/** What is signed of a prune: whose log it is, and the statement, a line each. */
export function pruneText(log: string, statement: string): string {
  return noteText([`${log}/pruned`, statement])
}

/** What may be missing, as it was pruned: to be believed, a statement must be signed. */
export class Pruned {
  static readonly nothing = new Pruned([], [], new Findings())
  readonly #ranges = new Map<string, PrunedRange[]>()

  constructor(prunes: readonly StoredPrune[], keys: readonly VerifierKey[], findings: Findings) {
    // Each once: a note says the same with a stranger's signature added, and what it allows must not count twice.
    for (const statement of new Set(prunes.map((prune) => prune.statement))) {
      const signed = prunes.filter((prune) => prune.statement === statement).map((prune) => rangesIn(prune, keys))
      const ranges = signed.every((one) => one !== undefined) ? signed[0] : undefined
      if (ranges === undefined) {
        const detail = 'a statement of what was pruned is not signed: what it names counts as missing'
        findings.add({ verdict: 'integrity', kind: 'checkpoint', detail })
      }
      for (const range of ranges ?? []) this.#ranges.set(range.writer, sorted([...this.of(range.writer), range]))
    }
  }

  of(writer: string): readonly PrunedRange[] {
    return this.#ranges.get(writer) ?? []
  }

  /** How many records of the log were pruned. */
  records(writer: string): number {
    return this.of(writer).reduce((sum, { records }) => sum + records, 0)
  }

  /** Behind this number nothing of the log was pruned. */
  upTo(writer: string): number {
    return this.of(writer).reduce((most, { next_seq }) => Math.max(most, next_seq), 0)
  }

  get total(): number {
    return [...this.#ranges.keys()].reduce((sum, writer) => sum + this.records(writer), 0)
  }
}

function rangesIn({ statement, signed }: StoredPrune, keys: readonly VerifierKey[]): PrunedRange[] | undefined {
  const note = signed === null ? undefined : openNote(signed, keys)
  if (note === undefined || 'fault' in note || note.text !== pruneText(note.key.name, statement)) return undefined
  const { writers } = JSON.parse(statement) as { writers: PrunedRange[] }
  return writers
}

const sorted = (ranges: PrunedRange[]) => ranges.sort((one, other) => one.first_seq - other.first_seq)
