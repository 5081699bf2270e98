import { type AuditEvent, cleanRecord, encodeEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { Asking } from '../pdp.ts'
import type { AccessRequest } from '../policy/model.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { Made } from './answer.ts'
import { actorOf, decisionEvent, entityOf } from './event.ts'

/**
 * The records of a batch's items, encoded. What is the same in all of them is made text once, and looked through for
 * credentials once: writing events as JSON was the largest part of an item's work. None of what is looked for spans a
 * string, so that parts are cleaned as the whole would be. A tenant that redacts has each made whole and looked through.
 */
export class BatchRecords {
  readonly texts: string[] = []
  readonly #asking: Asking
  readonly #redactor: Redactor
  readonly #head: string
  readonly #tail: string
  readonly #subject = new Remembered((subject: AccessRequest['subject']) => textOf(entityOf(subject)))
  readonly #action = new Remembered(actionText)
  readonly #context = new Remembered((context: AccessRequest['context']) => textOf(context ?? null))
  readonly #rule = new Remembered((rule: string) => textOf([rule]))
  #first: string | undefined

  constructor(asking: Asking, redactor: Redactor) {
    const { caller, tenant, origin } = asking
    this.#asking = asking
    this.#redactor = redactor
    this.#head = `"tenant":${textOf(tenant)},"type":"decision","actor":${textOf(actorOf(caller, tenant))}`
    const { ip, user_agent, request_id, trace_id } = origin
    this.#tail = textOf({ ip, user_agent, request_id, trace_id }).slice(1, -1)
  }

  /** Of the first record; undefined: there is none yet. */
  get first(): string | undefined {
    return this.#first
  }

  /** @returns the record's id. */
  add(tenant: TenantSnapshot, event: AuditEvent): string {
    this.#first ??= event.id
    this.texts.push(encodeEvent(this.#redactor.event(event, tenant.index.settings)))
    return event.id
  }

  /** The same of a decision. `now` in ms since the epoch. */
  addDecision(tenant: TenantSnapshot, request: AccessRequest, made: Made, now: number, item: number): string {
    const isPlain =
      made.proof === undefined &&
      made.presented === undefined &&
      this.#redactor.of(tenant.id, made.settings) === undefined
    if (!isPlain) return this.add(tenant, decisionEvent(this.#asking, request, made, now, { first: this.#first, item }))
    const { id, at } = eventId(now)
    this.#first ??= id
    this.texts.push(`{"id":"${id}","at":"${at}",${this.#head},${this.#asked(request)},${this.#came(made, item)}}`)
    return id
  }

  #asked({ subject, action, resource, context }: AccessRequest): string {
    const about = `"subject":${this.#subject.of(subject)},"action":${this.#action.of(action)}`
    return `${about},"resource":${textOf(entityOf(resource))},"context":${this.#context.of(context)}`
  }

  #came({ decision: found, revision, recorded }: Made, item: number): string {
    const { decision, reason, rules, obligations } = found
    const quotas = recorded ?? found.quotas
    const limits = quotas === undefined ? '' : `,"quotas":${textOf(quotas)}`
    const duration = Math.round((performance.now() - this.#asking.began) * 1000)
    const by = `"rules":${this.#rules(rules)},"obligations":${obligations.length === 0 ? '[]' : textOf(obligations)}`
    const batch = `"batch":{"id":"${this.#first}","item":${item}}`
    return `"decision":${decision},"reason":"${reason}",${by},"revision":${revision}${limits},${this.#tail},"duration_us":${duration},${batch}`
  }

  #rules(rules: readonly string[]): string {
    const [rule] = rules
    if (rule === undefined) return '[]'
    return rules.length === 1 ? this.#rule.of(rule) : textOf(rules)
  }
}

function textOf(value: object | string | null): string {
  return cleanRecord(JSON.stringify(value))
}

function actionText({ name, properties }: AccessRequest['action']): string {
  return textOf(properties === undefined ? { name } : { name, properties })
}

/** The text of the last value: a default is one object in all the items that take it. */
class Remembered<T> {
  readonly #textOf: (value: T) => string
  #value: T | undefined
  #text: string | undefined

  constructor(textOf: (value: T) => string) {
    this.#textOf = textOf
  }

  of(value: T): string {
    if (this.#text === undefined || this.#value !== value) {
      this.#value = value
      this.#text = this.#textOf(value)
    }
    return this.#text
  }
}
