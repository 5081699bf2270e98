import { setImmediate as turn } from 'node:timers/promises'
import { type Case, parseCases, runCase } from '../../policy/cases.ts'
import { why } from '../../policy/why.ts'
import { whyUnread } from './find.ts'
import { Policies, type TestedPolicy } from './policies.ts'
import { Reading } from './reading.ts'
import { type CaseReport, type FileReport, hasPassed, type Report } from './report.ts'

export interface RunOptions {
  /** The policy to ask, instead of the one that each file names. */
  readonly policy?: string
  readonly coverage?: boolean
  /** Only cases with this in their name, in capitals or not. */
  readonly filter?: string
}

// In between, a signal is heard and progress is shown.
const SLICE_MS = 50

/** Asks all cases of these files. `onProgress` is told now and then how many were asked. */
export async function runCases(
  files: readonly string[],
  { policy, coverage = false, filter = '' }: RunOptions,
  onProgress: (asked: number) => void,
): Promise<Report> {
  const at = new Date()
  const began = performance.now()
  const reading = new Reading()
  const policies = new Policies(reading, policy, coverage)
  const reports: FileReport[] = []
  const pace = paced(onProgress)
  for (const path of files) {
    const read = await readCases(path, reading, policies)
    if ('problems' in read) reports.push({ path, problems: read.problems, cases: [] })
    else {
      const wanted = read.cases.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()))
      reports.push({ path, problems: [], cases: await askAll(wanted, read.tested, pace) })
    }
  }
  const ms = performance.now() - began
  return { files: reports, coverage: policies.coverage(), at, ms, stamps: reading.stamps }
}

async function readCases(path: string, reading: Reading, policies: Policies) {
  let text: string
  try {
    text = await reading.text(path)
  } catch (error) {
    return { problems: [{ file: path, pointer: '', detail: whyUnread(error) }] }
  }
  const file = parseCases(text)
  if ('problems' in file) return { problems: file.problems.map((problem) => ({ file: path, ...problem })) }
  const tested = await policies.of(path, file)
  return 'problems' in tested ? tested : { cases: file.cases, tested }
}

async function askAll(cases: readonly Case[], tested: TestedPolicy, pace: () => Promise<void>): Promise<CaseReport[]> {
  const reports: CaseReport[] = []
  for (const one of cases) {
    reports.push(ask(one, tested))
    await pace()
  }
  return reports
}

function ask(one: Case, { loaded, coverage }: TestedPolicy): CaseReport {
  const began = performance.now()
  const outcome = runCase(loaded, one)
  const ms = performance.now() - began
  const now = Date.parse(one.now)
  coverage?.add(one.request, now, outcome.decision)
  return { one, ...outcome, ms, why: hasPassed(outcome) ? undefined : why(loaded, one.request, now) }
}

/** To be awaited after each case: tells how many there were, and lets others have a turn, once a slice is over. */
export function paced(onProgress: (asked: number) => void, slice = SLICE_MS): () => Promise<void> {
  let asked = 0
  let last = performance.now()
  return async () => {
    asked++
    if (performance.now() - last < slice) return
    onProgress(asked)
    await turn()
    last = performance.now()
  }
}
