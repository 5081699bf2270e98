import { v7 as uuidv7 } from 'uuid'
import { Failure } from '../failure.ts'
import type { Capability } from '../policy/capability.ts'
import { checkCapability } from '../policy/capability.ts'
import type { EntityRef } from '../policy/model.ts'
import type {
  Approval,
  GivenPermissionRequest,
  PermissionRequest,
  Refusal,
  RequestDecision,
  RequestState,
} from '../policy/permission-request.ts'
import type { Listed, Page } from '../store/cursor.ts'
import {
  controllersOf,
  countPending,
  getRequest,
  insertRequest,
  listRequests,
  pendingAround,
  type StoredRequest,
  updateRequest,
} from '../store/permission-requests.ts'
import { beyondLimits, beyondScope } from './capabilities/delegation.ts'
import { grant } from './capabilities.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { credentialOf, deciderOf, mayDecide, requireDecider } from './permission-requests/deciding.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, refuse } from './refusal.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

/** As it is read: a pending one that has lapsed has expired. */
export type ShownPermissionRequest = Omit<GivenPermissionRequest, 'state'> & {
  readonly state: RequestState
  readonly created_at: string
  readonly updated_at: string
  readonly version: number
}

export interface RequestQuery {
  readonly state?: RequestState | undefined
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
  readonly waiting_for?: 'me' | undefined
}

export interface PermissionRequestAdministration {
  /** Who may not decide is shown what it asked, and what was asked for it. */
  list(read: Read, query: RequestQuery, page: Page): Promise<Listed<ShownPermissionRequest>>
  get(read: Read, id: string): Promise<Found<ShownPermissionRequest>>
  create(write: Write, asked: PermissionRequest): Promise<Answer<ShownPermissionRequest>>
  /** In full or in part; makes the capability in the same transaction. Of several at once, one. */
  approve(write: Write, id: string, approval: Approval): Promise<Answer<ShownPermissionRequest>>
  refuse(write: Write, id: string, refusal: Refusal): Promise<Answer<ShownPermissionRequest>>
  withdraw(write: Write, id: string): Promise<Answer<ShownPermissionRequest>>
}

export function permissionRequestAdministration(
  { db, clock }: Parts,
  change: Changer,
): PermissionRequestAdministration {
  return {
    async list(read, { waiting_for, ...filter }, page) {
      const { tenant, roles = [], caller } = read
      const own = db.of(tenant)
      const at = clock()
      if (waiting_for === 'me' && (!mayDecide(roles) || caller === undefined)) return { items: [], next_cursor: null }
      const waitingFor =
        waiting_for === undefined || caller === undefined
          ? undefined
          : await deciderOf(own, tenant, credentialOf(caller))
      const of = mayDecide(roles) ? undefined : caller?.subject
      const { items, next_cursor } = await listRequests(own, tenant, { ...filter, of, waitingFor }, page, at)
      return { items: items.map((one) => shown(one, at)), next_cursor }
    },
    async get({ tenant, roles = [], caller }, id) {
      const found = await getRequest(db.of(tenant), tenant, id)
      if (found === undefined || !isShownTo(roles, caller?.subject, found)) throw unknown(id)
      return { body: shown(found, clock()), version: found.version }
    },
    create: (write, asked) => change(write, (at) => create(at, asked)),
    approve: (write, id, approval) => change(write, (at) => approve(at, id, approval)),
    refuse: (write, id, { reason }) => change(write, (at) => turnDown(at, id, reason)),
    withdraw: (write, id) => change(write, (at) => withdraw(at, id)),
  }
}

// A request that nobody has looked at in this time is no longer what anybody is waiting for.
const LAPSES_AFTER_MS = 7 * 86_400_000
// Whoever decides should not have to look for one among thousands.
const PENDING_AT_MOST = 100

async function create(change: Change, asked: PermissionRequest): Promise<Outcome<ShownPermissionRequest>> {
  const { trx, tenant, at, write } = change
  checkPrecondition(write.if_match, undefined)
  const { type, id } = write.caller.subject
  const asked_by = { type, id }
  const subject = asked.subject ?? asked_by
  refuse(checkCapability(wanted({ ...asked, subject }, at)))
  if ((await countPending(trx, tenant, asked_by, at)) >= PENDING_AT_MOST) {
    throw new Failure('conflict', `${PENDING_AT_MOST} requests of the caller are waiting already`)
  }
  const document: GivenPermissionRequest = {
    id: uuidv7({ msecs: at.getTime() }),
    subject,
    actions: asked.actions,
    resources: asked.resources,
    condition: asked.condition ?? null,
    // JSON knows no -0: what comes back from the store would differ from what went in.
    constraints: JSON.parse(JSON.stringify(asked.constraints ?? {})),
    duration_seconds: asked.duration_seconds,
    justification: asked.justification,
    asked_by,
    state: 'pending',
    lapses_at: new Date(at.getTime() + LAPSES_AFTER_MS).toISOString(),
    decision: null,
  }
  const controllers = await controllersOf(trx, tenant, credentialOf(write.caller))
  await insertRequest(trx, change, document, controllers)
  const key = { id: document.id }
  change.log({ kind: 'permission_request', key, operation: 'create', before: null, after: document })
  const stored = { document, version: change.revision, created_at: at, updated_at: at }
  return { status: 201, body: shown(stored, at), version: change.revision, id: document.id }
}

/** The capability that a request comes to when it is granted now. */
function wanted(
  {
    subject,
    actions,
    resources,
    condition,
    constraints,
    duration_seconds,
    justification,
  }: Omit<
    GivenPermissionRequest,
    'id' | 'asked_by' | 'state' | 'lapses_at' | 'decision' | 'condition' | 'constraints'
  > &
    Pick<PermissionRequest, 'condition' | 'constraints'>,
  at: Date,
): Capability {
  const expires_at = new Date(at.getTime() + duration_seconds * 1000).toISOString()
  const limits = constraints === undefined ? {} : { constraints }
  return { subject, actions, resources, condition: condition ?? null, ...limits, expires_at, justification }
}

async function approve(change: Change, id: string, approval: Approval): Promise<Outcome<ShownPermissionRequest>> {
  const found = await toDecide(change, id)
  const { document } = found
  const granted = partOf(document, approval)
  const capability = wanted({ ...document, ...granted }, change.at)
  refuse(checkCapability(capability))
  const granted_by = decidedBy(change)
  const made = await grant(change, { ...capability, granted_by, request: document.id })
  const decision = { ...decisionOf(change, approval.reason ?? null), capability: made.id, granted }
  return settle(change, found, 'approved', decision)
}

type Granted = NonNullable<RequestDecision['granted']>

/** What is approved of a request: no more than was asked. */
function partOf(asked: GivenPermissionRequest, approval: Approval): Granted {
  const { actions, resources, constraints, duration_seconds } = asked
  const granted = {
    actions: approval.actions ?? actions,
    resources: approval.resources ?? resources,
    constraints: approval.constraints ?? constraints,
    duration_seconds: approval.duration_seconds ?? duration_seconds,
  }
  refuse([
    ...beyondScope(asked, granted),
    ...beyondLimits(constraints, granted.constraints),
    ...(granted.duration_seconds > duration_seconds
      ? [{ pointer: '/duration_seconds', detail: `is longer than was asked: ${duration_seconds}` }]
      : []),
  ])
  return { ...granted, constraints: JSON.parse(JSON.stringify(granted.constraints)) }
}

async function turnDown(change: Change, id: string, reason: string): Promise<Outcome<ShownPermissionRequest>> {
  const found = await toDecide(change, id)
  return settle(change, found, 'refused', decisionOf(change, reason))
}

async function withdraw(change: Change, id: string): Promise<Outcome<ShownPermissionRequest>> {
  const found = await present(change, id)
  if (!isSame(found.document.asked_by, change.write.caller.subject)) {
    throw new Failure('forbidden', 'a request is withdrawn by who asked it')
  }
  requirePending(found, change.at)
  return settle(change, found, 'withdrawn', decisionOf(change, change.write.reason))
}

/** A request that waits for a decision, and that the caller may decide. */
async function toDecide(change: Change, id: string): Promise<StoredRequest> {
  const found = await present(change, id)
  await requireDecider(change, found)
  requirePending(found, change.at)
  return found
}

async function present({ trx, tenant, write }: Change, id: string): Promise<StoredRequest> {
  const found = await getRequest(trx, tenant, id)
  if (found === undefined || !isShownTo(write.caller.roles, write.caller.subject, found)) throw unknown(id)
  checkPrecondition(write.if_match, found.version)
  return found
}

function requirePending({ document }: StoredRequest, at: Date): void {
  const state = stateOf(document, at)
  if (state !== 'pending') throw new Failure('conflict', `the request is not pending any more: it is ${state}`)
}

async function settle(
  change: Change,
  { document: before, created_at }: StoredRequest,
  state: GivenPermissionRequest['state'],
  decision: RequestDecision,
): Promise<Outcome<ShownPermissionRequest>> {
  const { at, revision: version } = change
  const after = { ...before, state, decision }
  await updateRequest(change.trx, change, after)
  change.log({ kind: 'permission_request', key: { id: before.id }, operation: 'update', before, after })
  const body = shown({ document: after, version, created_at, updated_at: at }, at)
  return { status: 200, body, version, id: before.id }
}

function decisionOf(change: Change, reason: string | null): RequestDecision {
  return { by: decidedBy(change), at: change.at.toISOString(), reason, capability: null, granted: null }
}

function decidedBy({ write }: Change): EntityRef {
  const { type, id } = write.caller.subject
  return { type, id }
}

const PART = 1_000

/** What entities asked, and what was asked for them, waits no longer: others may come under their ids. */
export async function withdrawAround(change: Change, refs: readonly EntityRef[]): Promise<void> {
  for (let full = true; full; ) {
    const pending = await pendingAround(change.trx, change.tenant, refs, PART, change.at)
    for (const before of pending) {
      const after = { ...before, state: 'withdrawn', decision: decisionOf(change, change.write.reason) } as const
      await updateRequest(change.trx, change, after)
      change.log({ kind: 'permission_request', key: { id: before.id }, operation: 'update', before, after })
    }
    full = pending.length === PART
  }
}

function stateOf({ state, lapses_at }: GivenPermissionRequest, at: Date): RequestState {
  return state === 'pending' && Date.parse(lapses_at) <= at.getTime() ? 'expired' : state
}

function shown(stored: Omit<StoredRequest, 'controllers'>, at: Date): ShownPermissionRequest {
  const { document, version, created_at, updated_at } = stored
  return {
    ...document,
    state: stateOf(document, at),
    version,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  }
}

function isShownTo(roles: readonly string[], to: EntityRef | undefined, { document }: StoredRequest): boolean {
  return mayDecide(roles) || isSame(document.asked_by, to) || isSame(document.subject, to)
}

function isSame(one: EntityRef, other: EntityRef | undefined): boolean {
  return one.type === other?.type && one.id === other.id
}

function unknown(id: string): Failure {
  return notFound(`permission request ${id}`)
}
