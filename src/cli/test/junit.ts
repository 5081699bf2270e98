import { type CaseReport, type FileReport, hasPassed, type Report, totalsOf } from './report.ts'
import { caseLines, problemLine } from './text.ts'

/**
 * JUnit's XML, in the common part of its dialects: Jenkins tells cases apart by class and name, GitLab reads the text of
 * a failure and CircleCI its message, so that both say it all; `file` and `line` lead GitLab and GitHub's reporters to the case.
 */
export function junitXml({ files, at, ms }: Report): string {
  const { cases, failed, errors } = totalsOf(files)
  const attributes = { name: 'verdict test', tests: cases + errors, failures: failed, errors, time: seconds(ms) }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${listed(attributes)}>`,
    ...files.map((file) => suite(file, at)),
    '</testsuites>',
    '',
  ].join('\n')
}

function suite(file: FileReport, at: Date): string {
  const { cases, failed, errors } = totalsOf([file])
  const attributes = {
    name: file.path,
    tests: cases + errors,
    failures: failed,
    errors,
    skipped: 0,
    time: seconds(file.cases.reduce((sum, one) => sum + one.ms, 0)),
    // Without a fraction and a zone: Ant's form, which some readers insist on.
    timestamp: at.toISOString().slice(0, 19),
  }
  const inside = errors > 0 ? [unreadable(file)] : file.cases.map((one) => testcase(file.path, one))
  return [`  <testsuite${listed(attributes)}>`, ...inside, '  </testsuite>'].join('\n')
}

function testcase(file: string, report: CaseReport): string {
  const { name, line } = report.one
  const open = `    <testcase${listed({ name, classname: file, file, line, time: seconds(report.ms) })}`
  if (hasPassed(report)) return `${open}/>`
  return `${open}>\n${complaint('failure', 'wrong decision', caseLines(report))}\n    </testcase>`
}

function unreadable({ path, problems }: FileReport): string {
  const line = problems[0]?.file === path ? (problems[0].line ?? 1) : 1
  const open = `    <testcase${listed({ name: 'can be run', classname: path, file: path, line, time: seconds(0) })}>`
  return `${open}\n${complaint('error', 'malformed', problems.map(problemLine))}\n    </testcase>`
}

function complaint(kind: 'failure' | 'error', type: string, lines: readonly string[]): string {
  const text = lines.join('\n')
  return `      <${kind}${listed({ type, message: text })}>${escaped(text)}</${kind}>`
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6)
}

function listed(attributes: Readonly<Record<string, string | number>>): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${quoted(String(value))}"`)
    .join('')
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

// What XML 1.0 can't say, not even as a reference: most control characters, half of a surrogate pair, two non-characters.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNSAYABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu

function escaped(text: string): string {
  return text.replace(UNSAYABLE, '\ufffd').replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character)
}

/** In an attribute, white space would become a space. */
function quoted(text: string): string {
  return escaped(text).replace(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`)
}
