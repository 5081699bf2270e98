import { type AuditEvent, cleanRecord, encodeEvent } from '../audit/event.ts'
import { eventId } from '../audit/event-id.ts'
import type { Redactor } from '../audit/redactor.ts'
import type { Asking } from '../pdp.ts'
import type { AccessRequest } from '../policy/model.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import { areAlike, isPlain, type Made } from './answer.ts'
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
  #asked: (Pick<AccessRequest, 'subject' | 'action'> & { readonly text: string }) | undefined
  #came: { readonly context: AccessRequest['context']; readonly made: Made; readonly text: string } | undefined
  #first: string | undefined

  constructor(asking: Asking, redactor: Redactor) {
    const { caller, tenant, origin } = asking
    this.#asking = asking
    this.#redactor = redactor
    this.#head = `"tenant":${JSON.stringify(tenant)},"type":"decision","actor":${textOf(actorOf(caller, tenant))}`
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
    const isAsItCame =
      made.proof === undefined &&
      made.presented === undefined &&
      this.#redactor.of(tenant.id, made.settings) === undefined
    if (!isAsItCame)
      return this.add(tenant, decisionEvent(this.#asking, request, made, now, { first: this.#first, item }))
    const { id, at } = eventId(now)
    this.#first ??= id
    const duration = Math.round((performance.now() - this.#asking.began) * 1000)
    const asked = `${this.#before(request)}${textOf(entityOf(request.resource))}${this.#after(request.context, made)}`
    this.texts.push(`{"id":"${id}","at":"${at}",${asked}${duration},"batch":{"id":"${this.#first}","item":${item}}}`)
    return id
  }

  /** What stands between the instant and the resource: of items that take the defaults, the same text. */
  #before({ subject, action }: AccessRequest): string {
    if (this.#asked === undefined || this.#asked.subject !== subject || this.#asked.action !== action) {
      const { name, properties } = action
      const by = JSON.stringify(entityOf(subject))
      const text = `${this.#head},"subject":${by},"action":${JSON.stringify({ name, properties })},"resource":`
      this.#asked = { subject, action, text: cleanRecord(text) }
    }
    return this.#asked.text
  }

  /** What stands between the resource and the duration: of items that came to the same, the same text. */
  #after(context: AccessRequest['context'], made: Made): string {
    const last = this.#came
    if (last !== undefined && last.context === context && isPlain(made) && areAlike(last.made, made)) return last.text
    const { decision, reason, rules, obligations, quotas } = made.decision
    const came = {
      context: context ?? null,
      decision,
      reason,
      rules,
      obligations,
      revision: made.revision,
      quotas: made.recorded ?? quotas,
    }
    const text = cleanRecord(`,${JSON.stringify(came).slice(1, -1)},${this.#tail},"duration_us":`)
    if (isPlain(made)) this.#came = { context, made, text }
    return text
  }
}

function textOf(value: object | null): string {
  return cleanRecord(JSON.stringify(value))
}
