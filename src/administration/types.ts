import { Failure } from '../failure.ts'
import type { EntityType } from '../policy/model.ts'
import { checkType } from '../policy/parse.ts'
import type { Listed, Page } from '../store/cursor.ts'
import type { Stored } from '../store/documents.ts'
import { keptOfType, ownersNamingType, types } from '../store/types.ts'
import type { Change, Changer } from './change.ts'
import { type DocumentKind, deleteDocument, putDocument } from './documents.ts'
import { normalType } from './normal.ts'
import { mappedToType, operationsOn } from './operations.ts'
import { NAMED, notFound, refuseUsed } from './refusal.ts'
import { type Readable, readable, type Shown } from './representation.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export interface TypeAdministration {
  list(read: Read, page: Page): Promise<Listed<Readable<EntityType>>>
  get(read: Read, name: string): Promise<Found<Readable<EntityType>>>
  /**
   * Stored entities that do not fit the new schema stay as they are, and are checked at their next write: a schema comes
   * before the data that it asks for, and checking a million of them would hold every other write up.
   */
  put(write: Write, type: EntityType): Promise<Answer<Shown<EntityType>>>
  /** Refused while an entity or the subject of an assignment is of the type, or a rule, a role or a policy names it. */
  delete(write: Write, name: string): Promise<Answer<null>>
}

export function typeAdministration({ db, faultOf }: Parts, change: Changer): TypeAdministration {
  const asRead = (tenant: string, stored: Stored<EntityType>) =>
    readable(
      'type',
      { ...stored, document: normalType(stored.document) },
      faultOf(tenant, 'type', stored.document.name),
    )
  return {
    async list({ tenant }, page) {
      const { items, next_cursor } = await types.list(db.of(tenant), tenant, page)
      return { items: items.map((one) => asRead(tenant, one)), next_cursor }
    },
    async get({ tenant }, name) {
      const found = await types.get(db.of(tenant), tenant, name)
      if (found === undefined) throw notFound(`type ${name}`)
      return { body: asRead(tenant, found), version: found.version }
    },
    put: (write, type) => change(write, (at) => putDocument(TYPE, at, type)),
    delete: (write, name) => change(write, (at) => deleteDocument(TYPE, at, name)),
  }
}

const TYPE: DocumentKind<EntityType> = {
  noun: 'type',
  table: types,
  normal: normalType,
  async check(change, type) {
    const problems = checkType(type)
    if (problems.length === 0 && type.stored === 'never') await refuseKept(change, type.name)
    return [...problems, ...(await mappedToType(change, type))]
  },
  logged: (name, operation, before, after) => ({ kind: 'type', key: { name }, operation, before, after }),
  async refuseUsed(change, name) {
    const { trx, tenant } = change
    const kept = await keptOfType(trx, tenant, name, NAMED + 1)
    const owners = kept.length > NAMED ? [] : await ownersNamingType(trx, tenant, name, NAMED + 1)
    refuseUsed(`type ${name}`, [...kept, ...owners, ...(await operationsOn(change, name))])
  },
}

/** What is kept of a type that is never looked up would lie there without effect. */
async function refuseKept({ trx, tenant }: Change, name: string): Promise<void> {
  const kept = await keptOfType(trx, tenant, name, NAMED + 1)
  if (kept.length === 0) return
  const rest = kept.length > NAMED ? ' and others' : ''
  const detail = `there is something of the type ${name} already: ${kept.slice(0, NAMED).join(', ')}${rest}`
  throw new Failure('conflict', detail, { problems: [{ pointer: '/stored', detail }] })
}
