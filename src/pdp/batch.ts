import type { Redactor } from '../audit/redactor.ts'
import type { DecisionAnswer, DecisionRequest } from '../contract/authorize.ts'
import type { ItemInError, Semantic } from '../contract/batch.ts'
import { Failure, type FailureCode, type Problem } from '../failure.ts'
import type { Asking, AuditMode } from '../pdp.ts'
import type { Budget } from '../policy/budget.ts'
import type { Facts } from '../policy/entity-graph.ts'
import type { AccessRequest, Properties, Reason, Settings } from '../policy/model.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import { answerOf, type Made } from './answer.ts'
import { BatchRecords } from './batch-records.ts'
import { inErrorEvent } from './event.ts'
import { type ProofParts, type ProvenRequest, proveSubject } from './proof.ts'
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

/** One of them; or one that is denied without being asked, and what of it can be read. */
export type Item = Question | { readonly read: Readable; readonly reason: Unasked; readonly problems?: undefined }

/** A question, or what is wrong with it and what of it can be read. */
export type Question =
  | { readonly request: DecisionRequest; readonly problems?: undefined }
  | { readonly read: Readable; readonly problems: readonly Problem[] }

/** Why an item is denied without being a question. */
export type Unasked = 'unmapped_operation'

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
  readonly evaluations: readonly (DecisionAnswer | ItemInError)[]
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
  readonly make: (tenant: TenantSnapshot, facts: Facts, asked: ProvenRequest, budgets: Budgets) => Made
}

interface Decided {
  readonly answer: BatchDecision
  /** Events, encoded: one for each answer. */
  readonly records: readonly string[]
  readonly reasons: readonly Reason[]
  readonly mode: AuditMode
}

type Query =
  | { readonly at: number; readonly proven: ProvenRequest }
  | InError
  | { readonly at: number; readonly proven?: undefined; readonly read: Readable; readonly reason: Unasked }

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
  await parts.snapshots.withEachFacts(
    asking.tenant,
    queries,
    ({ proven }) => proven?.request,
    (tenant, facts, query) => {
      const came = made.item(tenant, facts, query)
      if (!(came instanceof Promise)) return goesOn(batch.semantic, came)
      return came.then((decision) => goesOn(batch.semantic, decision))
    },
  )
  const { id, evaluations, records, reasons, mode } = made
  const decision = evaluations.length === queries.length && evaluations.every((each) => each.decision)
  return { answer: { id, decision, evaluations }, records, reasons, mode }
}

function goesOn(semantic: Semantic, decision: boolean): boolean {
  if (semantic === 'deny_on_first_deny') return decision
  return semantic === 'execute_all' || !decision
}

/** What is made of a batch while its items are decided, each in one turn. */
class Making {
  readonly evaluations: (DecisionAnswer | ItemInError)[] = []
  readonly reasons: Reason[] = []
  mode: AuditMode = 'journal'
  readonly #records: BatchRecords
  readonly #parts: BatchParts
  readonly #asking: Asking
  readonly #budgets: Budgets
  readonly #settings: Required<Settings> | undefined

  constructor(parts: BatchParts, asking: Asking, budgets: Budgets, settings: Required<Settings> | undefined) {
    this.#parts = parts
    this.#asking = asking
    this.#budgets = budgets
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
    if (query.proven === undefined)
      return 'reason' in query ? this.#unasked(tenant, query) : this.#inError(tenant, query)
    if (facts === undefined) throw new Failure('internal', 'the facts of an item were not looked for')
    const { proven, at } = query
    try {
      const made = this.#parts.make(tenant, facts, proven, this.#budgets)
      const drawing = this.#parts.quotas.draw(tenant.id, made)
      if (!(drawing instanceof Promise)) return this.#decided(tenant, proven.request, at, drawing)
      return drawing.then((drawn) => this.#decided(tenant, proven.request, at, drawn))
    } catch (error) {
      return this.#inError(tenant, { at, read: readOf(proven.request), failure: ownFault(error) })
    }
  }

  #decided(tenant: TenantSnapshot, request: AccessRequest, item: number, made: Made): boolean {
    this.#parts.given.push(made)
    const id = this.#records.addDecision(tenant, request, made, this.#parts.clock(), item)
    this.reasons.push(made.decision.reason)
    this.evaluations.push(answerOf(id, made, request))
    return made.decision.decision
  }

  #unasked(tenant: TenantSnapshot, { at, read, reason: why }: Extract<Query, { reason: unknown }>): false {
    const { revision, index, status } = tenant
    const reason = status === 'suspended' ? 'tenant_suspended' : why
    const place = { first: this.#records.first, item: at }
    const event = { ...inErrorEvent(this.#asking, read, this.#parts.clock(), place), reason, revision }
    const decision_id = this.#records.add(tenant, event)
    const rules = index.settings.rules_in_answers ? { rules: [] } : {}
    this.reasons.push(reason)
    this.evaluations.push({ decision: false, context: { decision_id, reason, ...rules, obligations: [], revision } })
    return false
  }

  #inError(tenant: TenantSnapshot, { at, read, failure }: Omit<InError, 'proven'>): false {
    const place = { first: this.#records.first, item: at }
    const id = this.#records.add(tenant, inErrorEvent(this.#asking, read, this.#parts.clock(), place))
    this.evaluations.push(answerInError(id, failure))
    return false
  }
}

/** What is wrong with an item and with nothing else: whatever a single question would be refused for as malformed. */
function ownFault(error: unknown): Failure {
  if (error instanceof Failure && OWN_FAULTS.has(error.code)) return error
  throw error
}

const OWN_FAULTS: ReadonlySet<FailureCode> = new Set(['invalid_request', 'invalid_subject_token'])

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
  if ('reason' in item) return { at, read: item.read, reason: item.reason }
  if (item.problems !== undefined) {
    const { read, problems } = item
    return {
      at,
      read,
      failure: new Failure('invalid_request', 'this is no question that can be decided', { problems }),
    }
  }
  const { request } = item
  const refused = (error: unknown): Query => {
    const { action, resource, context } = request
    return { at, read: { subject: null, action, resource, context: context ?? null }, failure: ownFault(error) }
  }
  try {
    const proving = proveSubject(parts, tenant, request)
    if (proving instanceof Promise) return proving.then((proven) => ({ at, proven }), refused)
    return { at, proven: proving }
  } catch (error) {
    return refused(error)
  }
}
