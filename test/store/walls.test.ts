import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { isWalled } from '../../src/store/database.ts'
import { SERVICE_PRIVILEGES } from '../../src/store/grants.ts'
import { migrate } from '../../src/store/migrate.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

// What row-level security holds by itself, where a statement has forgotten to say whose rows it means.

let service: TestService

beforeAll(async () => {
  service = await startService()
  const { ask, rootKey } = service
  await ask('POST /v1/tenants', { key: rootKey, body: { id: 'acme', name: 'Acme' } })
  const headers = { 'verdict-tenant': 'acme' }
  const subject = { type: 'service', id: 'admin' }
  const key = { name: 'admin', subject, roles: ['pdp:admin'] }
  const { body } = await ask('POST /v1/api-keys', { key: rootKey, headers, body: key })
  for (const as of [service.adminKey, body.key]) {
    const write = (route: string, document: unknown, more = {}) =>
      ask(route, { key: as, body: document, headers: more })
    await write('PUT /v1/types/document', { actions: ['read'] })
    await write('PUT /v1/policies/acl', { combining: 'deny_overrides' })
    await write('PUT /v1/roles/viewer', { permissions: [{ actions: ['read'], resources: [{ type: 'document' }] }] })
    await write('PUT /v1/roles/editor', { inherits: ['viewer'] })
    await write('PUT /v1/rules/r', {
      effect: 'allow',
      subjects: [{ role: 'viewer' }],
      actions: ['read'],
      resources: [{ type: 'document' }],
    })
    await write('PUT /v1/entities/user/alice', { parents: [{ type: 'group', id: 'g' }] })
    await write('POST /v1/assignments', { subject: { type: 'user', id: 'alice' }, role: 'viewer' })
    await write('PUT /v1/settings', { attribute_precedence: 'stored' }, { 'idempotency-key': 'once' })
    await ask('POST /v1/authorize', {
      key: as,
      body: {
        subject: { type: 'user', id: 'alice' },
        action: { name: 'read' },
        resource: { type: 'document', id: '1' },
      },
    })
  }
  await eventually(
    () => ask('GET /v1/audit?type=decision', { key: body.key }),
    ({ body: page }) => page.items.length > 0,
  )
})
afterAll(() => service.close())

/** Every table that says whose its rows are, but for the one that says it of a key before anything is known. */
async function tablesOfTenants(): Promise<{ name: string; enabled: boolean; forced: boolean; policies: number }[]> {
  const { rows } = await sql<{ name: string; enabled: boolean; forced: boolean; policies: number }>`
    select c.relname as name, relrowsecurity as enabled, relforcerowsecurity as forced,
           (select count(*) from pg_policy where polrelid = c.oid) as policies
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'api_key_index' order by 1`.execute(service.database.db)
  return rows
}

async function seen(tenant: string | undefined, table: string): Promise<string[]> {
  const { service: db } = service.database
  const { rows } = await sql<{ tenant_id: string }>`
    select distinct tenant_id from ${sql.table(table)} order by 1`.execute(tenant === undefined ? db : db.of(tenant))
  return rows.map((row) => row.tenant_id)
}

test('a role that the wall does not hold is known for it', async () => {
  expect(await isWalled(service.database.service)).toBe(true)
  expect(await isWalled(service.database.db)).toBe(false)
})

describe('the wall between tenants', () => {
  test('stands on every table that has a tenant_id', async () => {
    const tables = await tablesOfTenants()
    expect(tables.length).toBeGreaterThanOrEqual(15)
    expect(tables.filter(({ enabled, forced, policies }) => !enabled || !forced || policies !== 2)).toEqual([])
  })

  test('has no way round it through the partitions of the audit', async () => {
    const { rows } = await sql<{ name: string }>`
      select relname as name from pg_class c
      where relispartition and relkind = 'r'
        and has_table_privilege(${inject('postgres').serviceUser}, c.oid, 'select, insert, update, delete')`.execute(
      service.database.db,
    )
    expect(rows).toEqual([])
  })

  test('lets a query without its tenant condition see the rows of the tenant it is for, and no other', async () => {
    for (const { name } of await tablesOfTenants()) {
      // As nobody in particular: nothing.
      expect([name, await seen(undefined, name)]).toEqual([name, []])
      const own = await seen('acme', name)
      expect([name, own.filter((tenant) => tenant !== 'acme')]).toEqual([name, []])
    }
  })

  test('is seen to hold something: acme has rows of its own in every table that this test fills', async () => {
    const filled = []
    for (const { name } of await tablesOfTenants()) if ((await seen('acme', name)).length > 0) filled.push(name)
    expect(filled).toEqual(
      expect.arrayContaining([
        ...['api_keys', 'assignments', 'audit', 'entities', 'entity_parents', 'idempotency_keys', 'policies'],
        ...['policy_changes', 'policy_references', 'role_edges', 'roles', 'rules', 'settings', 'types'],
      ]),
    )
  })

  test('lets a write without its tenant condition change no other tenant', async () => {
    const { service: db, db: all } = service.database
    await sql`update rules set effect = 'deny'`.execute(db.of('acme'))
    const { rows } = await sql`select tenant_id, effect from rules where name = 'r' order by 1`.execute(all)
    expect(rows).toEqual([
      { tenant_id: 'acme', effect: 'deny' },
      { tenant_id: 'default', effect: 'allow' },
    ])
    await sql`delete from assignments`.execute(db.of('acme'))
    expect((await sql`select from assignments where tenant_id = 'default'`.execute(all)).rows.length).toBeGreaterThan(0)
  })

  test('refuses a row that is put into another tenant, and one that is moved there', async () => {
    const { service: db } = service.database
    const refused = { code: '42501' }
    await expect(
      sql`insert into settings (tenant_id, body) values ('system', '{}')`.execute(db.of('acme')),
    ).rejects.toMatchObject(refused)
    await expect(sql`update rules set tenant_id = 'default', name = 's'`.execute(db.of('acme'))).rejects.toMatchObject(
      refused,
    )
  })

  test('holds for a whole transaction, and for nothing after it', async () => {
    const { service: db } = service.database
    const names = await db
      .of('acme')
      .transaction()
      .execute(async (trx) => {
        await sql`select 1`.execute(trx)
        return (await sql<{ tenant_id: string }>`select distinct tenant_id from rules`.execute(trx)).rows
      })
    expect(names).toEqual([{ tenant_id: 'acme' }])
    for (let n = 0; n < 8; n++) expect(await seen(undefined, 'rules')).toEqual([])
  })

  test('is open to what is for the whole deployment in the audit alone', async () => {
    const { service: db } = service.database
    for (const { name } of await tablesOfTenants()) {
      const { rows } = await sql<{ tenant_id: string }>`select distinct tenant_id from ${sql.table(name)}`.execute(
        db.across,
      )
      if (!name.startsWith('audit')) expect([name, rows]).toEqual([name, []])
      if (name === 'audit') expect(rows.length).toBeGreaterThan(1)
    }
  })

  test('is not talked over by a tenant that is no name of one', async () => {
    const { service: db } = service.database
    for (const name of ["acme', true); select '", '', 'ACME', 'a'.repeat(64)]) {
      expect(() => db.of(name)).toThrow('for no tenant')
    }
  })

  test('lets the service make no table, not even a temporary one', async () => {
    const { service: db, ownerUrl } = service.database
    // Rights on a database do not come with its copy.
    await migrate(ownerUrl, { user: inject('postgres').serviceUser })
    for (const table of ['temp table mine', 'table mine']) {
      await expect(sql.raw(`create ${table} (id int)`).execute(db.of('acme'))).rejects.toThrow()
    }
    const { rows } = await sql<{ may: boolean }>`
      select has_database_privilege(${inject('postgres').serviceUser}, current_database(), 'temporary, create') as may`.execute(
      service.database.db,
    )
    expect(rows).toEqual([{ may: false }])
  })

  test('leaves the service no table that it could read and the wall does not know', async () => {
    const outside = ['tenants', 'api_key_index', 'signing_keys', 'audit_writers', 'audit_tree', 'audit_checkpoints']
    const known = new Set((await tablesOfTenants()).map(({ name }) => name))
    const rest = Object.keys(SERVICE_PRIVILEGES).filter((name) => !known.has(name) && !outside.includes(name))
    // Those of the deployment, of which the migrations that make them say why.
    expect(
      rest.filter(
        (name) => !['audit_keys', 'audit_pruned', 'deployment_key', 'revoked_tokens', 'login_throttles'].includes(name),
      ),
    ).toEqual([])
  })
})
