import { formatKey, type VerifierKey } from '../../audit/note.ts'
import type { Finding, Findings } from '../../audit/verify/findings.ts'
import { type Paint, printable } from '../paint.ts'
import type { Sources } from './notes.ts'

/** What a verification came to, of everything or of a part. */
export interface Verified {
  readonly findings: Findings
  readonly keys: readonly VerifierKey[]
  readonly logs: readonly { readonly writer: string; readonly sealed: number; readonly checkpoints?: number }[]
  readonly checked: number
  readonly pruned: number
  /** How many checkpoints from outside the database it was held against. */
  readonly outside: number
}

type Verdict = Finding['verdict']

export function asJson({ findings, keys, logs, checked, pruned, outside }: Verified, { files }: Sources): string {
  const of = (verdict: Verdict) => findings.shown.filter((finding) => finding.verdict === verdict).map(told)
  const [integrity, completeness] = [of('integrity'), of('completeness')]
  const [first_bad] = integrity
  return `${JSON.stringify({
    integrity: {
      ok: integrity.length === 0,
      checked,
      ...(first_bad && { first_bad, findings: integrity, count: findings.count('integrity') }),
    },
    completeness: {
      ok: completeness.length === 0,
      ...(completeness.length > 0 && { missing: completeness, count: findings.count('completeness') }),
    },
    pruned,
    logs: logs.map(({ writer, sealed }) => ({ writer, sealed })),
    outside,
    outside_files: files,
    keys: keys.map(formatKey),
  })}\n`
}

export function asText(verified: Verified, sources: Sources, paint: Paint): string {
  const { findings, logs, checked, pruned, outside } = verified
  const checkpoints = logs.reduce((sum, log) => sum + (log.checkpoints ?? 1), 0)
  const what = `${counted(checked, 'record')} in ${counted(logs.length, 'log')}, under ${counted(checkpoints, 'checkpoint')}`
  const lines = [
    `integrity     ${word(findings, 'integrity', paint)}  ${what}`,
    ...detailsOf(findings, 'integrity'),
    `completeness  ${word(findings, 'completeness', paint)}${pruned > 0 ? `  ${counted(pruned, 'record')} pruned, and signed for` : ''}`,
    ...detailsOf(findings, 'completeness'),
    `held against  ${heldAgainst(outside, sources, paint)}`,
  ]
  return `${lines.join('\n')}\n`
}

function heldAgainst(outside: number, { files, isElsewhere }: Sources, paint: Paint): string {
  if (outside === 0)
    return paint('yellow', 'no checkpoint kept elsewhere: that an older state was put back can not be told')
  const what = `${counted(outside, 'checkpoint')} of ${printable(files.join(', '))}`
  if (isElsewhere) return what
  return paint('yellow', `${what}: that an older state was put back together with the data directory can not be told`)
}

function word(findings: Findings, verdict: Verdict, paint: Paint): string {
  return findings.count(verdict) === 0 ? paint('green', 'ok    ') : paint('red', 'BROKEN')
}

function detailsOf(findings: Findings, verdict: Verdict): string[] {
  const shown = findings.shown.filter((finding) => finding.verdict === verdict)
  const more = findings.count(verdict) - shown.length
  return [...shown.map(detail), ...(more > 0 ? [`  and ${counted(more, 'finding')} more`] : [])]
}

function detail({ kind, detail, writer, seq, tenant, id }: Finding): string {
  const where = [
    ...(id === undefined ? [] : [`record ${id}`]),
    ...(tenant === undefined ? [] : [`tenant ${tenant}`]),
    ...(writer === undefined ? [] : [`log ${writer}${seq === undefined ? '' : ` at ${seq}`}`]),
  ]
  return printable(`  ${kind}: ${where.length === 0 ? '' : `${where.join(', ')}: `}${detail}`)
}

function told({ verdict: _verdict, ...finding }: Finding) {
  return finding
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`
}
