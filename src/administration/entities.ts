import type { Problem } from '../failure.ts'
import { judgeStored } from '../policy/judgement.ts'
import type { Entity, EntityRef } from '../policy/model.ts'
import { checkEntity } from '../policy/parse.ts'
import { apiKeysOf, deleteApiKeys } from '../store/api-keys.ts'
import { assignmentsAround, deleteAssignments } from '../store/assignments.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import {
  childrenOf,
  deleteEntity,
  edgesToAncestors,
  getEntities,
  listEntities,
  putEntities,
} from '../store/entities.ts'
import { ownersNaming } from '../store/references.ts'
import { declaredTypes } from '../store/types.ts'
import { type Bulk, type BulkLine, bulk, readLines } from './bulk.ts'
import { revokeAround } from './capabilities.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { removeCredentials } from './credentials/remove.ts'
import { normalEntity, same } from './normal.ts'
import { parentCycles, repeatedParents } from './parents.ts'
import { withdrawAround } from './permission-requests.ts'
import { checkPrecondition } from './precondition.ts'
import { neverStored } from './references.ts'
import { NAMED, notFound, refuse, refuseUsed, shownRef } from './refusal.ts'
import { type Shown, shown, type Written, warned } from './representation.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

type Whole = Required<Entity>

export interface EntityAdministration {
  list(read: Read, filter: { readonly type?: string | undefined }, page: Page): Promise<Listed<Shown<Whole>>>
  get(read: Read, ref: EntityRef): Promise<Found<Shown<Whole>>>
  put(write: Write, entity: Entity): Promise<Answer<Written<Whole>>>
  /**
   * With its assignments, its memberships, the keys that act as it, its password and sessions, and the assignments scoped
   * within it. Capabilities of it, and for what is within it, are revoked; what it asked, or was asked for it, is withdrawn.
   */
  delete(write: Write, ref: EntityRef): Promise<Answer<null>>
  /** Creates or replaces all of them, or none, in one revision. The lines are read before the tenant is held. */
  bulk(write: Write, lines: AsyncIterable<BulkLine>): Promise<Answer<Bulk>>
}

export function entityAdministration({ db }: Parts, change: Changer): EntityAdministration {
  return {
    async list({ tenant }, filter, page) {
      const { items, next_cursor } = await listEntities(db.of(tenant), tenant, filter, page)
      return { items: items.map(shown), next_cursor }
    },
    async get({ tenant }, ref) {
      const [found] = await getEntities(db.of(tenant), tenant, [ref])
      if (found === undefined) throw notFound(`entity ${shownRef(ref)}`)
      return { body: shown(found), version: found.version }
    },
    put: (write, entity) => change(write, (at) => put(at, normalEntity(entity))),
    delete: (write, ref) => change(write, (at) => remove(at, ref)),
    async bulk(write, lines) {
      const read = await readLines(lines)
      return change(write, (at) => bulk(at, read))
    },
  }
}

async function put(change: Change, after: Whole): Promise<Outcome<Written<Whole>>> {
  const { trx, tenant, revision: version, at } = change
  const { type, id } = after
  const [before] = await getEntities(trx, tenant, [after])
  checkPrecondition(change.write.if_match, before?.version)
  const declared = await declaredTypes(trx, tenant, [type])
  const { problems, warnings } = judgeStored(declared)(after)
  if (before !== undefined && same(before.document, after)) {
    return { status: 200, body: warned(shown(before), warnings), version: before.version, id: shownRef(after) }
  }
  refuse([...(await problemsOf(change, after)), ...neverStored(declared, '/type', type), ...problems])
  await putEntities(trx, change, [after])
  const operation = before === undefined ? 'create' : 'update'
  change.log({ kind: 'entity', key: { type, id }, operation, before: before?.document ?? null, after })
  const stored = { document: after, version, created_at: before?.created_at ?? at, updated_at: at }
  const body = warned(shown(stored), warnings)
  return { status: before === undefined ? 201 : 200, body, version, id: shownRef(after) }
}

async function problemsOf({ trx, tenant }: Change, entity: Whole): Promise<Problem[]> {
  const above = await edgesToAncestors(trx, tenant, entity.parents)
  return [...checkEntity(entity), ...repeatedParents(entity), ...parentCycles([{ pointer: '', entity }], above)]
}

async function remove(change: Change, ref: EntityRef): Promise<Outcome<null>> {
  const { trx, tenant } = change
  const [before] = await getEntities(trx, tenant, [ref])
  if (before === undefined) throw notFound(`entity ${shownRef(ref)}`)
  checkPrecondition(change.write.if_match, before.version)
  const owners = await ownersNaming(trx, tenant, ref, NAMED + 1)
  refuseUsed(
    `entity ${shownRef(ref)}`,
    owners.map(({ kind, name }) => `${kind} ${name}`),
  )
  await removeAssignments(change, ref)
  await revokeAround(change, ref)
  await withdrawAround(change, [ref])
  await removeKeys(change, ref)
  await removeCredentials(change, ref)
  await removeFromChildren(change, ref)
  await removeEntity(change, before)
  return { status: 204, body: null, version: null, id: shownRef(ref) }
}

// A group may hold any number: each part's statements stay well within the time that one statement may take.
const PART = 1_000

async function removeAssignments(change: Change, ref: EntityRef): Promise<void> {
  const { trx, tenant } = change
  for (let full = true; full; ) {
    const assignments = await assignmentsAround(trx, tenant, ref, PART)
    const ids = assignments.map(({ document }) => document.id)
    if (ids.length > 0) await deleteAssignments(trx, tenant, ids)
    for (const { document: before } of assignments) {
      change.log({ kind: 'assignment', key: { id: before.id }, operation: 'delete', before, after: null })
    }
    full = assignments.length === PART
  }
}

async function removeKeys(change: Change, ref: EntityRef): Promise<void> {
  const keys = await apiKeysOf(change.trx, change.tenant, ref)
  const ids = keys.map(({ document }) => document.id)
  if (ids.length > 0) await deleteApiKeys(change.trx, change.tenant, ids)
  for (const { document: before } of keys) {
    change.log({ kind: 'api_key', key: { id: before.id }, operation: 'delete', before, after: null })
  }
}

// An entity that is created again under the same id must find nobody in it.
async function removeFromChildren(change: Change, ref: EntityRef): Promise<void> {
  for (let full = true; full; ) {
    const children = await childrenOf(change.trx, change.tenant, ref, PART)
    const left = children.map(({ document }) => ({ before: document, after: withoutParent(document, ref) }))
    if (left.length > 0) {
      await putEntities(
        change.trx,
        change,
        left.map(({ after }) => after),
      )
    }
    for (const { before, after } of left) {
      const { type, id } = before
      change.log({ kind: 'entity', key: { type, id }, operation: 'update', before, after })
    }
    full = children.length === PART
  }
}

async function removeEntity(change: Change, { document: before }: Stored<Whole>): Promise<void> {
  const { type, id } = before
  await deleteEntity(change.trx, change.tenant, before)
  change.log({ kind: 'entity', key: { type, id }, operation: 'delete', before, after: null })
}

function withoutParent(entity: Whole, ref: EntityRef): Whole {
  return { ...entity, parents: entity.parents.filter((parent) => !isSame(parent, ref)) }
}

function isSame(one: EntityRef, other: EntityRef): boolean {
  return one.type === other.type && one.id === other.id
}
