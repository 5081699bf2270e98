import type { DecisionAnswer, DecisionRequest } from '../contract/authorize.ts'
import type { OperationAnswer } from '../contract/authorize-operation.ts'
import type { Semantic } from '../contract/batch.ts'
import type { ExplainAnswer } from '../contract/explain.ts'
import type { MaskAnswer } from '../contract/mask.ts'
import type { AccessRequest } from '../policy/model.ts'
import type { Input } from './contract.ts'
import { VerdictError } from './error.ts'
import type { OwnRevision } from './revision.ts'
import { isObject, type Members, notAnAnswer } from './shape.ts'
import type { Call, Transport } from './transport.ts'

/** May this subject do this action on this resource? */
export interface Question extends Omit<Input<AccessRequest>, 'subject'> {
  /** By name, or by the token of an issuer that the tenant trusts. */
  readonly subject: Input<DecisionRequest['subject']>
}

export interface CallOptions {
  /** Instead of the client's, for this call with all its tries. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface DecisionOptions extends CallOptions {
  /**
   * The types of obligations that the caller carries out; `any`: it looks at them itself. What is allowed on a condition
   * of another type is not allowed.
   */
  readonly obligations?: readonly string[] | 'any'
}

export interface CanOptions extends DecisionOptions {
  /** Told why there was no decision. */
  readonly onError?: (error: unknown) => void
}

/** Members beside `evaluations` are defaults of each of them, whole. */
export interface BatchRequest extends Partial<Omit<Question, 'options'>> {
  readonly evaluations: readonly Partial<Omit<Question, 'options'>>[]
  readonly options?: Question['options'] & {
    readonly evaluations_semantic?: Semantic
    readonly explain_errors?: boolean
  }
}

/** Of an item that could not be evaluated, `context` lacks what a decision has. */
export interface BatchItem {
  readonly decision: boolean
  readonly context: Partial<DecisionAnswer['context']> & Pick<DecisionAnswer['context'], 'obligations'>
}

export interface BatchAnswer {
  /** Every item that was asked for was evaluated and allowed. */
  readonly decision: boolean
  /** In the order of the question; fewer where its semantic stopped it. */
  readonly evaluations: readonly BatchItem[]
}

/** The permissions that an operation needs, by the kinds that the tenant maps. */
export interface OperationQuestion extends Omit<Question, 'action' | 'resource'> {
  readonly permissions: readonly {
    readonly kind: string
    readonly target: string
    readonly properties?: Readonly<Record<string, unknown>>
  }[]
}

/** Alternatives in their order, and what to go on with where none of them is allowed. */
export interface RouteRequest<F> extends Omit<BatchRequest, 'options'> {
  readonly fallback: F
  readonly options?: Question['options']
}

/** The first that is allowed, with its answer; or the fallback. */
export type Routed<F> =
  | { readonly index: number; readonly evaluation: BatchItem; readonly fallback?: undefined }
  | { readonly index?: undefined; readonly fallback: F }

/** A question about a record, and the record. */
export interface MaskQuestion extends Question {
  readonly record: Readonly<Record<string, unknown>>
  /** What becomes of fields that no mask names: they are removed, unless this says `keep`. */
  readonly others?: 'remove' | 'keep'
}

/** In bytes. */
const MAX_DECISION = 4 * 1024 * 1024
const MAX_DECISIONS = 64 * 1024 * 1024

/** What a client asks. Each throws a VerdictError where there is no decision; `can` denies instead. */
export class Decisions {
  readonly #transport: Transport
  readonly #revision: OwnRevision
  readonly #onError: ((error: unknown) => void) | undefined

  constructor(transport: Transport, revision: OwnRevision, onError: ((error: unknown) => void) | undefined) {
    this.#transport = transport
    this.#revision = revision
    this.#onError = onError
  }

  async authorize(question: Question, options: DecisionOptions = {}): Promise<DecisionAnswer> {
    const body = await this.#ask('/v1/authorize', question, options, MAX_DECISION)
    const answer = decisionIn(body)
    const unknown = undeclared(answer, options)
    if (unknown === undefined) return answer
    throw undeclaredObligation(unknown)
  }

  async can(question: Question, { onError = this.#onError, ...options }: CanOptions = {}): Promise<boolean> {
    try {
      return (await this.authorize(question, options)).decision === true
    } catch (error) {
      tell(onError, error)
      return false
    }
  }

  /** An item that is allowed on a condition which the caller does not declare is not allowed. */
  async batch(question: BatchRequest, options: DecisionOptions = {}): Promise<BatchAnswer> {
    const asked = question.evaluations.length
    if (asked === 0) throw new VerdictError('bad_request', 'a batch asks something')
    const body = await this.#ask('/v1/authorize/batch', question, options, MAX_DECISIONS)
    const semantic = question.options?.evaluations_semantic ?? 'execute_all'
    const given = evaluationsIn(body, asked, semantic)
    const evaluations = given.map(decisionIn).map((item) => (undeclared(item, options) ? denied(item) : item))
    const isWhole = evaluations.length === asked && evaluations.every(({ decision }) => decision)
    // Which the server selected says nothing of what this caller may take: `route` does.
    const { selected: _, ...more } = body
    return { ...more, decision: isWhole && body['decision'] === true, evaluations }
  }

  /**
   * All the permissions that an operation needs: allowed if every one is. Open what `resource` names in the answer, which
   * is what was asked about. One that is allowed on a condition which the caller does not declare is not allowed.
   */
  async operation(question: OperationQuestion, options: DecisionOptions = {}): Promise<OperationAnswer> {
    const asked = question.permissions.length
    if (asked === 0) throw new VerdictError('bad_request', 'an operation needs something')
    const body = await this.#ask('/v1/authorize/operation', question, options, MAX_DECISIONS)
    const answer = decisionIn(body)
    const given: unknown = body['permissions']
    if (!Array.isArray(given) || given.length !== asked) throw notAnAnswer('decision about each permission')
    const permissions = given.map(decisionIn).map((each) => (undeclared(each, options) ? denied(each) : each))
    const isWhole = undeclared(answer, options) === undefined && permissions.every(({ decision }) => decision)
    const decided = { ...body, decision: answer.decision && isWhole, context: answer.context, permissions }
    if (!isOperation(decided)) throw notAnAnswer('decision about an operation')
    return decided
  }

  /**
   * The first of several alternatives that is allowed. One that is denied or in error is passed by, as is one that is
   * allowed on a condition which the caller does not declare.
   */
  async route<F>({ fallback, ...question }: RouteRequest<F>, options: DecisionOptions = {}): Promise<Routed<F>> {
    const asked = { ...question.options, evaluations_semantic: 'permit_on_first_permit' } as const
    let from = 0
    do {
      const rest = { ...question, evaluations: question.evaluations.slice(from), options: asked }
      const { evaluations } = await this.batch(rest, options)
      const at = evaluations.findIndex(({ decision }) => decision)
      const evaluation = evaluations[at]
      if (evaluation !== undefined) return { index: from + at, evaluation }
      from += evaluations.length
    } while (from < question.evaluations.length)
    return { fallback }
  }

  /**
   * The decision, and what may be seen of the record: its masks are carried out, and of a deny there is none. An allow on
   * a condition of another type that the caller does not declare throws, as with `authorize`.
   */
  async mask(question: MaskQuestion, options: DecisionOptions = {}): Promise<MaskAnswer> {
    const body = await this.#ask('/v1/mask', question, options, MAX_DECISION)
    const answer = decisionIn(body)
    const declared = options.obligations ?? []
    const unknown = undeclared(answer, { obligations: declared === 'any' ? declared : ['mask', ...declared] })
    if (unknown !== undefined) throw undeclaredObligation(unknown)
    const { decision, context } = answer
    if (!decision) return { decision, masked: [], context }
    const { record, masked } = body
    if (!isObject(record) || !isTexts(masked)) throw notAnAnswer('masked record')
    return { decision, record, masked, context }
  }

  /** The decision and how it came about. Nobody acts on it: it is none that may be relied on. */
  async explain(question: Question, options: CallOptions = {}): Promise<ExplainAnswer> {
    const body = await this.#ask('/v1/authorize/explain', question, options, MAX_DECISIONS)
    if (!isExplained(body)) throw notAnAnswer('explanation')
    return body
  }

  async #ask(
    path: string,
    question: Question | BatchRequest | OperationQuestion,
    options: CallOptions,
    maxBytes: number,
  ): Promise<Members> {
    const own = this.#revision.newest
    const { timeoutMs, signal } = options
    const call: Call = {
      method: 'POST',
      path,
      headers: JSON_HEADERS,
      body: jsonText(this.#fresh(question)),
      retry: 'unanswered',
      maxBytes,
      timeoutMs,
      signal,
    }
    try {
      const { status, body } = await this.#transport.json(call)
      // Of a 203 or 206 somebody else made the body, or it is a part.
      if (status !== 200 || !isObject(body)) throw notAnAnswer('decision')
      return body
    } catch (error) {
      if (own !== undefined && isUnknownRevision(error)) this.#revision.forget(own)
      throw error
    }
  }

  #fresh<Q extends Question | BatchRequest | OperationQuestion>(question: Q): Q {
    const min_revision = this.#revision.atLeast(question.options?.min_revision)
    return min_revision === undefined ? question : { ...question, options: { ...question.options, min_revision } }
  }
}

export const JSON_HEADERS = { 'content-type': 'application/json' }

export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new VerdictError('bad_request', 'the question cannot be written as JSON', { cause })
  }
}

export const isUnknownRevision = (error: unknown) => error instanceof VerdictError && error.code === 'revision_unknown'

/** What a listener does with it is no reason to allow, nor to fail. */
export function tell(onError: ((error: unknown) => unknown) | undefined, error: unknown): void {
  Promise.resolve(error)
    .then(onError)
    .catch(() => {})
}

/** A boolean says it, and nothing else; what conditions it has is told, or it has none. */
function decisionIn(given: unknown): DecisionAnswer {
  if (!isObject(given)) throw notAnAnswer('decision')
  const { decision, context = {} } = given
  if (typeof decision !== 'boolean' || !isObject(context)) throw notAnAnswer('decision')
  const { obligations = [] } = context
  const answer = { ...given, decision, context: { ...context, obligations } }
  if (!isDecision(answer)) throw notAnAnswer('decision: its obligations cannot be read')
  return answer
}

/** The other members of a context inform; nothing is decided by them. */
function isDecision(given: { context: { obligations: unknown } }): given is DecisionAnswer {
  const { obligations } = given.context
  return Array.isArray(obligations) && obligations.every(isObligation)
}

const isObligation = (given: unknown) =>
  isObject(given) &&
  typeof given['id'] === 'string' &&
  typeof given['type'] === 'string' &&
  (given['properties'] === undefined || isObject(given['properties']))

/** The decisions in it were read already; the other members inform. */
function isOperation(given: { permissions: readonly unknown[] }): given is Members & OperationAnswer {
  return given.permissions.every((each) => isObject(each) && typeof each['kind'] === 'string')
}

function isExplained(given: Members): given is Members & ExplainAnswer {
  return typeof given['decision'] === 'boolean' && isObject(given['context']) && isObject(given['trace'])
}

function evaluationsIn({ evaluations }: Members, asked: number, semantic: Semantic): readonly unknown[] {
  const isWhole = (length: number) => (semantic === 'execute_all' ? length === asked : length > 0 && length <= asked)
  if (Array.isArray(evaluations) && isWhole(evaluations.length)) return evaluations
  throw notAnAnswer('batch of decisions: it does not have an answer to each')
}

const isTexts = (given: unknown): given is string[] =>
  Array.isArray(given) && given.every((text) => typeof text === 'string')

function undeclaredObligation(type: string): VerdictError {
  return new VerdictError('unknown_obligation', `allowed on a condition that the caller does not declare: ${type}`)
}

const denied = (item: DecisionAnswer): DecisionAnswer => ({ ...item, decision: false })

/** The type of an obligation that nobody carries out. */
function undeclared({ decision, context }: DecisionAnswer, { obligations = [] }: DecisionOptions): string | undefined {
  if (!decision || obligations === 'any') return undefined
  return context.obligations.find(({ type }) => !obligations.includes(type))?.type
}
