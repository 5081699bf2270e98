import { Failure } from '../failure.ts'
import { withoutSecrets } from '../telemetry/logger.ts'
import { type Io, isVerbose } from './io.ts'

/** Says on standard error what could not be done: one line, one more for each problem; a trace only when debugging. */
export function report(error: unknown, io: Io): void {
  const lines = [`verdict: ${messageOf(error)}`, ...problemLines(error)]
  if (isVerbose(io.env) && error instanceof Error) lines.push(traceOf(error))
  io.stderr.write(`${withoutSecrets(lines.join('\n'))}\n`)
}

function messageOf(error: unknown): string {
  if (error instanceof Failure) return error.message
  // Not foreseen, so all that is known is what was thrown.
  return `${error instanceof Error ? error.message : String(error)} (for the trace: LOG_LEVEL=debug)`
}

function problemLines(error: unknown): string[] {
  if (!(error instanceof Failure)) return []
  return error.problems.map(({ pointer, detail }) => (pointer === '' ? `  ${detail}` : `  ${pointer}: ${detail}`))
}

function traceOf(error: Error): string {
  const own = error.stack ?? error.message
  return error.cause instanceof Error ? `${own}\ncaused by ${traceOf(error.cause)}` : own
}
