import type { Redactor } from '../audit/redactor.ts'
import type { DecisionRequest } from '../contract/authorize.ts'
import type { ItemInError, Semantic } from '../contract/batch.ts'
import { Failure, type FailureCode, type Problem } from '../failure.ts'
import type { Asking, AuditMode } from '../pdp.ts'
import { Budget } from '../policy/budget.ts'
import type { Facts } from '../policy/entity-graph.ts'
import type { AccessRequest, Properties, Reason, Settings } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { Made } from './answer.ts'
import { BatchAnswers } from './batch-answers.ts'
import { BatchRecords } from './batch-records.ts'
import type { Decider } from './decider.ts'
import { decisionEvent, inErrorEvent } from './event.ts'
import { type ProofParts, type ProvenRequest, proveSubject } from './proof.ts'
import type { Wanted } from './quotas/takings.ts'
import type { Quotas } from './quotas.ts'

/** Many questions of one call. */
export interface Batch {
  readonly items: readonly Item[]
  readonly semantic: Semantic
  readonly options?: { readonly min_revision?: number } | undefined
  /** What the items were made by: where others are in force, nothing is decided. */
  readonly settings?: Required<Settings>
}

/** The settings that the items of a batch were made by are not those in force. */
export class SettingsChanged extends Failure {
  constructor() {
    super('tenant_busy', 'the settings are being changed', { retryAfter: 1 })
  }
}

/** One of them; or one that cannot be asked, of which it is known who would ask. Its resource stands for none. */
export type Item =
  | Question
  | { readonly request: DecisionRequest; readonly unasked: Unasked; readonly problems?: undefined }

/** A question, or what is wrong with it and what of it can be read. */
export type Question =
  | { readonly request: DecisionRequest; readonly problems?: undefined }
  | { readonly read: Readable; readonly problems: readonly Problem[] }

/** Why it cannot be: what it asks is mapped to nothing, or what is wrong with it. */
export type Unasked = 'unmapped_operation' | readonly Problem[]

/** null: it is not there, or it is not what it should be. */
export interface Readable {
  readonly subject: AccessRequest['subject'] | null
  readonly action: AccessRequest['action'] | null
  readonly resource: AccessRequest['resource'] | null
  readonly context: Properties | null
}

export interface BatchDecision {
  /** Of the first record: the others name it. */
  readonly id: string
  /** Whether every item that was asked for was evaluated and allowed. */
  readonly decision: boolean
  /** As many as were decided. */
  readonly answers: BatchAnswers
}

/** What all items of a call may spend together. */
export interface Budgets {
  readonly conditions: Budget
  readonly properties: Budget
}

export interface BatchParts extends ProofParts {
  readonly snapshots: Snapshots
  readonly redactor: Redactor
  readonly quotas: Quotas
  /** What has been decided so far: if the whole fails, what was taken for it goes back. */
  readonly given: Made[]
  readonly decider: Pick<Decider, 'make' | 'guess'>
}

interface Decided {
  readonly answer: BatchDecision
  /** Events, encoded: one for each answer. */
  readonly records: readonly string[]
  readonly reasons: readonly Reason[]
  readonly mode: AuditMode
}

type Query = { readonly at: number; readonly proven: ProvenRequest; readonly unasked: Unasked | undefined } | InError

interface InError {
  readonly at: number
  readonly proven?: undefined
  readonly read: Readable
  readonly failure: Failure
}

/** Decides the items in their order. What fails but for an item's own fault fails the whole. */
export async function decideBatch(parts: BatchParts, asking: Asking, batch: Batch, budgets: Budgets): Promise<Decided> {
  const queries = await provenQueries(parts, asking.tenant, batch.items)
  const made = new Making(parts, asking, budgets, batch.settings)
  try {
    await parts.snapshots.withEachFacts(
      asking.tenant,
      queries,
      ({ proven }) => proven?.request,
      (tenant, facts, query) => {
        const came = made.item(tenant, facts, query)
        if (!(came instanceof Promise)) return goesOn(batch.semantic, came)
        return came.then((decision) => goesOn(batch.semantic, decision))
      },
      // Of items that may never be reached nothing is reserved.
      batch.semantic === 'execute_all' ? (...next) => made.foresee(...next) : undefined,
    )
  } finally {
    made.end()
  }
  const { id, answers, isAllowed, records, reasons, mode } = made
  const decision = isAllowed && answers.length === queries.length
  return { answer: { id, decision, answers }, records, reasons, mode }
}

function goesOn(semantic: Semantic, decision: boolean): boolean {
  if (semantic === 'deny_on_first_deny') return decision
  return semantic === 'execute_all' || !decision
}

/** What is made of a batch while its items are decided, each in one turn. */
class Making {
  readonly answers = new BatchAnswers()
  /** Whether all that were decided are. */
  isAllowed = true
  readonly reasons: Reason[] = []
  mode: AuditMode = 'journal'
  readonly #records: BatchRecords
  readonly #parts: BatchParts
  readonly #asking: Asking
  readonly #budgets: Budgets
  readonly #settings: Required<Settings> | undefined
  // What items will draw whose turn is yet to come, by their places; those up to `#foreseen` have been looked at.
  readonly #expected = new Map<number, readonly Wanted[]>()
  #foreseen = -1
  #guessing: Budgets

  constructor(parts: BatchParts, asking: Asking, budgets: Budgets, settings: Required<Settings> | undefined) {
    this.#parts = parts
    this.#asking = asking
    this.#budgets = budgets
    this.#guessing = budgets
    this.#settings = settings
    this.#records = new BatchRecords(asking, parts.redactor)
  }

  /** Of the first record. */
  get id(): string {
    return this.#records.first ?? ''
  }

  get records(): readonly string[] {
    return this.#records.texts
  }

  /** @returns what it came to; a promise where units of a quota have to be waited for. Throws what is not its own fault. */
  item(tenant: TenantSnapshot, facts: Facts | undefined, query: Query): boolean | Promise<boolean> {
    if (this.#settings !== undefined && this.#settings !== tenant.index.settings) throw new SettingsChanged()
    this.mode = tenant.index.settings.audit_mode
    if (query.proven === undefined) return this.#inError(tenant, query)
    if (facts === undefined) throw new Failure('internal', 'the facts of an item were not looked for')
    const { proven, at, unasked } = query
    this.#release(at)
    try {
      const made = this.#parts.decider.make(tenant, facts, proven, this.#budgets)
      if (unasked !== undefined) return this.#unasked(tenant, proven.request, at, made, unasked)
      const drawing = this.#parts.quotas.draw(tenant.id, made)
      if (!(drawing instanceof Promise)) return this.#decided(tenant, proven.request, at, drawing)
      this.#guessing = asLeft(this.#budgets)
      return drawing.then((drawn) => this.#decided(tenant, proven.request, at, drawn))
    } catch (error) {
      return this.#inError(tenant, { at, read: readOf(proven.request), failure: ownFault(error) })
    }
  }

  /** What an item will draw is asked for while one before it waits. It only is decided when its own turn comes. */
  foresee(tenant: TenantSnapshot, facts: Facts | undefined, query: Query): boolean {
    const { at, proven } = query
    if (at <= this.#foreseen || facts === undefined || proven === undefined || query.unasked !== undefined) return true
    const made = this.#parts.decider.guess(tenant, facts, proven, this.#guessing)
    const wanted = this.#parts.quotas.expect(tenant.id, made)
    if (wanted === undefined) return false
    this.#foreseen = at
    this.#expected.set(at, wanted)
    return true
  }

  /** No item has its turn any more. */
  end(): void {
    for (const at of this.#expected.keys()) this.#release(at)
  }

  #release(at: number): void {
    const wanted = this.#expected.get(at)
    if (wanted === undefined) return
    this.#expected.delete(at)
    this.#parts.quotas.release(wanted)
  }

  #decided(tenant: TenantSnapshot, request: AccessRequest, item: number, made: Made): boolean {
    this.#parts.given.push(made)
    const id = this.#records.addDecision(tenant, request, made, this.#parts.clock(), item)
    this.reasons.push(made.decision.reason)
    this.answers.add(id, made, request)
    if (!made.decision.decision) this.isAllowed = false
    return made.decision.decision
  }

  /** A deny whatever is asked of whom; what is known of who asks is told first. */
  #unasked(tenant: TenantSnapshot, request: AccessRequest, item: number, made: Made, why: Unasked): false {
    const { reason: found } = made.decision
    const reason = OF_WHO_ASKS.has(found) ? found : why === 'unmapped_operation' ? why : undefined
    const decision = { decision: false, reason: reason ?? 'no_applicable_rule', rules: [], obligations: [] } as const
    const place = { first: this.#records.first, item }
    const event = decisionEvent(this.#asking, request, { ...made, decision }, this.#parts.clock(), place)
    const recorded = { ...event, resource: null, reason: reason ?? 'invalid_request' }
    const id = this.#records.add(tenant, recorded)
    if (reason !== undefined) this.reasons.push(reason)
    this.isAllowed = false
    if (reason === undefined && why !== 'unmapped_operation')
      this.answers.addInError(answerInError(id, notAQuestion(why)))
    else this.answers.add(id, { ...made, decision }, request)
    return false
  }

  #inError(tenant: TenantSnapshot, { at, read, failure }: Omit<InError, 'proven'>): false {
    const place = { first: this.#records.first, item: at }
    const id = this.#records.add(tenant, inErrorEvent(this.#asking, read, this.#parts.clock(), place))
    this.isAllowed = false
    this.answers.addInError(answerInError(id, failure))
    return false
  }
}

/** What is spent on a guess is not spent. */
function asLeft({ conditions, properties }: Budgets): Budgets {
  return { conditions: new Budget(conditions.left), properties: new Budget(properties.left) }
}

/** What is wrong with an item and with nothing else: whatever a single question would be refused for as malformed. */
function ownFault(error: unknown): Failure {
  if (error instanceof Failure && OWN_FAULTS.has(error.code)) return error
  throw error
}

const OWN_FAULTS: ReadonlySet<FailureCode> = new Set(['invalid_request', 'invalid_subject_token'])

/** Reasons that come before whatever could be said of what is asked. */
const OF_WHO_ASKS: ReadonlySet<Reason> = new Set([
  'tenant_suspended',
  'context_invalid',
  'context_expired',
  'context_revoked',
  'subject_disabled',
])

function notAQuestion(problems: readonly Problem[]): Failure {
  return new Failure('invalid_request', 'this is no question that can be decided', { problems })
}

function readOf({ subject, action, resource, context }: AccessRequest): Readable {
  return { subject, action, resource, context: context ?? null }
}

function answerInError(decision_id: string, { message, problems }: Failure): ItemInError {
  const error = { status: 400, message, ...(problems.length > 0 && { errors: [...problems] }) }
  return { decision: false, context: { decision_id, reason: 'invalid_request', obligations: [], error } }
}

/** Each with its subject, whether that came with its name or with a token. One after another: a token is verified once. */
async function provenQueries(parts: ProofParts, tenant: string, items: readonly Item[]): Promise<readonly Query[]> {
  const queries: Query[] = []
  for (const [at, item] of items.entries()) {
    const query = queryOf(parts, tenant, item, at)
    queries.push(query instanceof Promise ? await query : query)
  }
  return queries
}

function queryOf(parts: ProofParts, tenant: string, item: Item, at: number): Query | Promise<Query> {
  if (item.problems !== undefined) return { at, read: item.read, failure: notAQuestion(item.problems) }
  const { request } = item
  const unasked = 'unasked' in item ? item.unasked : undefined
  const refused = (error: unknown): Query => {
    const { action, resource, context } = request
    return { at, read: { subject: null, action, resource, context: context ?? null }, failure: ownFault(error) }
  }
  try {
    const proving = proveSubject(parts, tenant, request)
    if (proving instanceof Promise) return proving.then((proven) => ({ at, proven, unasked }), refused)
    return { at, proven: proving, unasked }
  } catch (error) {
    return refused(error)
  }
}
