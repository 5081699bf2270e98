import type { Problem } from '../../failure.ts'
import type { Case, Outcome } from '../../policy/cases.ts'
import type { CoverageReport } from '../../policy/coverage.ts'
import type { Why } from '../../policy/why.ts'

/** A problem of a file of cases, or of the policy that it names. */
export interface FileProblem extends Problem {
  readonly file: string
  /** Where it is, unless the file could not be read at all. */
  readonly line?: number
  readonly column?: number
}

export interface CaseReport extends Outcome {
  readonly one: Case
  /** What the decision was made from, where it is not the one that was wanted. */
  readonly why: Why | undefined
  readonly ms: number
}

/** A file has either problems, and then none of its cases was run, or cases. */
export interface FileReport {
  readonly path: string
  readonly problems: readonly FileProblem[]
  readonly cases: readonly CaseReport[]
}

export interface PolicyCoverage extends CoverageReport {
  /** The file that the policy stands in. */
  readonly file: string
  lineOf(pointer: string): number
}

export interface Report {
  readonly files: readonly FileReport[]
  readonly coverage: readonly PolicyCoverage[] | undefined
  /** When it began. */
  readonly at: Date
  readonly ms: number
  /** How each file stood that was read, or should have been. */
  readonly stamps: ReadonlyMap<string, string>
}

export interface Totals {
  readonly cases: number
  readonly passed: number
  readonly failed: number
  /** Files that could not be run. */
  readonly errors: number
}

export function totalsOf(files: readonly FileReport[]): Totals {
  const cases = files.reduce((sum, file) => sum + file.cases.length, 0)
  const passed = files.reduce((sum, file) => sum + file.cases.filter(hasPassed).length, 0)
  const errors = files.filter(({ problems }) => problems.length > 0).length
  return { cases, passed, failed: cases - passed, errors }
}

export function hasPassed({ differences }: Outcome): boolean {
  return differences.length === 0
}
