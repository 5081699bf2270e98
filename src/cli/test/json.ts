import { type CaseReport, type FileReport, hasPassed, type PolicyCoverage, type Report, totalsOf } from './report.ts'

/** The report as one line of JSON, so that the runs of a watch are one line each. */
export function asJson({ files, coverage, ms }: Report): string {
  const document = {
    ...totalsOf(files),
    duration_ms: rounded(ms),
    files: files.map(fileOf),
    ...(coverage && { coverage: coverage.map(coverageOf) }),
  }
  return `${JSON.stringify(document)}\n`
}

function fileOf({ path, problems, cases }: FileReport) {
  return { file: path, problems, cases: cases.map(caseOf) }
}

function caseOf(report: CaseReport) {
  const { one, ms, differences, decision, why } = report
  const identity = { name: one.name, line: one.line, passed: hasPassed(report), duration_ms: rounded(ms) }
  return differences.length === 0 ? identity : { ...identity, differences, decision, why }
}

function coverageOf({ file, lineOf, rules, permissions, roles }: PolicyCoverage) {
  const located = <T extends { readonly pointer: string }>(parts: readonly T[]) =>
    parts.map((part) => ({ ...part, line: lineOf(part.pointer) }))
  return { policy: file, rules: located(rules), permissions: located(permissions), roles: located(roles) }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
