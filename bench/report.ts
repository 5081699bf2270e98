import { readFileSync, writeFileSync } from 'node:fs'
import { kept, type Result, ROOT } from './results.ts'
import type { Row, Section } from './section.ts'

const DOCUMENT = new URL('docs/benchmarks.md', ROOT)

const HEAD = `# Benchmarks

Generated from measurements: \`npm run bench -- report\` writes it from what the benches left in \`build/results\`. Change
what is said here where it is said: in \`bench/\`.

Nothing is timed before the answers are known to be right. Figures of two things that are compared come from the same
run on the same machine, and are ratios; they carry over to another machine better than the times do.
`

/** Writes `docs/benchmarks.md` from the last run of each bench. */
export async function run(): Promise<void> {
  const results = kept()
  if (results.length === 0) throw new Error('there is nothing to report: run a bench first')
  const text = [HEAD, ...results.map(chapter)].join('\n')
  writeFileSync(DOCUMENT, text)
  console.error(`docs/benchmarks.md: ${results.map(({ bench }) => bench).join(', ')}`)
  for (const { bench, commit } of results.filter((one) => one.commit !== results[0]?.commit))
    console.error(`${bench} was measured at another commit: ${commit}`)
  if (readFileSync(DOCUMENT, 'utf8') !== text) throw new Error('docs/benchmarks.md could not be written')
}

function chapter({ bench, command, at, commit, node, machine, load, seconds, sections }: Result): string {
  const facts = [
    `\`${command}\` (${seconds} s)`,
    machine,
    `Node ${node}`,
    `load ${load[0]} before, ${load[1]} after`,
    `commit ${commit}`,
    at.slice(0, 16).replace('T', ' '),
  ]
  const busy = load[0] > QUIET ? [BUSY] : []
  return [`## ${bench}\n`, `${facts.join(' · ')}\n`, ...busy, ...sections.map(sectionText)].join('\n')
}

// What has just been built or measured is in the average of the last minute too.
const QUIET = 1
const BUSY = '**The machine was busy with other things: times are too long, those of long calls most of all.**\n'

function sectionText({ title, method, rows, notes = [] }: Section): string {
  const list = notes.map((note) => `- ${note}\n`).join('')
  return [`### ${title}\n`, `${method}\n`, table(rows), ...(list === '' ? [] : [list])].join('\n')
}

function table(rows: readonly Row[]): string {
  const [first] = rows
  if (first === undefined) return 'Nothing was measured.\n'
  const columns = Object.keys(first)
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  const marks = columns.map((column) => (typeof first[column] === 'number' ? '---:' : '---'))
  const body = rows.map((row) => line(columns.map((column) => cell(row[column]))))
  return [line(columns.map((column) => column.replaceAll('_', ' '))), line(marks), ...body].join('')
}

function cell(value: Row[string] | undefined): string {
  if (typeof value === 'number') return value.toLocaleString('en', { maximumSignificantDigits: value < 1000 ? 3 : 21 })
  return String(value ?? '').replaceAll('|', '\\|')
}
