import type { DecisionAnswer } from '../contract/authorize.ts'
import type { Obligation } from '../policy/model.ts'
import type { Client } from './client.ts'
import { type DecisionOptions, type Question, tell } from './decisions.ts'
import { VerdictError } from './error.ts'

type Given<T> = T | undefined | Promise<T | undefined>

/** What a guard asks about beside the action, from the framework's request. */
export interface Asking<Request> {
  /** Who is asking, as the application knows it; undefined: nobody (401). Never from what a caller can write. */
  readonly subject?: (request: Request) => Given<Question['subject']>
  readonly context?: (request: Request) => Given<NonNullable<Question['context']>>
  /** The types of obligations that the handler carries out; what is allowed on another one is denied. */
  readonly obligations?: DecisionOptions['obligations']
}

export interface GuardOptions<Request> extends Asking<Request> {
  readonly client: Pick<Client, 'authorize'>
  /** Told why there was no decision, and so a deny. */
  readonly onError?: (error: unknown) => void
}

/** Why the handler does not run: the problem that is answered. */
export interface Denial {
  /**
   * 401: there is no subject. 403: it may not, or on a condition that nobody carries out; asking again changes nothing.
   * 503: there is no decision.
   */
  readonly status: 401 | 403 | 503
  readonly title: string
  readonly detail: string
}

export interface Judged {
  /** Undefined where there was none. An allow has the obligations of the guards before it, too. */
  readonly decision: DecisionAnswer | undefined
  /** Undefined: the handler may run. */
  readonly denial: Denial | undefined
}

export type ResourceOf<Request> = (request: Request) => Question['resource'] | Promise<Question['resource']>

/** Asks for one request. Fails where the application's own functions do. */
export async function judge<Request extends object>(
  request: Request,
  action: string,
  resource: ResourceOf<Request>,
  { client, subject, context, obligations, onError }: GuardOptions<Request>,
): Promise<Judged> {
  const who = await subject?.(request)
  // `user && {…}` gives null or false where there is none.
  if (!who) return { decision: undefined, denial: NOBODY }
  const what = await resource(request)
  const around = await context?.(request)
  const question = { subject: who, action: { name: action }, resource: what, ...(around && { context: around }) }
  try {
    const decision = await client.authorize(question, obligations === undefined ? {} : { obligations })
    if (decision.decision !== true) return { decision, denial: FORBIDDEN }
    return { decision: withThoseBefore(request, decision), denial: undefined }
  } catch (error) {
    tell(onError, error)
    return { decision: undefined, denial: isUndeclared(error) ? FORBIDDEN : UNDECIDED }
  }
}

/** By request: the obligations of every guard that let it through. */
const taken = new WeakMap<object, readonly Obligation[]>()

/** The last guard's answer is what the handler sees, and what an earlier one allowed on a condition keeps its condition. */
function withThoseBefore(request: object, decision: DecisionAnswer): DecisionAnswer {
  const obligations = eachOnce([...(taken.get(request) ?? []), ...decision.context.obligations])
  taken.set(request, obligations)
  return { ...decision, context: { ...decision.context, obligations } }
}

/** Carried out twice, a mask that hashes would hash the hash. */
function eachOnce(obligations: readonly Obligation[]): Obligation[] {
  return [...new Map(obligations.map((each) => [JSON.stringify(each), each])).values()]
}

const isUndeclared = (error: unknown) => error instanceof VerdictError && error.code === 'unknown_obligation'

/** A role is asked for like anything else, so that policy decides it and the audit has it. */
export function roleQuestion<Request>(role: string, resource: ResourceOf<Request> | undefined) {
  return { action: `role:${role}`, resource: resource ?? (() => ({ type: 'role', id: role })) }
}

const NOBODY: Denial = { status: 401, title: 'Not authenticated', detail: 'nobody is logged in' }
const FORBIDDEN: Denial = { status: 403, title: 'Forbidden', detail: 'this is not allowed' }
const UNDECIDED: Denial = {
  status: 503,
  title: 'Cannot be decided',
  detail: 'whether this is allowed cannot be told now',
}

export const PROBLEM_TYPE = 'application/problem+json'

/** RFC 9457. Why it is denied is for the audit, not for who was denied. */
export const problemText = (denial: Denial) => JSON.stringify({ type: 'about:blank', ...denial })
