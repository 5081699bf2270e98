import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { Failure, type Problem } from '../failure.ts'
import { CLEAR } from '../policy/condition-trace.ts'
import { decide } from '../policy/decide.ts'
import { explain } from '../policy/explain.ts'
import type { Trace } from '../policy/explanation.ts'
import { factsFor, loadBundle } from '../policy/in-memory.ts'
import type { Decision } from '../policy/model.ts'
import { parseBundle, parseRequest } from '../policy/parse.ts'
import { EXIT, type Io } from './io.ts'
import { huesFor, traceText } from './trace-text.ts'

export interface CheckOptions {
  readonly policy: string
  readonly now?: string
  readonly json?: boolean
  readonly explain?: boolean
}

/** Decides one request against a bundle, with the same core as the service and nothing else of it. */
export async function check(request: string, options: CheckOptions, io: Io): Promise<number> {
  const now = instant(options.now)
  const policy = parseBundle(await documentIn(options.policy, io))
  if ('problems' in policy) throw refused('policy', options.policy, policy.problems)
  const asked = parseRequest(await documentIn(request, io))
  if ('problems' in asked) throw refused('request', request, asked.problems)
  const { index, lookup } = loadBundle(policy.bundle)
  const facts = factsFor(lookup, asked.request)
  if (options.explain === true) {
    const { decision, trace } = explain(index, facts, asked.request, now, lookup, CLEAR)
    const hue = huesFor(io)
    io.stdout.write(options.json === true ? asJson(decision, trace) : asText(decision) + traceText(trace, hue))
    return exitOf(decision)
  }
  const decision = decide(index, facts, asked.request, now)
  io.stdout.write(options.json === true ? asJson(decision) : asText(decision))
  return exitOf(decision)
}

function exitOf({ decision }: Decision): number {
  return decision ? EXIT.ok : EXIT.deny
}

function refused(what: string, path: string, problems: readonly Problem[]): Failure {
  return new Failure('invalid_request', `${nameOf(path)} is no valid ${what}`, { problems })
}

async function documentIn(path: string, io: Io): Promise<unknown> {
  try {
    // JSON is YAML. A document that repeats a member is refused: readers differ on which one counts.
    return parse(await textIn(path, io))
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new Failure('invalid_request', `could not read ${nameOf(path)}: ${said}`, { cause: error })
  }
}

async function textIn(path: string, io: Io): Promise<string> {
  if (path !== '-') return readFile(path, 'utf8')
  const chunks: Buffer[] = []
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

const nameOf = (path: string) => (path === '-' ? 'standard input' : path)

function instant(text: string | undefined): number {
  if (text === undefined) return Date.now()
  const now = /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/i.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(now))
    throw new Failure('invalid_request', `--now takes an instant such as 2030-01-31T08:00:00Z, not ${text}`)
  return now
}

function asJson({ decision, ...context }: Decision, trace?: Trace): string {
  return `${JSON.stringify({ decision, context, trace })}\n`
}

function asText({ decision, reason, rules, obligations }: Decision): string {
  const lines = [`${decision ? 'allow' : 'deny '}  ${reason}`, ...rules.map((rule) => `rule   ${rule}`)]
  for (const { id, type, properties = {} } of obligations)
    lines.push(`do     ${type} (${id}) ${JSON.stringify(properties)}`)
  return `${lines.join('\n')}\n`
}
