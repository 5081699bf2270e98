import type { BundleDiff } from '../administration/bundle.ts'
import { type Paint, printable } from './paint.ts'

const SIGNS = { added: '+', changed: '~', removed: '-' } as const
const TONES = { added: 'green', changed: 'yellow', removed: 'red' } as const
const NOUNS: Readonly<Record<string, string>> = {
  settings: '',
  types: 'type ',
  policies: 'policy ',
  roles: 'role ',
  rules: 'rule ',
  entities: 'entity ',
  assignments: 'assignment ',
}
const VALUE_WIDTH = 60

/** A difference as people read it: a line for each thing, one more for each member that changes, and the sums. */
export function diffText(diff: BundleDiff, revision: string, paint: Paint): string {
  const lines: string[] = []
  for (const [section, { differences, more }] of Object.entries(diff.sections)) {
    for (const { change, name, members = [] } of differences) {
      lines.push(paint(TONES[change], `${SIGNS[change]} ${NOUNS[section] ?? ''}${printable(name)}`))
      for (const member of members) lines.push(`    ${memberText(member)}`)
    }
    if (more > 0) lines.push(`  and ${more} more of ${section}`)
  }
  return `${[...lines, summary(diff, revision)].join('\n')}\n`
}

function summary({ dry_run, added, changed, removed, unchanged }: BundleDiff, revision: string): string {
  const sums = `${added} added, ${changed} changed, ${removed} removed, ${unchanged} unchanged`
  if (added + changed + removed === 0) return `Nothing to change at revision ${revision}: ${sums}.`
  return dry_run ? `Dry run at revision ${revision}, nothing written: ${sums}.` : `Revision ${revision}: ${sums}.`
}

function memberText({
  member,
  ...sides
}: {
  member: string
  before?: unknown
  after?: unknown
  values?: string
}): string {
  if (sides.values === 'omitted') return `${member}: …`
  return `${member}: ${valueText('before' in sides, sides.before)} → ${valueText('after' in sides, sides.after)}`
}

function valueText(there: boolean, value: unknown): string {
  if (!there) return '(none)'
  const text = JSON.stringify(value)
  return printable(text.length > VALUE_WIDTH ? `${text.slice(0, VALUE_WIDTH - 1)}…` : text)
}
