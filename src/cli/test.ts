import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../failure.ts'
import { EXIT, type Io } from './io.ts'
import { paintFor } from './paint.ts'
import { report } from './report.ts'
import { findCaseFiles, messageOf } from './test/find.ts'
import { asJson } from './test/json.ts'
import { junitXml } from './test/junit.ts'
import { progressOn } from './test/progress.ts'
import { type Report, totalsOf } from './test/report.ts'
import { type RunOptions, runCases } from './test/run.ts'
import { asText } from './test/text.ts'
import { rerun, type Stamps } from './test/watch.ts'

export interface TestOptions extends RunOptions {
  readonly junit?: string
  readonly json?: boolean
  readonly watch?: boolean
}

/** Asks policies the questions of cases, once or after each change. The status is that of the last run. */
export async function testPolicies(paths: readonly string[], options: TestOptions, io: Io): Promise<number> {
  if (options.watch !== true) return statusOf(await runOnce(paths, options, io))
  // A path that is not there now is a slip of the pen; one that goes away later is said, and waited for.
  await findCaseFiles(paths)
  const stopped = stopSignal()
  let status: number = EXIT.error
  const isWatched = io.stdout.isTTY === true && options.json !== true
  const work = async (): Promise<Stamps | undefined> => {
    if (isWatched) io.stdout.write(CLEAR)
    const ran = await runOnce(paths, options, io).catch((error: unknown) => {
      report(error, io)
      return undefined
    })
    status = ran === undefined ? EXIT.error : statusOf(ran)
    if (isWatched) io.stdout.write('Waiting for changes (Ctrl-C stops it)\n')
    return ran?.stamps
  }
  await rerun(work, () => findCaseFiles(paths), stopped)
  return status
}

// The screen, and not what was scrolled off it.
const CLEAR = '\u001b[2J\u001b[H'

async function runOnce(paths: readonly string[], options: TestOptions, io: Io): Promise<Report> {
  const files = await findCaseFiles(paths)
  if (files.length === 0) throw nothing(`no file of cases in ${paths.join(', ')}`)
  const progress = progressOn(io.stderr)
  const ran = await runCases(files, options, progress.show)
  progress.clear()
  const { cases, errors } = totalsOf(ran.files)
  if (options.junit !== undefined) await write(options.junit, junitXml(ran))
  io.stdout.write(options.json === true ? asJson(ran) : asText(ran, paintFor(io, io.stdout)))
  if (cases + errors === 0) throw nothing(`no case has ${JSON.stringify(options.filter)} in its name`)
  return ran
}

/** What tests nothing is no success. */
function nothing(what: string): Failure {
  return new Failure('invalid_request', `nothing was tested: ${what}`)
}

async function write(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  } catch (cause) {
    throw new Failure('invalid_request', `could not write ${file}: ${messageOf(cause)}`, { cause })
  }
}

function statusOf({ files }: Report): number {
  const { failed, errors } = totalsOf(files)
  return failed + errors === 0 ? EXIT.ok : EXIT.error
}

function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  return stop.signal
}
