import type { Problem } from '../failure.ts'
import { Failure } from '../failure.ts'
import type { PolicyChange } from '../policy/change.ts'
import type { DocumentTable, Stored } from '../store/documents.ts'
import type { Change, Outcome } from './change.ts'
import { same } from './normal.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, refuse } from './refusal.ts'
import { shown, type Written, warned } from './representation.ts'

interface Named {
  readonly name: string
}

/** A kind of document that is kept whole by its name. */
export interface DocumentKind<T extends Named> {
  /** As a refusal names one: "role". */
  readonly noun: string
  readonly table: DocumentTable<T>
  normal(document: T): T
  /** What is wrong with it: by itself, and with what it names in this tenant. */
  check(change: Change, document: T): Promise<readonly Problem[]>
  /** What is worth telling of it, and keeps it from nothing. */
  warnings?(change: Change, document: T): Promise<readonly Problem[]>
  logged(name: string, operation: PolicyChange['operation'], before: T | null, after: T | null): PolicyChange
  /** Refuses if something uses it. */
  refuseUsed(change: Change, name: string): Promise<void>
}

export async function createDocument<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  document: T,
): Promise<Outcome<Written<T>>> {
  checkPrecondition(change.write.if_match, undefined)
  if ((await find(kind, change, document.name)) !== undefined) {
    throw new Failure('conflict', `there is a ${kind.noun} ${document.name} already`, {
      problems: [{ pointer: '/name', detail: `there is a ${kind.noun} of this name already` }],
    })
  }
  return write(kind, change, undefined, kind.normal(document))
}

/** Creates the document or replaces it whole. */
export async function putDocument<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  document: T,
  unset?: Stored<T>,
): Promise<Outcome<Written<T>>> {
  const before = await find(kind, change, document.name)
  const present = before ?? unset
  checkPrecondition(change.write.if_match, present?.version)
  const after = kind.normal(document)
  if (present !== undefined && same(kind.normal(present.document), after))
    return unchanged(kind, change, present, after)
  const outcome = await write(kind, change, before, after)
  return present === undefined ? outcome : { ...outcome, status: 200 }
}

export async function deleteDocument<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  name: string,
): Promise<Outcome<null>> {
  const before = await find(kind, change, name)
  if (before === undefined) throw notFound(`${kind.noun} ${name}`)
  checkPrecondition(change.write.if_match, before.version)
  await kind.refuseUsed(change, name)
  await kind.table.remove(change.trx, change.tenant, [name])
  change.log(kind.logged(name, 'delete', kind.normal(before.document), null))
  return { status: 204, body: null, version: null, id: name }
}

async function write<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  before: Stored<T> | undefined,
  after: T,
): Promise<Outcome<Written<T>>> {
  refuse(await kind.check(change, after))
  await kind.table.put(change.trx, change, [after])
  const operation = before === undefined ? 'create' : 'update'
  change.log(kind.logged(after.name, operation, before === undefined ? null : kind.normal(before.document), after))
  const { revision: version, at } = change
  const stored = { document: after, version, created_at: before?.created_at ?? at, updated_at: at }
  const body = await withWarnings(kind, change, stored)
  return { status: before === undefined ? 201 : 200, body, version, id: after.name }
}

async function unchanged<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  present: Stored<T>,
  document: T,
): Promise<Outcome<Written<T>>> {
  const body = await withWarnings(kind, change, { ...present, document })
  return { status: 200, body, version: present.version, id: document.name }
}

async function withWarnings<T extends Named>(
  kind: DocumentKind<T>,
  change: Change,
  stored: Stored<T>,
): Promise<Written<T>> {
  return warned(shown(stored), (await kind.warnings?.(change, stored.document)) ?? [])
}

function find<T extends Named>(kind: DocumentKind<T>, change: Change, name: string): Promise<Stored<T> | undefined> {
  return kind.table.get(change.trx, change.tenant, name)
}
