import { v7 as uuidv7 } from 'uuid'
import { Failure, type Problem } from '../failure.ts'
import {
  type Capability,
  checkCapability,
  checkCompiled,
  conjoined,
  type GivenCapability,
} from '../policy/capability.ts'
import type { PolicyChange } from '../policy/change.ts'
import { parseInstant } from '../policy/instant.ts'
import type { EntityRef } from '../policy/model.ts'
import {
  type CapabilityFilter,
  capabilitiesAround,
  countOfRoot,
  getCapability,
  insertCapability,
  listCapabilities,
  revokeCapabilities,
  type StoredCapability,
  sweepCapabilities,
} from '../store/capabilities.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { beyondParent, parentOf } from './capabilities/delegation.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { utc } from './normal.ts'
import { abnormalResources } from './operations.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, refuse } from './refusal.ts'
import { type ShownCapability, shownCapability, type WrittenCapability, warned } from './representation.ts'
import { undeclaredNames } from './undeclared.ts'
import { vagueCapability } from './vague.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface CapabilityAdministration {
  /** Who may grant only out of what it holds is shown what it holds directly and what it granted. */
  list(read: Read, filter: CapabilityFilter, page: Page): Promise<Listed<ShownCapability>>
  get(read: Read, id: string): Promise<Found<ShownCapability>>
  create(write: Write, capability: Capability): Promise<Answer<WrittenCapability>>
  /** With all that was granted out of it. One that is revoked already stays as it is. */
  delete(write: Write, id: string): Promise<Answer<null>>
}

export function capabilityAdministration({ db, clock, faultOf }: Parts, change: Changer): CapabilityAdministration {
  return {
    async list(read, filter, page) {
      const { tenant } = read
      const of = mayGrantAnything(read.roles ?? []) ? undefined : read.caller?.subject
      const at = clock()
      const found = await listCapabilities(db.of(tenant), tenant, { ...filter, of }, page, at)
      const { items, next_cursor } = found
      const fault = (id: string) => faultOf(tenant, 'capability', id)
      return { items: items.map((one) => shownCapability(one, at, fault(one.id))), next_cursor }
    },
    async get(read, id) {
      const { tenant } = read
      const at = clock()
      const found = await getCapability(db.of(tenant), tenant, id, at)
      if (found === undefined || !isShownTo(read.roles ?? [], read.caller?.subject, found)) throw unknown(id)
      return { body: shownCapability(found, at, faultOf(tenant, 'capability', id)), version: found.version }
    },
    create: (write, capability) => change(write, (at) => create(at, capability)),
    delete: (write, id) => change(write, (at) => remove(at, id)),
  }
}

/** Whether one of these built-in roles grants whatever there is in the tenant. */
export function mayGrantAnything(roles: readonly string[]): boolean {
  return roles.includes('pdp:policy_admin') || roles.includes('pdp:admin')
}

async function create(change: Change, asked: Capability): Promise<Outcome<WrittenCapability>> {
  checkPrecondition(change.write.if_match, undefined)
  refuse([...checkCapability(asked), ...expiryProblems(asked.expires_at, change.at)])
  const { caller } = change.write
  const isFree = mayGrantAnything(caller.roles)
  const parent = await parentOf(change, asked, isFree ? undefined : caller.subject)
  if (parent !== undefined) refuseBeyond(beyondParent(parent, asked))
  const { type, id } = caller.subject
  const outcome = await grant(change, { ...asked, granted_by: { type, id }, request: null }, parent)
  // Who grants only out of what it holds may not read what types declare.
  return isFree ? { ...outcome, body: warned(outcome.body, await undeclared(change, asked)) } : outcome
}

function undeclared(change: Change, { subject, actions, resources, condition }: Capability): Promise<Problem[]> {
  return undeclaredNames(change, { subjects: [subject], actions, resources, condition: condition ?? null })
}

/** Grants what has been looked at: who grants it, and that it is not beyond what it is granted out of. */
export async function grant(
  change: Change,
  asked: Capability & Pick<GivenCapability, 'granted_by' | 'request'>,
  parent?: StoredCapability,
): Promise<Outcome<ShownCapability>> {
  const { trx, at, revision: version } = change
  const document = given(change, asked, parent)
  const ids = [...(await vagueCapability(change, document)), ...(await abnormalResources(change, document))]
  refuse([...checkCompiled(document), ...ids])
  const { id } = document
  const root = parent?.root ?? id
  await refuseTooMany(change, root)
  for (const swept of await sweepCapabilities(trx, change, SWEPT_AT_ONCE)) change.log(ended(swept))
  const depth = parent === undefined ? 0 : parent.depth + 1
  await insertCapability(trx, change, document, { root, depth })
  change.log({ kind: 'capability', key: { id }, operation: 'create', before: null, after: document })
  const stamps = { version, granted_at: at, revoked_at: null, revoked_by: null }
  return { status: 201, body: shownCapability({ id, document, ...stamps }, at, undefined), version, id }
}

// No timer runs for what has expired: whoever grants the next one tidies up after some others.
const SWEPT_AT_ONCE = 100

// Revoking the first takes all of them at once: as many are changed in place by every replica.
const OUT_OF_ONE_AT_MOST = 1_000

async function refuseTooMany({ trx, tenant, at }: Change, root: string): Promise<void> {
  if ((await countOfRoot(trx, tenant, root, at)) < OUT_OF_ONE_AT_MOST) return
  throw new Failure('conflict', `at most ${OUT_OF_ONE_AT_MOST} capabilities can stand that began with the same one`)
}

/** As it is kept: every member filled in, and its condition with that of what it is granted out of. */
function given(
  { at }: Change,
  asked: Capability & Pick<GivenCapability, 'granted_by' | 'request'>,
  parent: StoredCapability | undefined,
): GivenCapability {
  const { subject, actions, resources, granted_by, request } = asked
  return {
    id: uuidv7({ msecs: at.getTime() }),
    subject,
    actions,
    resources,
    condition: conjoined(parent?.document.condition, asked.condition),
    // JSON knows no -0: what comes back from the store would differ from what went in.
    constraints: JSON.parse(JSON.stringify(asked.constraints ?? {})),
    expires_at: utc(asked.expires_at) ?? asked.expires_at,
    justification: asked.justification ?? null,
    name: asked.name ?? null,
    delegable: asked.delegable ?? false,
    from: parent?.id ?? null,
    granted_by,
    request,
  }
}

function expiryProblems(expires_at: string, at: Date): Problem[] {
  const end = parseInstant(expires_at)
  if (Number.isNaN(end)) return [{ pointer: '/expires_at', detail: 'is no instant in the years 0001 to 9999 (UTC)' }]
  return end > at.getTime() ? [] : [{ pointer: '/expires_at', detail: 'the capability would have expired already' }]
}

function refuseBeyond(problems: readonly Problem[]): void {
  const [first] = problems
  if (first === undefined) return
  throw new Failure('forbidden', `more than the capability that it is granted out of: ${first.detail}`, { problems })
}

async function remove(change: Change, id: string): Promise<Outcome<null>> {
  const { trx, tenant, write, at } = change
  const { roles, subject } = write.caller
  const found = await getCapability(trx, tenant, id, at)
  if (found === undefined || !isShownTo(roles, subject, found)) throw unknown(id)
  checkPrecondition(write.if_match, found.version)
  if (!mayGrantAnything(roles) && !isSame(found.granted_by, subject)) {
    throw new Failure('forbidden', 'a capability is revoked by who granted it, or by a policy admin')
  }
  if (found.revoked_at === null) await revoke(change, [found.id])
  return { status: 204, body: null, version: null, id: found.id }
}

async function revoke(change: Change, ids: readonly string[]): Promise<void> {
  const { type, id } = change.write.caller.subject
  for (const before of await revokeCapabilities(change.trx, change, ids, { type, id })) change.log(ended(before))
}

const PART = 1_000

/** An entity that is created again under the same id inherits nothing: neither as a subject, nor as what others are in. */
export async function revokeAround(change: Change, ref: EntityRef): Promise<void> {
  for (let full = true; full; ) {
    const ids = await capabilitiesAround(change.trx, change.tenant, ref, PART, change.at)
    if (ids.length > 0) await revoke(change, ids)
    full = ids.length === PART
  }
}

function ended(before: GivenCapability): PolicyChange {
  return { kind: 'capability', key: { id: before.id }, operation: 'delete', before, after: null }
}

function isShownTo(roles: readonly string[], to: EntityRef | undefined, found: StoredCapability): boolean {
  return mayGrantAnything(roles) || isSame(found.subject, to) || isSame(found.granted_by, to)
}

function isSame(one: EntityRef, other: EntityRef | undefined): boolean {
  return one.type === other?.type && one.id === other.id
}

function unknown(id: string): Failure {
  return notFound(`capability ${id}`)
}
