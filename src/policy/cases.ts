import { isDeepStrictEqual } from 'node:util'
import Type, { type Static } from 'typebox'
import type { Problem } from '../failure.ts'
import { isBuiltIn } from './built-in.ts'
import { decide } from './decide.ts'
import { factsFor, type LoadedBundle } from './in-memory.ts'
import { LocatedDocument, type LocatedProblem, type Position, readLocated } from './located.ts'
import {
  AccessRequest,
  type Bundle,
  type Decision,
  IDENTIFIER_PATTERN,
  Instant,
  Obligation,
  Properties,
  Reason,
} from './model.ts'
import { parseBundle } from './parse.ts'
import { schemaCheck } from './validate.ts'

/**
 * Decisions as data: a policy, inline or by its path from the file, and questions with what is wanted of the answer.
 * What `want` does not name is not looked at. Nothing here is open, the request included: a member that nobody knows
 * would make a case ask something else than its author thinks.
 */

const closed = { additionalProperties: false } as const

const { subject, action, resource, context } = AccessRequest.properties
const Asked = Type.Object(
  {
    subject: Type.Object(subject.properties, closed),
    action: Type.Object(action.properties, closed),
    resource: Type.Object(resource.properties, closed),
    context,
  },
  closed,
)

const Want = Type.Object(
  {
    decision: Type.Boolean(),
    reason: Type.Optional(Reason),
    rules: Type.Optional(Type.Array(Type.String())),
    obligations: Type.Optional(Type.Array(Obligation)),
  },
  closed,
)
export type Want = Readonly<Static<typeof Want>>

const Case = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 512, pattern: IDENTIFIER_PATTERN }),
    request: Asked,
    now: Type.Optional(Instant),
    want: Want,
  },
  closed,
)

const CaseFile = Type.Object(
  { policy: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Properties])), cases: Type.Array(Case) },
  closed,
)

/** When a case is decided that does not say: always the same, so that what passes today passes tomorrow. */
export const DEFAULT_NOW = '2030-01-01T00:00:00Z'

export interface Case extends Position {
  readonly name: string
  readonly request: AccessRequest
  /** An instant. */
  readonly now: string
  readonly want: Want
}

export interface CaseFile {
  /** A path from the file, the policy itself, or none. */
  readonly policy: string | Bundle | undefined
  readonly cases: readonly Case[]
  readonly document: LocatedDocument
}

const checkSchema = schemaCheck(CaseFile)

/** Everything that is wrong with a file of cases at once; a file with a problem has no cases. */
export function parseCases(text: string): CaseFile | { readonly problems: readonly LocatedProblem[] } {
  const document = readLocated(text)
  if (!(document instanceof LocatedDocument)) return document
  const problems = problemsOf(document.value)
  if (problems.length > 0) return { problems: document.locate(problems) }
  // The schema has just been checked.
  const { policy, cases } = document.value as Static<typeof CaseFile>
  const inline = policy === undefined || typeof policy === 'string' ? { bundle: policy } : parseBundle(policy)
  if ('problems' in inline) return { problems: document.locate(below('/policy', inline.problems)) }
  return {
    policy: inline.bundle,
    cases: cases.map(({ now = DEFAULT_NOW, ...one }, place) => ({
      ...one,
      now,
      ...document.positionOf(`/cases/${place}`),
    })),
    document,
  }
}

function problemsOf(value: unknown): Problem[] {
  if (value === null) return [{ pointer: '', detail: 'the file is empty: it needs `policy` and `cases`' }]
  const problems = checkSchema(value)
  if (problems.length > 0) return problems
  const { cases } = value as Static<typeof CaseFile>
  if (cases.length === 0) return [{ pointer: '/cases', detail: 'no case: what tests nothing cannot fail' }]
  return [
    ...cases.flatMap(({ now }, place) => instantProblems(now, place)),
    ...cases.flatMap(({ request }, place) => builtInProblems(request, place)),
    ...twice(cases.map(({ name }) => name)),
  ]
}

/** The service asks the built-in policy alone about these: whatever a bundle came to here would not be so there. */
function builtInProblems({ action, resource }: AccessRequest, place: number): Problem[] {
  const detail = 'is decided by the built-in policy alone, whatever a policy says'
  return [
    ...(isBuiltIn(action.name) ? [{ pointer: `/cases/${place}/request/action/name`, detail }] : []),
    ...(isBuiltIn(resource.type) ? [{ pointer: `/cases/${place}/request/resource/type`, detail }] : []),
  ]
}

function instantProblems(now: string | undefined, place: number): Problem[] {
  // The format lets leap seconds through, which JavaScript does not know.
  if (now === undefined || !Number.isNaN(Date.parse(now))) return []
  return [{ pointer: `/cases/${place}/now`, detail: 'is no instant' }]
}

/** Reports tell cases apart by file and name, and drop the second of two. */
function twice(names: readonly string[]): Problem[] {
  const seen = new Set<string>()
  return names.flatMap((name, place) => {
    if (seen.has(name)) return [{ pointer: `/cases/${place}/name`, detail: 'another case has this name' }]
    seen.add(name)
    return []
  })
}

function below(pointer: string, problems: readonly Problem[]): Problem[] {
  return problems.map((problem) => ({ pointer: pointer + problem.pointer, detail: problem.detail }))
}

/** One member of the answer that is not what was wanted. */
export interface Difference {
  readonly member: keyof Want
  readonly wanted: unknown
  readonly got: unknown
}

/** What a case came to; without differences it passed. */
export interface Outcome {
  readonly decision: Decision
  readonly differences: readonly Difference[]
}

export function runCase({ index, lookup }: LoadedBundle, { request, now, want }: Case): Outcome {
  const decision = decide(index, factsFor(lookup, request), request, Date.parse(now))
  return { decision, differences: differences(want, decision) }
}

const MEMBERS = ['decision', 'reason', 'rules', 'obligations'] as const

/** What is wanted of lists is wanted in whole, and in the order that answers have. */
export function differences(want: Want, decision: Pick<Decision, (typeof MEMBERS)[number]>): Difference[] {
  return MEMBERS.filter(
    (member) => want[member] !== undefined && !isDeepStrictEqual(want[member], decision[member]),
  ).map((member) => ({ member, wanted: want[member], got: decision[member] }))
}
