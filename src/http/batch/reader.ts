import type { DecisionRequest } from '../../contract/authorize.ts'
import { DecisionSubject } from '../../contract/authorize.ts'
import type { Semantic } from '../../contract/batch.ts'
import { Failure, type Problem } from '../../failure.ts'
import type { Item, Question } from '../../pdp/batch.ts'
import { isObject } from '../../policy/json.ts'
import { AccessRequest, type Properties } from '../../policy/model.ts'
import { absent, NOTHING, type Part, partReader, type ReadPart } from './parts.ts'

type Subject = DecisionRequest['subject']
type Named = AccessRequest['subject']
type Sent = Readonly<Record<string, unknown>>

/** What a body holds, once its shape has been checked: the parts are not. */
export interface BatchBody extends Sent {
  readonly evaluations?: readonly unknown[]
  readonly options?: {
    readonly evaluations_semantic?: Semantic
    readonly min_revision?: number
    readonly fallback?: unknown
  }
}

const { subject, action, resource, context } = AccessRequest.properties

/** By its name alone: a token is nothing that AuthZEN knows. */
export const readNamed = partReader<Named>('subject', subject, named)
export const readSubject = partReader<Subject>('subject', DecisionSubject)
const readAction = partReader<AccessRequest['action']>('action', action)
const readResource = partReader<Named>('resource', resource)
const readContext = partReader<Properties | undefined>('context', context)

/**
 * Bytes of JSON that a batch may be once its defaults stand in every item that takes them: each is recorded whole, so
 * that two megabytes of body would be gigabytes of records.
 */
const MAX_EXPANDED = 8 * 1024 * 1024

/** A subject by its name, whatever else the caller says of it. */
export function named(sent: Named): Named {
  if (!('token' in sent) && !('context_token' in sent)) return sent
  const { type, id, properties } = sent
  return properties === undefined ? { type, id } : { type, id, properties }
}

/** The one question that a body without items is. Fails with `invalid_request`. */
export function readSingle(body: BatchBody, subjects: ReadPart<Subject>): DecisionRequest {
  const item = new Reading(body, subjects).item(body)
  if (item.problems === undefined)
    return { ...item.request, ...(body.options !== undefined && { options: body.options }) }
  throw new Failure('invalid_request', 'the body does not have the shape that this route takes', {
    problems: item.problems,
  })
}

/** The items of a body, each with the defaults that it takes, or with what is then wrong with it. */
export function readItems(body: BatchBody, subjects: ReadPart<Subject>): readonly Item[] {
  const reading = new Reading(body, subjects)
  const items = (body.evaluations ?? []).map((sent) => reading.item(sent))
  reading.refuseExpanded()
  return items
}

class Reading {
  readonly #readSubject: ReadPart<Subject>
  readonly #subject: Default<Subject>
  readonly #action: Default<AccessRequest['action']>
  readonly #resource: Default<Named>
  readonly #context: Default<Properties | undefined>

  constructor(body: Sent, subjects: ReadPart<Subject>) {
    this.#readSubject = subjects
    this.#subject = new Default(body, 'subject', subjects, absent('subject'))
    this.#action = new Default(body, 'action', readAction, absent('action'))
    this.#resource = new Default(body, 'resource', readResource, absent('resource'))
    this.#context = new Default<Properties | undefined>(body, 'context', readContext, NOTHING)
  }

  item(sent: unknown): Question {
    if (!isObject(sent)) return unreadable('must be object')
    const subject = Object.hasOwn(sent, 'subject') ? this.#readSubject(sent['subject']) : this.#subject.take()
    const action = Object.hasOwn(sent, 'action') ? readAction(sent['action']) : this.#action.take()
    const resource = Object.hasOwn(sent, 'resource') ? readResource(sent['resource']) : this.#resource.take()
    const context = Object.hasOwn(sent, 'context') ? readContext(sent['context']) : this.#context.take()
    if (subject.value !== undefined && action.value !== undefined && resource.value !== undefined) {
      if (context.problems.length === 0)
        return { request: requestOf(subject.value, action.value, resource.value, context.value) }
    }
    const problems: readonly Problem[] = [subject, action, resource, context].flatMap((part) => part.problems)
    return { read: readable(subject, action, resource, context), problems }
  }

  refuseExpanded(): void {
    const bytes = [this.#subject, this.#action, this.#resource, this.#context].reduce(
      (sum, each) => sum + each.repeated,
      0,
    )
    refuseRepeated(bytes)
  }
}

/** `bytes` of what all items of a call have in common, taken for each. Fails with `payload_too_large`. */
export function refuseRepeated(bytes: number): void {
  if (bytes <= MAX_EXPANDED) return
  const mib = MAX_EXPANDED / 2 ** 20
  throw new Failure('payload_too_large', `with its defaults in every item the batch is larger than ${mib} MiB`)
}

function requestOf(
  subject: Subject,
  action: AccessRequest['action'],
  resource: Named,
  context: Properties | undefined,
): DecisionRequest {
  // Written out for each: spread, it takes microseconds.
  const request = context === undefined ? { subject, action, resource } : { subject, action, resource, context }
  return request as DecisionRequest
}

/** What stands at the top for items that have none of their own. */
class Default<T> {
  readonly #value: unknown
  readonly #read: () => Part<T>
  #part: Part<T> | undefined
  #taken = 0

  constructor(body: Sent, name: string, read: ReadPart<T>, otherwise: Part<T>) {
    this.#value = Object.hasOwn(body, name) ? body[name] : undefined
    this.#read = () => (Object.hasOwn(body, name) ? read(body[name]) : otherwise)
  }

  take(): Part<T> {
    this.#taken++
    this.#part ??= this.#read()
    return this.#part
  }

  /** Bytes, about, that it takes up where it is repeated. */
  get repeated(): number {
    return this.#taken < 2 || this.#value === undefined ? 0 : this.#taken * JSON.stringify(this.#value).length
  }
}

function readable(
  subject: Part<Subject>,
  { value: action }: Part<AccessRequest['action']>,
  { value: resource }: Part<Named>,
  { value: context }: Part<Properties | undefined>,
) {
  const named = subject.value !== undefined && 'id' in subject.value ? subject.value : null
  return { subject: named, action: action ?? null, resource: resource ?? null, context: context ?? null }
}

function unreadable(detail: string): Question {
  return {
    read: { subject: null, action: null, resource: null, context: null },
    problems: [{ pointer: '', detail }],
  }
}
