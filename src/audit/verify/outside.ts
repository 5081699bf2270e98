import { type OpenedCheckpoint, openCheckpoint } from '../checkpoint.ts'
import { EMPTY_ROOT } from '../merkle.ts'
import type { VerifierKey } from '../note.ts'
import type { Findings } from './findings.ts'
import type { CheckedLog } from './log-check.ts'

/** A checkpoint that was kept elsewhere, and where. */
export interface OutsideNote {
  readonly note: string
  readonly from: string
}

export interface OutsideCheckpoint extends OutsideNote {
  readonly opened: OpenedCheckpoint
}

/** Those that can be trusted; the others are findings. */
export function openOutside(
  notes: readonly OutsideNote[],
  keys: readonly VerifierKey[],
  findings: Findings,
): OutsideCheckpoint[] {
  return notes.flatMap((outside) => {
    const opened = openCheckpoint(outside.note, keys)
    if (!('fault' in opened)) return [{ ...outside, opened }]
    const detail = `a checkpoint in ${outside.from} can't be held against this database: ${opened.fault}`
    findings.add({ verdict: 'integrity', kind: 'checkpoint', detail })
    return []
  })
}

/** The sizes that a log's checkpoints elsewhere are of. */
export function outsideSizes(checkpoints: readonly OutsideCheckpoint[], writer: string): number[] {
  const sizes = checkpoints.filter(({ opened }) => opened.writer === writer).map(({ opened }) => opened.size)
  return [...new Set(sizes)].sort((one, other) => one - other)
}

/**
 * Holds a checkpoint that was kept elsewhere against the log as it is.
 * @param isStored whether the database has this very checkpoint.
 */
export function checkOutside(
  { opened, from }: OutsideCheckpoint,
  log: CheckedLog | undefined,
  isStored: boolean,
  findings: Findings,
): void {
  const { writer, size, root } = opened
  const known = size === 0 ? EMPTY_ROOT : log?.roots.get(size)
  const where = { writer, seq: log?.size ?? 0 }
  if (log === undefined) {
    const detail = `a checkpoint in ${from} is of a log of ${size} records, of which nothing is left`
    findings.add({ verdict: 'completeness', kind: 'log_missing', detail, ...where, count: size })
  } else if (known === undefined) {
    const detail = `it had ${size} records when the checkpoint in ${from} was signed, and has ${log.size}`
    findings.add({ verdict: 'completeness', kind: 'rolled_back', detail, ...where, count: size - log.size })
  } else if (!known.equals(root)) {
    const detail = `its first ${size} records are not those of the checkpoint in ${from}`
    findings.add({ verdict: 'integrity', kind: 'tree', detail, ...where })
  } else if (!isStored) {
    const detail = `the checkpoint at ${size} records in ${from} is not in the database`
    findings.add({ verdict: 'completeness', kind: 'checkpoint_missing', detail, writer, seq: size })
  }
}
