import { Failure } from '../failure.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { getTenant, insertTenant, listTenants, type Tenant, updateTenant } from '../store/tenants.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound } from './refusal.ts'
import { type ShownTenant, shownTenant } from './representation.ts'
import type { Answer, Found, Parts, Write } from './write.ts'

/** Writes of tenants are writes of the tenant `system`: `write.tenant` is `system`, and the revision is its own. */
export interface TenantAdministration {
  list(page: Page): Promise<Listed<ShownTenant>>
  get(id: string): Promise<Found<ShownTenant>>
  create(write: Write, tenant: { readonly id: string; readonly name: string }): Promise<Answer<ShownTenant>>
  patch(write: Write, id: string, patch: TenantPatch): Promise<Answer<ShownTenant>>
  /** Marks it deleted: from then on it is not there, and its id is never used again. */
  delete(write: Write, id: string): Promise<Answer<null>>
}

export interface TenantPatch {
  readonly name?: string | undefined
  readonly status?: 'active' | 'suspended' | undefined
}

export function tenantAdministration({ db }: Parts, change: Changer): TenantAdministration {
  return {
    async list(page) {
      const { items, next_cursor } = await listTenants(db, page)
      return { items: items.map(shownTenant), next_cursor }
    },
    async get(id) {
      const found = present(await getTenant(db, id), id)
      return { body: shownTenant(found), version: found.version }
    },
    create: (write, tenant) => change(inSystem(write), (at) => create(at, tenant)),
    patch: (write, id, fields) => change(inSystem(write), (at) => patch(at, id, fields)),
    delete: (write, id) => change(inSystem(write), (at) => remove(at, id)),
  }
}

async function create(change: Change, { id, name }: { id: string; name: string }): Promise<Outcome<ShownTenant>> {
  const { trx, revision: version, at } = change
  checkPrecondition(change.write.if_match, undefined)
  if ((await getTenant(trx, id)) !== undefined) {
    const detail = 'the id is in use, or was: it is never used again'
    throw new Failure('conflict', `the tenant ${id} cannot be created: ${detail}`, {
      problems: [{ pointer: '/id', detail }],
    })
  }
  await insertTenant(trx, { id, name, version, at })
  change.log({
    kind: 'tenant',
    key: { id },
    operation: 'create',
    before: null,
    after: { id, name, status: 'active' },
  })
  const tenant = { id, name, status: 'active', revision: 0, version, created_at: at, updated_at: at } as const
  return { status: 201, body: shownTenant(tenant), version, id }
}

async function patch(change: Change, id: string, fields: TenantPatch): Promise<Outcome<ShownTenant>> {
  const before = await find(change, id)
  const { name = before.name, status = before.status } = fields
  if (name === before.name && status === before.status) {
    return { status: 200, body: shownTenant(before), version: before.version, id }
  }
  if (status !== 'active') refuseSystem(id)
  const revision = id === change.tenant ? change.revision : before.revision
  const after = { ...before, name, status, revision, version: change.revision, updated_at: change.at }
  await update(change, before, after)
  return { status: 200, body: shownTenant(after), version: after.version, id }
}

async function remove(change: Change, id: string): Promise<Outcome<null>> {
  const before = await find(change, id)
  refuseSystem(id)
  await update(change, before, { ...before, status: 'deleted', version: change.revision })
  return { status: 204, body: null, version: null, id }
}

async function find({ trx, write }: Change, id: string): Promise<Tenant> {
  const found = present(await getTenant(trx, id), id)
  checkPrecondition(write.if_match, found.version)
  return found
}

async function update(change: Change, before: Tenant, after: Tenant): Promise<void> {
  await updateTenant(change.trx, { ...after, at: change.at })
  const operation = after.status === 'deleted' ? 'delete' : 'update'
  const key = { id: before.id }
  change.log({
    kind: 'tenant',
    key,
    operation,
    before: facts(before),
    after: operation === 'delete' ? null : facts(after),
  })
}

function facts({ id, name, status }: Tenant) {
  return { id, name, status }
}

function present(tenant: Tenant | undefined, id: string): Tenant {
  if (tenant === undefined || tenant.status === 'deleted') throw notFound(`tenant ${id}`)
  return tenant
}

function refuseSystem(id: string): void {
  if (id === 'system') {
    throw new Failure('conflict', 'the tenant system can be neither suspended nor deleted: its operators run Verdict')
  }
}

function inSystem(write: Write): Write {
  return { ...write, tenant: 'system' }
}
