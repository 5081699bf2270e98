import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import { mayMigrate, migrate, pendingMigrations } from '../../src/store/migrate.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { MIGRATIONS } from '../support/migrations.ts'

const { serviceUser } = inject('postgres')

async function emptyDatabase(): Promise<FreshDatabase> {
  const fresh = await freshDatabase('empty')
  onTestFinished(() => fresh.close())
  return fresh
}

function asOwner(fresh: FreshDatabase) {
  const owner = openDatabase({ url: fresh.ownerUrl, queryTimeout: 10_000 })
  onTestFinished(() => owner.close())
  return owner.db
}

/** A directory of migrations: file name → SQL. */
async function migrations(files: Record<string, string>) {
  const path = await mkdtemp(join(tmpdir(), 'verdict-migrations-'))
  onTestFinished(() => rm(path, { recursive: true }))
  const directory = pathToFileURL(`${path}/`)
  const put = (name: string, text: string) => writeFile(new URL(name, directory), text)
  for (const [name, text] of Object.entries(files)) await put(name, text)
  return { directory, put, remove: (name: string) => rm(new URL(name, directory)) }
}

describe('migrating', () => {
  test('runs every migration once, in order, and then has nothing to do', async () => {
    const fresh = await emptyDatabase()
    expect(await migrate(fresh.ownerUrl, serviceUser)).toEqual(MIGRATIONS)
    expect(await migrate(fresh.ownerUrl, serviceUser)).toEqual([])
  })

  test('runs each migration once when four replicas start together', async () => {
    const fresh = await emptyDatabase()
    const ran = await Promise.all(Array.from({ length: 4 }, () => migrate(fresh.ownerUrl, serviceUser)))
    expect(ran.flat()).toEqual(MIGRATIONS)
  })

  test('undoes the whole of a run that fails', async () => {
    const fresh = await emptyDatabase()
    const { directory, put } = await migrations({ '0001_a.sql': 'create table a (); create table b ();' })
    await put('0002_c.sql', 'create table c (); select nothing from nowhere;')
    await expect(migrate(fresh.ownerUrl, undefined, directory)).rejects.toMatchObject({
      code: 'internal',
      message: 'could not migrate: relation "nowhere" does not exist',
    })
    expect(await pendingMigrations(asOwner(fresh), directory)).toEqual(['0001_a', '0002_c'])
  })

  test('waits for a lock in short spells, between which others can read', async () => {
    const fresh = await emptyDatabase()
    const { directory, put } = await migrations({ '0001_a.sql': 'create table a (id int);' })
    await migrate(fresh.ownerUrl, undefined, directory)
    await put('0002_b.sql', 'alter table a add column b int;')
    const db = asOwner(fresh)
    let migrated: Promise<string[]> = Promise.resolve([])
    await db.transaction().execute(async (trx) => {
      await sql`select id from a`.execute(trx)
      migrated = migrate(fresh.ownerUrl, undefined, directory)
      await sql`select pg_sleep(0.5)`.execute(trx)
      // Who waited on and on would be waited for: this transaction ends after the answer.
      await sql`select id from a`.execute(db)
    })
    expect(await migrated).toEqual(['0002_b'])
  })

  test('is unavailable where no database is', async () => {
    await expect(migrate('postgres://nobody:none@127.0.0.1:1/none')).rejects.toMatchObject({
      code: 'store_unavailable',
    })
  })

  test('says which role is missing for the service', async () => {
    const fresh = await emptyDatabase()
    await expect(migrate(fresh.ownerUrl, 'nobody_at_all')).rejects.toMatchObject({
      code: 'unsafe_configuration',
      message: 'the database has no role "nobody_at_all" for the service',
    })
  })
})

describe('the history of migrations', () => {
  const two = { '0001_a.sql': 'create table a ();', '0002_b.sql': 'create table b ();' }

  test('shows to the restricted role what is pending', async () => {
    const fresh = await emptyDatabase()
    expect(await pendingMigrations(fresh.db)).toEqual(MIGRATIONS)
    await migrate(fresh.ownerUrl, serviceUser)
    expect(await pendingMigrations(fresh.db)).toEqual([])
  })

  test('is refused where an applied migration was edited', async () => {
    const fresh = await emptyDatabase()
    const { directory, put } = await migrations(two)
    await migrate(fresh.ownerUrl, undefined, directory)
    await put('0001_a.sql', 'create table a (more int);')
    await expect(migrate(fresh.ownerUrl, undefined, directory)).rejects.toMatchObject({
      code: 'unsafe_configuration',
      problems: [{ detail: '0001_a was changed after it was applied to this database' }],
    })
  })

  test('is refused where an applied migration was removed', async () => {
    const fresh = await emptyDatabase()
    const { directory, remove } = await migrations(two)
    await migrate(fresh.ownerUrl, undefined, directory)
    await remove('0001_a.sql')
    await expect(migrate(fresh.ownerUrl, undefined, directory)).rejects.toMatchObject({
      problems: [{ detail: '0001_a was removed after it was applied to this database' }],
    })
  })

  test('of a newer version leaves an older one nothing to do', async () => {
    const fresh = await emptyDatabase()
    const { directory, remove } = await migrations(two)
    await migrate(fresh.ownerUrl, undefined, directory)
    await remove('0002_b.sql')
    expect(await migrate(fresh.ownerUrl, undefined, directory)).toEqual([])
  })
})

describe("the service's role", () => {
  let fresh: FreshDatabase
  beforeAll(async () => {
    fresh = await freshDatabase()
    await sql`insert into audit (tenant_id, at, id, writer, seq, type, record)
      values ('t', now(), gen_random_uuid(), gen_random_uuid(), 0, 'decision', '\\x00')`.execute(fresh.db)
  })
  afterAll(() => fresh.close())

  test.each([
    'update audit set type = type',
    'delete from audit',
    'truncate audit',
    'delete from audit_default',
    'update policy_changes set reason = reason',
    'delete from policy_changes',
    'truncate policy_changes',
    'delete from tenants',
    'delete from audit_writers',
    'delete from signing_keys',
    'truncate rules',
    'create table mine ()',
    'alter table rules add column mine int',
    'drop table rules',
    'create function mine() returns int language sql as $$ select 1 $$',
    'update schema_migrations set name = name',
    'alter table audit disable trigger all',
    'alter table audit_writers disable trigger all',
    'drop trigger audit_writers_only_go_forward on audit_writers',
    'set session_replication_role = replica',
    'alter table audit detach partition audit_default',
    'drop table audit_default',
    'alter table audit rename to elsewhere',
    'create index mine on audit (reason)',
    'create trigger mine before insert on audit for each row execute function keep_audit_writers()',
    'truncate audit_writers',
    'update audit_pruned set records = 0',
    'delete from audit_pruned',
    'truncate audit_pruned',
    'drop function ensure_audit_partitions',
    'alter function keep_audit_writers() rename to another',
    'alter table audit owner to current_user',
    'create schema mine',
  ])('may not: %s', async (statement) => {
    await expect(sql.raw(statement).execute(fresh.service)).rejects.toMatchObject({ code: '42501' })
  })

  test('may not delete from a partition of the audit directly', async () => {
    const { rows } = await sql<{ name: string }>`
      select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit'::regclass`.execute(
      fresh.service,
    )
    expect(rows.length).toBeGreaterThanOrEqual(4)
    for (const { name } of rows) {
      await expect(sql`delete from ${sql.table(name)}`.execute(fresh.service)).rejects.toMatchObject({ code: '42501' })
    }
  })

  describe('and how far a writer is', () => {
    const writer = '01990000-0000-7000-8000-0000000000aa'
    const closed = '01990000-0000-7000-8000-0000000000bb'
    beforeAll(async () => {
      await sql`insert into audit_writers (writer, position) values (${writer}, 7), (${closed}, 7)`.execute(
        fresh.service,
      )
      await sql`update audit_writers set closed_at = now() where writer = ${closed}`.execute(fresh.service)
    })

    test.each([
      ['take a position back', `update audit_writers set position = 6 where writer = '${writer}'`],
      ['move a writer that is closed', `update audit_writers set position = 8 where writer = '${closed}'`],
      ['open a writer that is closed', `update audit_writers set closed_at = null where writer = '${closed}'`],
      ['close a writer earlier', `update audit_writers set closed_at = 'epoch' where writer = '${closed}'`],
      ['rename a writer', `update audit_writers set writer = gen_random_uuid() where writer = '${writer}'`],
      ['change when a writer began', `update audit_writers set started_at = 'epoch' where writer = '${writer}'`],
    ])('it may not: %s', async (_what, statement) => {
      await expect(sql.raw(statement).execute(fresh.service)).rejects.toMatchObject({ code: '42501' })
    })

    test('it may move it on', async () => {
      const { numAffectedRows } = await sql`
        update audit_writers set position = 8 where writer = ${writer}`.execute(fresh.service)
      expect(numAffectedRows).toBe(1n)
    })
  })

  test('may not migrate, and the owner may', async () => {
    expect(await mayMigrate(fresh.service)).toBe(false)
    expect(await mayMigrate(asOwner(fresh))).toBe(true)
    const empty = await emptyDatabase()
    expect(await mayMigrate(empty.service)).toBe(false)
    expect(await mayMigrate(asOwner(empty))).toBe(true)
  })

  test('has lost a right that it had before the last migration', async () => {
    const other = await freshDatabase()
    onTestFinished(() => other.close())
    await sql`grant delete on audit to ${sql.id(serviceUser)}`.execute(asOwner(other))
    await sql`delete from audit`.execute(other.service)
    await migrate(other.ownerUrl, serviceUser)
    await expect(sql`delete from audit`.execute(other.service)).rejects.toMatchObject({ code: '42501' })
  })
})

describe('partitions of the audit', () => {
  let fresh: FreshDatabase
  beforeAll(async () => {
    fresh = await freshDatabase()
  })
  afterAll(() => fresh.close())

  async function partitionOf(at: string): Promise<string | undefined> {
    const { rows } = await sql<{ name: string }>`
      insert into audit (tenant_id, at, id, writer, seq, type, record)
      values ('t', ${at}, gen_random_uuid(), gen_random_uuid(), 0, 'decision', '\\x00')
      returning tableoid::regclass::text as name`.execute(fresh.db)
    return rows[0]?.name
  }

  test('are made by the service for a month and the two after it', async () => {
    await sql`select ensure_audit_partitions('2031-11-30T23:59:59Z')`.execute(fresh.service)
    expect(await partitionOf('2031-11-01T00:00:00Z')).toBe('audit_2031_11')
    expect(await partitionOf('2031-12-31T23:59:59.999Z')).toBe('audit_2031_12')
    expect(await partitionOf('2032-01-01T00:00:00Z')).toBe('audit_2032_01')
  })

  test('follow months in UTC, whatever zone and date style a session has', async () => {
    await fresh.service.transaction().execute(async (trx) => {
      await sql`set local timezone = 'Pacific/Kiritimati'; set local datestyle = 'SQL, DMY'`.execute(trx)
      await sql`select ensure_audit_partitions('2041-05-31T12:00:00Z')`.execute(trx)
    })
    expect(await partitionOf('2041-05-31T23:00:00Z')).toBe('audit_2041_05')
  })

  test('leave a record that fits none to the default one', async () => {
    expect(await partitionOf('1999-01-01T00:00:00Z')).toBe('audit_default')
  })

  test('are not made for a month whose records stand in the default one, and the others still are', async () => {
    expect(await partitionOf('2051-03-05T00:00:00Z')).toBe('audit_default')
    await sql`select ensure_audit_partitions('2051-02-01T00:00:00Z')`.execute(fresh.service)
    expect(await partitionOf('2051-02-05T00:00:00Z')).toBe('audit_2051_02')
    expect(await partitionOf('2051-03-06T00:00:00Z')).toBe('audit_default')
    expect(await partitionOf('2051-04-05T00:00:00Z')).toBe('audit_2051_04')
  })

  test('are made once by replicas that do it at the same time', async () => {
    const made = sql`select ensure_audit_partitions('2061-01-01T00:00:00Z')`
    await Promise.all(Array.from({ length: 4 }, () => made.execute(fresh.service)))
    expect(await partitionOf('2061-01-01T00:00:00Z')).toBe('audit_2061_01')
  })

  test("are not faked by a caller's temporary tables", async () => {
    await fresh.service.connection().execute(async (db) => {
      await sql`create temporary table audit_2071_01 ()`.execute(db)
      await sql`create temporary table audit (at timestamptz) partition by range (at)`.execute(db)
      await sql`select ensure_audit_partitions('2071-01-01T00:00:00Z')`.execute(db)
      await sql`discard temp`.execute(db)
    })
    expect(await partitionOf('2071-01-01T00:00:00Z')).toBe('audit_2071_01')
  })
})
