import type { Difference } from '../../policy/cases.ts'
import type { Covered, CoveredRole, Missing } from '../../policy/coverage.ts'
import type { AccessRequest } from '../../policy/model.ts'
import { type Paint, printable, type Tone } from '../paint.ts'
import { explanation } from './explanation.ts'
import {
  type CaseReport,
  type FileProblem,
  type FileReport,
  hasPassed,
  type PolicyCoverage,
  type Report,
  totalsOf,
} from './report.ts'

// Nobody reads more on a screen; the JUnit file and --json have all of them.
const MOST = 100

/** The report for people. */
export function asText(report: Report, paint: Paint): string {
  const { files, coverage = [] } = report
  let shown = 0
  const lines: string[] = []
  for (const file of files) {
    lines.push(fileLine(file, paint))
    for (const problem of file.problems) lines.push(`  ${printable(problemLine(problem))}`)
    for (const failed of file.cases.filter((one) => !hasPassed(one))) {
      if (++shown <= MOST) lines.push('', ...failure(file.path, failed, paint), '')
    }
  }
  if (shown > MOST) lines.push(`… and ${shown - MOST} more that failed; --json and --junit have them all`, '')
  for (const policy of coverage) lines.push('', ...coverageLines(policy, paint))
  const all = [...lines, '', summary(report, paint)]
  return `${all.filter((line, at) => line !== '' || all[at - 1] !== '').join('\n')}\n`
}

function fileLine(file: FileReport, paint: Paint): string {
  const { cases, failed, errors } = totalsOf([file])
  const path = printable(file.path)
  if (errors > 0) return `${paint('red', 'ERROR')} ${path}  was not run`
  if (cases === 0) return `${paint('yellow', 'none')}  ${path}  ${paint('dim', 'no case matches')}`
  const count = cases === 1 ? '1 case' : `${cases} cases`
  return failed === 0
    ? `${paint('green', 'ok')}    ${path}  ${paint('dim', count)}`
    : `${paint('red', 'FAIL')}  ${path}  ${paint('dim', `${count}, ${failed} failed`)}`
}

export function problemLine({ file, line, column, pointer, detail }: FileProblem): string {
  const where = line === undefined ? file : `${file}:${line}:${column}`
  return `${where}: ${pointer === '' ? '' : `${pointer}: `}${detail}`
}

function failure(path: string, report: CaseReport, paint: Paint): string[] {
  const { name, line } = report.one
  const title = `  ${paint('bold', printable(name))}  ${paint('dim', printable(`${path}:${line}`))}`
  const body = linesOf(report).map(({ label, text, tone }) => {
    const shown = printable(text)
    return `    ${paint('dim', label.padEnd(WIDTH))}${tone === undefined ? shown : paint(tone, shown)}`
  })
  return [title, ...body]
}

/** The same without colours, for a report in a file. */
export function caseLines(report: CaseReport): string[] {
  return linesOf(report).map(({ label, text }) => label.padEnd(WIDTH) + text)
}

interface Line {
  readonly label: string
  readonly text: string
  readonly tone?: Tone
}

const WIDTH = 13

function linesOf({ one, differences, why }: CaseReport): Line[] {
  const { request, now } = one
  return [
    ...under('asked', [question(request), ...attributes(request), `as of ${now}`]),
    ...differences.flatMap(compared),
    ...under('why', why === undefined ? [] : explanation(why)),
  ]
}

function under(label: string, texts: readonly string[]): Line[] {
  return texts.map((text, place) => ({ label: place === 0 ? label : '', text }))
}

function question({ subject, action, resource }: AccessRequest): string {
  return `${subject.type} ${subject.id}, ${action.name}, ${resource.type} ${resource.id}`
}

function attributes({ subject, action, resource, context }: AccessRequest): string[] {
  const given = {
    'subject.properties': subject.properties,
    'action.properties': action.properties,
    'resource.properties': resource.properties,
    context,
  }
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${cut(value)}`]))
}

const LONGEST = 300

function cut(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

function compared({ member, wanted, got }: Difference): Line[] {
  return [
    ...under(
      member,
      shown(wanted).map((text) => `wanted ${text}`),
    ).map((line) => ({ ...line, tone: 'green' as const })),
    ...shown(got).map((text) => ({ label: '', text: `got    ${text}`, tone: 'red' as const })),
  ]
}

function shown(value: unknown): string[] {
  if (!Array.isArray(value)) return [String(value)]
  if (value.length === 0) return ['none']
  return value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)))
}

function summary({ files, ms }: Report, paint: Paint): string {
  const { cases, passed, failed, errors } = totalsOf(files)
  const parts = [
    paint(cases > 0 && failed + errors === 0 ? 'green' : 'bold', `${passed} of ${counted(cases, 'case')} passed`),
    ...(failed > 0 ? [paint('red', `${failed} failed`)] : []),
    ...(errors > 0 ? [paint('red', `${counted(errors, 'file')} not run`)] : []),
  ]
  return `${parts.join(', ')}  ${paint('dim', `(${counted(files.length, 'file')}, ${time(ms)})`)}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function time(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

const MISSING: Readonly<Record<Missing, string>> = {
  decided: 'no case was decided by it',
  allow: 'no case about it came to allow',
  deny: 'no case about it came to deny',
  condition_holds: 'its condition was never met',
  condition_fails: 'its condition never failed',
}
const MISSING_OF_ROLE = { held: 'nobody in a case held it', decided: 'no case was decided by it' } as const

function coverageLines(policy: PolicyCoverage, paint: Paint): string[] {
  const { file, rules, permissions, roles } = policy
  const at = (pointer: string) => paint('dim', printable(`${file}:${policy.lineOf(pointer)}`))
  return [
    paint('bold', `Coverage of ${printable(file)}`),
    `  ${counts([
      ['rules', rules],
      ['permissions', permissions],
      ['roles', roles],
    ])}`,
    ...[...rules, ...permissions].flatMap((part) => gap(part, at, paint)),
    ...roles.flatMap((role) => roleGap(role, at, paint)),
  ]
}

function counts(parts: readonly (readonly [string, readonly { readonly decided: number }[]])[]): string {
  const told = parts.map(([noun, all]) => `${noun} ${all.filter(({ decided }) => decided > 0).length} of ${all.length}`)
  return `decided by: ${told.join(', ')}`
}

type At = (pointer: string) => string

function gap({ pointer, rule, permission, effect, missing }: Covered, at: At, paint: Paint): string[] {
  if (missing.length === 0) return []
  const name = permission === null ? `${rule} (${effect})` : `${rule}, permission ${permission}`
  return [`  ${paint('yellow', name)}  ${at(pointer)}`, ...missing.map((branch) => `      ${MISSING[branch]}`)]
}

function roleGap({ pointer, role, missing }: CoveredRole, at: At, paint: Paint): string[] {
  const [worst] = missing
  if (worst === undefined) return []
  return [`  ${paint('yellow', `role ${role}`)}  ${at(pointer)}`, `      ${MISSING_OF_ROLE[worst]}`]
}
