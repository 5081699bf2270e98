/** What was found to be wrong: with what is there (integrity), or in that something is not there (completeness). */
export interface Finding {
  readonly verdict: 'integrity' | 'completeness'
  readonly kind: FindingKind
  readonly detail: string
  readonly writer?: string
  /** The first record that it is about, and how many. */
  readonly seq?: number
  readonly count?: number
  readonly tenant?: string
  readonly id?: string
}

export type FindingKind =
  /** A record's bytes are not those that were sealed. */
  | 'changed'
  /** A column that is searched says something else than the record. */
  | 'column'
  /** A record stands in no log, or at a place that the log does not have. */
  | 'foreign'
  /** A record stands at a place where another one stands too. */
  | 'doubled'
  /** The stored tree is not one tree, or not the one that was signed. */
  | 'tree'
  /** A checkpoint is not signed by a key that is known, or says something else than its row. */
  | 'checkpoint'
  /** Records that no checkpoint covers, though one should. */
  | 'unsealed'
  /** Records that were sealed and are not there. */
  | 'missing'
  /** A log is shorter than it was when a checkpoint was signed. */
  | 'rolled_back'
  /** A checkpoint was made and is not there. */
  | 'checkpoint_missing'
  /** A log that a checkpoint knew is not there. */
  | 'log_missing'
  /** The change log has other revisions than the trail has records of. */
  | 'policy'

const SHOWN = 100

/** The first findings in full; of the rest only how many. */
export class Findings {
  readonly shown: Finding[] = []
  readonly #counts = { integrity: 0, completeness: 0 }

  add(finding: Finding): void {
    const count = ++this.#counts[finding.verdict]
    if (count <= SHOWN) this.shown.push(finding)
  }

  count(verdict: Finding['verdict']): number {
    return this.#counts[verdict]
  }

  first(verdict: Finding['verdict']): Finding | undefined {
    return this.shown.find((finding) => finding.verdict === verdict)
  }
}
