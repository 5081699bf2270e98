import type {
  ConditionTrace,
  MissedRole,
  NearMiss,
  PartOutcome,
  PolicyTrace,
  RoleTrace,
  RuleParts,
  RuleTrace,
  SeenValue,
  Through,
  Trace,
} from '../policy/explanation.ts'
import type { EntityRef, ResourceSelector, SubjectSelector } from '../policy/model.ts'
import type { Io } from './io.ts'

/** How a word is coloured on a terminal; anywhere else, not at all. */
export interface Hues {
  good(text: string): string
  bad(text: string): string
  unsure(text: string): string
  strong(text: string): string
  faint(text: string): string
}

const sgr = (code: number) => (text: string) => `\u001b[${code}m${text}\u001b[0m`
const plain = (text: string) => text
const COLOURED: Hues = { good: sgr(32), bad: sgr(31), unsure: sgr(33), strong: sgr(1), faint: sgr(2) }
const PLAIN: Hues = { good: plain, bad: plain, unsure: plain, strong: plain, faint: plain }

/** Colours for whoever looks at a terminal and did not ask for none (no-color.org). */
export function huesFor({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Hues {
  return stdout.isTTY === true && !env['NO_COLOR'] ? COLOURED : PLAIN
}

interface Branch {
  readonly label: string
  readonly below: readonly Branch[]
}

/** An explanation as a tree. */
export function traceText(trace: Trace, hue: Hues): string {
  const section = (title: string, branches: readonly Branch[]) =>
    branches.length === 0 ? [] : ['', hue.strong(title), ...lines(branches, '')]
  const all = [
    ...section(
      'roles',
      trace.roles.map((one) => roleBranch(one, hue)),
    ),
    ...section(
      'roles that do not count here',
      trace.roles_missed.map((one) => missedBranch(one, hue)),
    ),
    ...section(
      'rules about this',
      trace.rules.map((one) => ruleBranch(one, hue)),
    ),
    ...section(
      'policies',
      trace.policies.map((one) => policyBranch(one, hue)),
    ),
    ...section(
      'what would have allowed it',
      trace.nearest_misses.map((one) => missBranch(one, hue)),
    ),
    ...(trace.complete ? [] : ['', hue.faint('(there is more: this was cut short)')]),
  ]
  return all.map((line) => `${line}\n`).join('')
}

function lines(branches: readonly Branch[], indent: string): string[] {
  return branches.flatMap(({ label, below }, at) => {
    const isLast = at === branches.length - 1
    return [`${indent}${isLast ? '└─' : '├─'} ${label}`, ...lines(below, `${indent}${isLast ? '   ' : '│  '}`)]
  })
}

const leaf = (label: string): Branch => ({ label, below: [] })

function roleBranch({ role, erred, through }: RoleTrace, hue: Hues): Branch {
  const label = erred ? `${hue.unsure(role)}  in error: held for denies alone` : hue.good(role)
  return { label, below: through.map((way) => wayBranch(way, hue)) }
}

const BECAUSE: Record<MissedRole['because'], string> = {
  not_yet: 'not valid yet',
  expired: 'expired',
  elsewhere: 'given elsewhere',
  condition: 'its condition fails',
}

function missedBranch({ role, because, through }: MissedRole, hue: Hues): Branch {
  return { label: `${hue.bad(role)}  ${BECAUSE[because]}`, below: [wayBranch(through, hue)] }
}

function wayBranch(way: Through, hue: Hues): Branch {
  if (way.inherited_from !== undefined) return leaf(`inherited from ${way.inherited_from}`)
  if (way.derived_from === undefined) return leaf(assignmentText(way))
  const below = way.condition === undefined ? [] : [conditionBranch(way.condition, hue)]
  return { label: `derived from ${way.derived_from}`, below }
}

function assignmentText({ assignment, subject, path = [], within, valid_from, valid_until }: Through): string {
  const parts = [
    `assigned to ${subject === undefined ? '?' : refText(subject)} (${printable(assignment ?? '')})`,
    path.length > 1 ? `by way of ${path.map(refText).join(' → ')}` : '',
    within === undefined ? '' : `within ${refText(within)}`,
    valid_from === undefined ? '' : `from ${valid_from}`,
    valid_until === undefined ? '' : `until ${valid_until}`,
  ]
  return parts.filter((part) => part !== '').join(', ')
}

function ruleBranch(rule: RuleTrace, hue: Hues): Branch {
  const said = rule.applies ? hue.good('applies') : hue.bad('does not apply')
  return {
    label: `${titleOf(rule, hue)}  ${said}${rule.erred ? hue.unsure(', in error') : ''}`,
    below: partsOf(rule, hue),
  }
}

function missBranch(miss: NearMiss, hue: Hues): Branch {
  return { label: `${titleOf(miss, hue)}  but for its ${hue.bad(miss.failed)}`, below: partsOf(miss, hue) }
}

function titleOf({ rule, effect, permission, quarantined }: RuleTrace | NearMiss, hue: Hues): string {
  const place = permission === undefined ? '' : ` (permission ${permission})`
  return `${effect} ${hue.strong(rule)}${place}${quarantined === true ? hue.unsure(' quarantined') : ''}`
}

function partsOf({ parts }: RuleTrace | NearMiss, hue: Hues): Branch[] {
  const { target, subject, action, resource, validity, condition } = parts
  return [
    ...(target.outcome === 'holds' ? [] : [leaf(`${mark(target.outcome, hue)} target     of its policy`)]),
    leaf(`${mark(subject.outcome, hue)} subject    ${alternatives(subject, subjectText)}`),
    leaf(`${mark(action.outcome, hue)} action     ${alternatives(action, printable)}`),
    leaf(`${mark(resource.outcome, hue)} resource   ${alternatives(resource, resourceText)}`),
    ...validityBranch(validity, hue),
    ...(condition === undefined ? [] : [conditionBranch(condition, hue)]),
  ]
}

function mark(outcome: PartOutcome, hue: Hues): string {
  if (outcome === 'errs') return hue.unsure('!')
  return outcome === 'holds' ? hue.good('✓') : hue.bad('✗')
}

function alternatives<T>({ by, of = [] }: { by?: T; of?: readonly T[] }, text: (one: T) => string): string {
  return by === undefined ? of.map(text).join(' or ') : text(by)
}

function validityBranch({ outcome, valid_from, valid_until }: RuleParts['validity'], hue: Hues): Branch[] {
  if (valid_from === undefined && valid_until === undefined) return []
  const window = [valid_from && `from ${valid_from}`, valid_until && `until ${valid_until}`].filter(Boolean).join(' ')
  return [leaf(`${mark(outcome, hue)} validity   ${window}`)]
}

function conditionBranch({ outcome, text, values, error }: ConditionTrace, hue: Hues): Branch {
  return {
    label: `${mark(outcome, hue)} condition  ${printable(text.replace(/\s+/g, ' '))}`,
    below: [...values.map((value) => leaf(valueText(value, hue))), ...errorBranch(error, hue)],
  }
}

function errorBranch(error: ConditionTrace['error'], hue: Hues): Branch[] {
  if (error === undefined) return []
  const where = error.line === undefined ? '' : ` (line ${error.line}, column ${error.column})`
  return [leaf(hue.unsure(`${printable(error.detail)}${where}`))]
}

function valueText(seen: SeenValue, hue: Hues): string {
  const { path, value, unknown, hidden, shortened } = seen
  if (hidden === true) return `${printable(path)} ${hue.faint('is hidden')}`
  if (unknown === true) return `${printable(path)} ${hue.unsure('cannot be told')}`
  if (!('value' in seen)) return `${printable(path)} ${hue.faint('is absent')}`
  const text = shortened === true ? `${String(value)}…` : JSON.stringify(value)
  return `${printable(path)} = ${printable(text)}`
}

function policyBranch({ policy, combining, required, target, verdict, erred, rules }: PolicyTrace, hue: Hues): Branch {
  const said = { allow: hue.good('allow'), deny: hue.bad('deny'), none: hue.faint('nothing') }[verdict ?? 'none']
  const notes = [combining, required ? 'required' : '', target ? '' : 'not asked: its target does not match']
  const by = erred ? hue.unsure('  because a condition erred') : ''
  const label = `${policy} (${notes.filter((note) => note !== '').join(', ')}) comes to ${said}${by}`
  return { label, below: rules.map((rule) => leaf(`by ${rule}`)) }
}

function subjectText(selector: SubjectSelector): string {
  if ('any' in selector) return 'anybody'
  return 'role' in selector ? `role ${printable(selector.role)}` : refText(selector)
}

function resourceText({ type, id, within }: ResourceSelector): string {
  return (
    printable(`${type}${id === undefined ? '' : ` ${id}`}`) + (within === undefined ? '' : ` within ${refText(within)}`)
  )
}

function refText({ type, id }: EntityRef): string {
  return printable(`${type} ${id}`)
}

/** Nothing that a policy or a request holds may steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
