import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

// Citus itself is not at hand here: what it asks of keys is held against the schema that the migrations make.

let database: FreshDatabase
let script: string
beforeAll(async () => {
  database = await freshDatabase()
  script = await readFile(new URL('../../deploy/citus/distribute.sql', import.meta.url), 'utf8')
})
afterAll(() => database.close())

interface Placed {
  readonly table: string
  readonly how: 'distributed' | 'reference' | 'local'
  /** What it is distributed by. */
  readonly column: string | undefined
}

const CALL =
  /^select (create_distributed_table|create_reference_table|citus_add_local_table_to_metadata)\('(\w+)'(?:, '(\w+)', colocate_with => '(\w+)')?\);$/gm
const HOW = {
  create_distributed_table: 'distributed',
  create_reference_table: 'reference',
  citus_add_local_table_to_metadata: 'local',
} as const

/** In the order in which the script places them. */
function placed(): readonly Placed[] {
  return [...script.matchAll(CALL)].map(([, call = '', table = '', column]) => ({
    table,
    how: HOW[call as keyof typeof HOW],
    column,
  }))
}

/** What Kysely and the runner of migrations keep for themselves: no migration names it. */
const OWN_BOOKS = ['migration_files', 'schema_migrations', 'schema_migrations_lock']

async function tables(): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`.execute(database.db)
  return rows.map(({ name }) => name).filter((name) => !OWN_BOOKS.includes(name))
}

test('each table that the migrations make is placed once', async () => {
  const names = placed().map(({ table }) => table)
  expect([...names].sort()).toEqual([...(await tables())].sort())
  expect(script.match(/^select (create_|citus_)/gm)).toHaveLength(names.length)
})

test('a table with a tenant_id is distributed by it, but for the way from a key to its tenant', async () => {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_class join pg_attribute on attrelid = pg_class.oid
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and attname = 'tenant_id' and not attisdropped`.execute(database.db)
  const distributed = placed().filter(({ how, column }) => how === 'distributed' && column === 'tenant_id')
  expect([...distributed.map(({ table }) => table), 'api_key_index'].sort()).toEqual(
    rows.map(({ name }) => name).sort(),
  )
  expect(placed().filter(({ how, column }) => how === 'distributed' && column !== 'tenant_id')).toEqual([
    { table: 'tenants', how: 'distributed', column: 'id' },
  ])
})

test('every primary key and every unique index of a distributed table holds what it is distributed by', async () => {
  const { rows } = await sql<{ table: string; index: string; columns: string[] }>`
    select c.relname as table, i.relname as index,
           array(select attname::text from unnest(indkey::int2[]) as key (attnum)
                 join pg_attribute a on a.attrelid = indrelid and a.attnum = key.attnum) as columns
    from pg_index join pg_class c on c.oid = indrelid join pg_class i on i.oid = indexrelid
    where indisunique and c.relnamespace = 'public'::regnamespace`.execute(database.db)
  const keys = placed().flatMap(({ table, column }) =>
    rows.filter((row) => row.table === table && column !== undefined),
  )
  expect(keys.length).toBeGreaterThanOrEqual(placed().filter(({ how }) => how === 'distributed').length)
  const columnOf = new Map(placed().map(({ table, column }) => [table, column]))
  expect(keys.filter(({ table, columns }) => !columns.includes(columnOf.get(table) ?? ''))).toEqual([])
})

interface ForeignKey {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly pairs: readonly (readonly [string, string])[]
}

async function foreignKeys(): Promise<readonly ForeignKey[]> {
  const { rows } = await sql<ForeignKey>`
    select conname as name, f.relname as from, t.relname as to,
           (select json_agg(json_build_array(own.attname, other.attname))
            from unnest(conkey, confkey) as pair (own, other)
            join pg_attribute own on own.attrelid = conrelid and own.attnum = pair.own
            join pg_attribute other on other.attrelid = confrelid and other.attnum = pair.other) as pairs
    from pg_constraint join pg_class f on f.oid = conrelid join pg_class t on t.oid = confrelid
    where contype = 'f' and connamespace = 'public'::regnamespace`.execute(database.db)
  return rows
}

/** As Citus has it: to a reference table from anywhere, else between what stands on the same node by the same column. */
function mayStand({ from, to, pairs }: ForeignKey): boolean {
  const [own, other] = [from, to].map((name) => placed().find(({ table }) => table === name))
  if (other?.how !== 'distributed') return other?.how === 'reference' || own?.how === 'local'
  return own?.how === 'distributed' && pairs.some(([one, two]) => one === own.column && two === other.column)
}

test('every foreign key that Citus would refuse is dropped by the script, and no other', async () => {
  const refused = (await foreignKeys()).filter((key) => !mayStand(key)).map(({ from, name }) => `${from} ${name}`)
  const dropped = [...script.matchAll(/^alter table (\w+) drop constraint (\w+);$/gm)]
  expect(dropped.map(([, table, name]) => `${table} ${name}`)).toEqual(refused)
  expect(refused).toEqual(['api_key_index api_key_index_tenant_id_fkey'])
})

test('what others refer to is placed before them', async () => {
  const order = placed().map(({ table }) => table)
  const standing = (await foreignKeys()).filter(mayStand)
  expect(standing.filter(({ from, to }) => order.indexOf(to) > order.indexOf(from))).toEqual([])
})

test('no table with a trigger of ours is spread over nodes', async () => {
  const { rows } = await sql<{ name: string }>`
    select distinct relname as name from pg_trigger join pg_class c on c.oid = tgrelid
    where not tgisinternal and not relispartition`.execute(database.db)
  const local = placed().filter(({ how }) => how === 'local')
  expect(local.map(({ table }) => table)).toEqual(expect.arrayContaining(rows.map(({ name }) => name)))
})

/** What psql does where it was not told; the rest of its commands say nothing to the server. */
const UNTOLD = /^\\if :\{\?walls\}\n\\else\n {2}do .* raise '.*\n\\endif$/m

// What stands in for Citus's own functions notes what it is asked, if the table is there.
const STAND_INS = `
  create table placed (how text, name regclass, colocated text);
  create function create_distributed_table(regclass, text, colocate_with text) returns void
    language sql as $$insert into placed values ('distributed', $1, colocate_with)$$;
  create function create_reference_table(regclass) returns void
    language sql as $$insert into placed values ('reference', $1, null)$$;
  create function citus_add_local_table_to_metadata(regclass) returns void
    language sql as $$insert into placed values ('local', $1, null)$$;`

test('the script runs through as the owner of the tables, and leaves nothing half done where it is run again', async () => {
  const spread = await freshDatabase()
  const owner = new pg.Client({ connectionString: spread.ownerUrl })
  await owner.connect()
  try {
    await owner.query(STAND_INS)
    const statements = script.replace(UNTOLD, '').replaceAll(/^\\.*$/gm, '')
    await owner.query(statements)
    const { rows } = await owner.query('select name::text, colocated from placed')
    expect(rows.map(({ name }) => name)).toEqual(placed().map(({ table }) => table))
    const colocated = rows.filter((row) => row.colocated !== null).map((row) => row.colocated)
    expect(new Set(colocated.slice(1))).toEqual(new Set(['tenants']))
    const walled = await owner.query('select from pg_class where relrowsecurity or relforcerowsecurity')
    expect(walled.rowCount).toBe(0)
    await expect(owner.query(statements)).rejects.toThrow('api_key_index_tenant_id_fkey')
    await owner.query('rollback')
    expect((await owner.query('select from placed')).rowCount).toBe(placed().length)
  } finally {
    await owner.end()
    await spread.close()
  }
})

test('the script does nothing before it is told that it takes a wall down', () => {
  const [first] = script.matchAll(/^(?!--|\\set).+$/gm)
  expect(first?.index).toBe(UNTOLD.exec(script)?.index)
})
