import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { secretHash } from '../../src/authn/api-key.ts'
import { BOOTSTRAP, bootstrap } from '../../src/store/bootstrap.ts'
import { appendChange } from '../../src/store/changes.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const secret = (letter: string) => letter.repeat(40)
const KEYS = { rootKey: `vdt_root_${secret('r')}`, adminKey: `vdt_admin_${secret('a')}` }
const clock = () => new Date('2026-01-02T03:04:05.678Z')

async function database(): Promise<FreshDatabase['db']> {
  const fresh = await freshDatabase()
  onTestFinished(() => fresh.close())
  return fresh.db
}

async function keysIn(db: FreshDatabase['db']) {
  const { rows } = await sql<{ key: string }>`
    select tenant_id || ' ' || subject_type || ':' || subject_id || ' ' || id || ' ' || array_to_string(roles, '+') as key
    from api_keys order by key`.execute(db)
  return rows.map((row) => row.key)
}

async function revisionsOf(db: FreshDatabase['db']) {
  const rows = await db.selectFrom('tenants').select(['id', 'revision']).orderBy('id').execute()
  return Object.fromEntries(rows.map(({ id, revision }) => [id, revision]))
}

test('an empty database gets the tenants system and default, the root key and the admin key', async () => {
  const db = await database()
  expect(await bootstrap(db, KEYS, clock)).toBe(true)
  expect(await keysIn(db)).toEqual([
    'default service:admin admin pdp:admin',
    'system service:root root pdp:operator+pdp:admin',
  ])
  const { secret_sha256 } = await db
    .selectFrom('api_keys')
    .selectAll()
    .where('id', '=', 'root')
    .executeTakeFirstOrThrow()
  expect(secret_sha256).toEqual(secretHash(secret('r')))
  const index = await db.selectFrom('api_key_index').selectAll().orderBy('id').execute()
  expect(index).toEqual([
    { id: 'admin', tenant_id: 'default' },
    { id: 'root', tenant_id: 'system' },
  ])
})

test('each write of the first start is a revision, logged with its actor and owed to the audit', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  const log = await db
    .selectFrom('policy_changes')
    .select(['tenant_id', 'revision', 'kind', 'operation', 'key', 'actor'])
    .orderBy('tenant_id')
    .orderBy('revision')
    .orderBy('ordinal')
    .execute()
  const written = { operation: 'create', actor: BOOTSTRAP }
  expect(log).toEqual([
    { tenant_id: 'default', revision: 1, kind: 'api_key', key: { id: 'admin' }, ...written },
    { tenant_id: 'system', revision: 1, kind: 'tenant', key: { id: 'system' }, ...written },
    { tenant_id: 'system', revision: 1, kind: 'tenant', key: { id: 'default' }, ...written },
    { tenant_id: 'system', revision: 2, kind: 'api_key', key: { id: 'root' }, ...written },
  ])
  const owed = await db.selectFrom('audit_outbox').select(['tenant_id', 'event']).execute()
  const events = owed
    .map(({ event }) => JSON.parse(event))
    .sort((a, b) => (a.tenant + a.revision < b.tenant + b.revision ? -1 : 1))
  expect(events).toMatchObject([
    {
      tenant: 'default',
      revision: 1,
      type: 'administration',
      actor: BOOTSTRAP,
      resource: { type: 'pdp:api_key', id: 'admin' },
    },
    { tenant: 'system', revision: 1, resource: { type: 'pdp:tenant', id: 'system' } },
    { tenant: 'system', revision: 2, resource: { type: 'pdp:api_key', id: 'root' } },
  ])
})

test('no secret, and no hash of one, stands in the change log or in the audit', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  const { rows } = await sql<{ text: string }>`
    select row_to_json(c)::text as text from policy_changes c union all select event from audit_outbox`.execute(db)
  const text = rows.map((row) => row.text).join('\n')
  for (const letter of ['r', 'a']) {
    expect(text).not.toContain(secret(letter))
    expect(text).not.toContain(secretHash(secret(letter)).toString('hex'))
  }
})

test('a later start with the same keys changes nothing', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  const before = await revisionsOf(db)
  expect(await bootstrap(db, KEYS, clock)).toBe(false)
  expect(await revisionsOf(db)).toEqual(before)
})

test('replicas that start at once on an empty database make everything once', async () => {
  const db = await database()
  const made = await Promise.all(Array.from({ length: 4 }, () => bootstrap(db, KEYS, clock)))
  expect(made.filter((first) => first)).toHaveLength(1)
  expect(await revisionsOf(db)).toEqual({ default: 1, system: 2 })
})

test('a changed key replaces the former one, in one revision that is logged', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  await bootstrap(db, { ...KEYS, adminKey: `vdt_admin2_${secret('b')}` }, clock)
  expect(await keysIn(db)).toEqual([
    'default service:admin admin2 pdp:admin',
    'system service:root root pdp:operator+pdp:admin',
  ])
  expect(await revisionsOf(db)).toEqual({ default: 2, system: 2 })
  const log = await db
    .selectFrom('policy_changes')
    .select(['operation', 'key'])
    .where('tenant_id', '=', 'default')
    .where('revision', '=', 2)
    .orderBy('ordinal')
    .execute()
  expect(log).toEqual([
    { operation: 'delete', key: { id: 'admin' } },
    { operation: 'create', key: { id: 'admin2' } },
  ])
  expect(await db.selectFrom('api_key_index').select('id').orderBy('id').execute()).toEqual([
    { id: 'admin2' },
    { id: 'root' },
  ])
})

test('a changed secret under the same id replaces the former one', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  await bootstrap(db, { ...KEYS, rootKey: `vdt_root_${secret('x')}` }, clock)
  const { secret_sha256 } = await db
    .selectFrom('api_keys')
    .selectAll()
    .where('id', '=', 'root')
    .executeTakeFirstOrThrow()
  expect(secret_sha256).toEqual(secretHash(secret('x')))
})

test('a key that somebody else made is never taken for a former one, whatever its name', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  await sql`insert into api_key_index values ('other', 'default')`.execute(db)
  await sql`insert into api_keys (tenant_id, id, name, subject_type, subject_id, roles, secret_sha256)
    select tenant_id, 'other', name, subject_type, subject_id, roles, secret_sha256 from api_keys where id = 'admin'`.execute(
    db,
  )
  await db.transaction().execute((trx) =>
    appendChange(trx, {
      tenant: 'default',
      actor: { type: 'service', id: 'admin' },
      reason: null,
      at: clock(),
      changes: [{ kind: 'api_key', key: { id: 'other' }, operation: 'create', before: null, after: null }],
    }),
  )
  await bootstrap(db, { ...KEYS, adminKey: `vdt_admin2_${secret('b')}` }, clock)
  expect(await keysIn(db)).toContain('default service:admin other pdp:admin')
})

test('a key with the id of one that somebody else made is refused, and nothing is changed', async () => {
  const db = await database()
  await bootstrap(db, KEYS, clock)
  await expect(bootstrap(db, { ...KEYS, adminKey: `vdt_root_${secret('b')}` }, clock)).rejects.toMatchObject({
    code: 'unsafe_configuration',
    message: 'VERDICT_ADMIN_KEY has the id of another API key, root: choose another id',
  })
  expect(await keysIn(db)).toHaveLength(2)
})

test('without an admin key none is made, and one that is there stays', async () => {
  const db = await database()
  await bootstrap(db, { rootKey: KEYS.rootKey, adminKey: undefined }, clock)
  expect(await keysIn(db)).toEqual(['system service:root root pdp:operator+pdp:admin'])
  await bootstrap(db, KEYS, clock)
  await bootstrap(db, { rootKey: KEYS.rootKey, adminKey: undefined }, clock)
  expect(await keysIn(db)).toHaveLength(2)
})

test('a tenant default that was deleted is not made again', async () => {
  const db = await database()
  await bootstrap(db, { rootKey: KEYS.rootKey, adminKey: undefined }, clock)
  await sql`update tenants set status = 'deleted' where id = 'default'`.execute(db)
  expect(await bootstrap(db, KEYS, clock)).toBe(false)
  expect(await keysIn(db)).toHaveLength(1)
})
