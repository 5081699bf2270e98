import { readFile } from 'node:fs/promises'
import { Failure, type Problem } from '../failure.ts'
import { parseBundleText } from '../http/bundle-reader.ts'
import { builtInPolicy, holdingBuiltIn, isAboutVerdict } from '../policy/built-in.ts'
import { CLEAR } from '../policy/condition-trace.ts'
import { decide } from '../policy/decide.ts'
import { explain } from '../policy/explain.ts'
import type { Trace } from '../policy/explanation.ts'
import { factsFor, loadBundle } from '../policy/in-memory.ts'
import { judgeRequest } from '../policy/judgement.ts'
import type { Decision } from '../policy/model.ts'
import { parseRequest } from '../policy/parse.ts'
import { instantOf } from './instant.ts'
import { EXIT, type Io } from './io.ts'
import { readPolicy } from './policy.ts'
import { huesFor, traceText } from './trace-text.ts'

export interface CheckOptions {
  readonly policy: string
  readonly now?: string
  readonly json?: boolean
  readonly explain?: boolean
}

/** Decides one request against a bundle, with the same core as the service and nothing else of it. */
export async function check(request: string, options: CheckOptions, io: Io): Promise<number> {
  const now = options.now === undefined ? Date.now() : instantOf('--now', options.now)
  const policy = await readPolicy(await documentIn(options.policy, io))
  if ('problems' in policy) throw refused('policy', options.policy, policy.problems)
  const asked = parseRequest(await documentIn(request, io))
  if ('problems' in asked) throw refused('request', request, asked.problems)
  const { index, lookup } = loadBundle(policy.bundle)
  const facts = factsFor(lookup, asked.request)
  const { problems, warnings } = judgeRequest(index, facts, asked.request)
  if (problems.length > 0) throw refused('request', request, problems)
  // As in the service: about Verdict itself its own policy decides, in which a bundle gives nobody anything.
  const about = isAboutVerdict(asked.request)
  const deciding = about ? builtInPolicy() : index
  const known = about ? holdingBuiltIn(facts, []) : facts
  if (options.explain === true) {
    const { decision, trace } = explain(deciding, known, asked.request, now, lookup, CLEAR)
    const text = () => asText(decision, warnings) + traceText(trace, huesFor(io))
    io.stdout.write(options.json === true ? asJson(decision, warnings, trace) : text())
    return exitOf(decision)
  }
  const decision = decide(deciding, known, asked.request, now)
  io.stdout.write(options.json === true ? asJson(decision, warnings) : asText(decision, warnings))
  return exitOf(decision)
}

function exitOf({ decision }: Decision): number {
  return decision ? EXIT.ok : EXIT.deny
}

function refused(what: string, path: string, problems: readonly Problem[]): Failure {
  return new Failure('invalid_request', `${nameOf(path)} is no valid ${what}`, { problems })
}

/** Read as strictly as the service reads what it is sent. JSON is YAML. */
async function documentIn(path: string, io: Io): Promise<unknown> {
  try {
    return parseBundleText(await bytesIn(path, io), path.endsWith('.json') ? 'json' : 'yaml')
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    const problems = error instanceof Failure ? error.problems : []
    throw new Failure('invalid_request', `could not read ${nameOf(path)}: ${said}`, { cause: error, problems })
  }
}

async function bytesIn(path: string, io: Io): Promise<Buffer> {
  if (path !== '-') return readFile(path)
  const chunks: Buffer[] = []
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

const nameOf = (path: string) => (path === '-' ? 'standard input' : path)

function asJson({ decision, ...made }: Decision, warnings: readonly Problem[], trace?: Trace): string {
  const context = warnings.length === 0 ? made : { ...made, warnings }
  return `${JSON.stringify({ decision, context, trace })}\n`
}

function asText({ decision, reason, rules, obligations }: Decision, warnings: readonly Problem[]): string {
  const lines = [`${decision ? 'allow' : 'deny '}  ${reason}`, ...rules.map((rule) => `rule   ${rule}`)]
  for (const { id, type, properties = {} } of obligations)
    lines.push(`do     ${type} (${id}) ${JSON.stringify(properties)}`)
  for (const { pointer, detail } of warnings) lines.push(`warn   ${pointer} ${detail}`)
  return `${lines.join('\n')}\n`
}
