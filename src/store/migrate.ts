import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, type Migration, Migrator, sql } from 'kysely'
import { Failure } from '../failure.ts'
import { isUnavailable, openDatabase, sqlState } from './database.ts'
import { grantPruner, grantService, type Role } from './grants.ts'
import type { Database } from './schema.ts'

// One level above both src/store and dist/store stands the project.
const DIRECTORY = new URL('../../migrations/', import.meta.url)
const TABLE = 'schema_migrations'
const LOCK_TABLE = 'schema_migrations_lock'

// An `alter table` that waits for its lock makes every query behind it wait too: so it gives up early and tries
// again. A statement that holds its lock may take its time.
const LOCK_TIMEOUT = 200
const QUERY_TIMEOUT = 10 * 60_000
const PATIENCE = 60_000

interface MigrationFile {
  readonly name: string
  readonly text: string
  readonly sha256: string
}

/**
 * Brings the schema up to date and gives the service's role its rights. Safe when several replicas do it at once.
 * @param ownerUrl a direct connection (no pooler) of the role that owns the tables.
 * @param service the role that the service runs under; the owner itself needs no rights, nor does one that the
 * URL leaves open. Where it is missing it is made, if its password is given and the owner may make roles.
 * @param pruner the role that may prune the audit, if there is one.
 * @returns the names of the migrations that this call ran.
 */
export async function migrate(
  ownerUrl: string,
  service?: string | Role,
  directory = DIRECTORY,
  pruner?: Role,
): Promise<string[]> {
  const role = typeof service === 'string' ? { user: service } : service
  const owner = openDatabase({
    url: ownerUrl,
    name: 'verdict migrate',
    size: 2,
    connectTimeout: 5_000,
    queryTimeout: QUERY_TIMEOUT,
    lockTimeout: LOCK_TIMEOUT,
  })
  try {
    return await retried(async () => {
      const ran = await runPending(owner.db, directory)
      if (role !== undefined && role.user !== '') await grantService(owner.db, role)
      if (pruner !== undefined && pruner.user !== '') await grantPruner(owner.db, pruner)
      return ran
    })
  } finally {
    await owner.close()
  }
}

async function runPending(db: Kysely<Database>, directory: URL): Promise<string[]> {
  if ((await pendingMigrations(db, directory)).length === 0) return []
  const files = await migrationFiles(directory)
  const { error, results = [] } = await new Migrator({
    db,
    provider: { getMigrations: async () => Object.fromEntries(files.map((file) => [file.name, asMigration(file)])) },
    migrationTableName: TABLE,
    migrationLockTableName: LOCK_TABLE,
  }).migrateToLatest()
  if (error !== undefined) throw error
  return results.map((result) => result.migrationName)
}

async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const cause = error instanceof Failure ? error.cause : error
      if (sqlState(cause) !== '55P03' || Date.now() > deadline) throw wrapped(error)
      await sleep(100 + Math.random() * 200)
    }
  }
}

function wrapped(error: unknown): unknown {
  if (error instanceof Failure && !isUnavailable(error)) return error
  const said = error instanceof Failure ? error.cause : error
  const detail = said instanceof Error ? said.message : String(said)
  return new Failure(isUnavailable(error) ? 'store_unavailable' : 'internal', `could not migrate: ${detail}`, {
    cause: error,
  })
}

/**
 * Migrations that this version brings and the database has not had. Reads only, so that a restricted role may ask.
 * A database that a newer version has migrated has nothing pending; one whose history differs is refused.
 */
export async function pendingMigrations(db: Kysely<Database>, directory = DIRECTORY): Promise<string[]> {
  const [files, applied] = await Promise.all([migrationFiles(directory), appliedMigrations(db)])
  const last = files.at(-1)?.name ?? ''
  const known = new Map(files.map((file) => [file.name, file]))
  const problems = [...applied]
    .filter(([name, sha256]) => name <= last && known.get(name)?.sha256 !== sha256)
    .map(([name]) => ({
      pointer: '',
      detail: `${name} ${known.has(name) ? 'was changed' : 'was removed'} after it was applied to this database`,
    }))
  if (problems.length > 0) {
    throw new Failure('unsafe_configuration', "the schema has another history than this version's", { problems })
  }
  return files.filter((file) => !applied.has(file.name)).map((file) => file.name)
}

/** Whether the role may bring the schema up to date itself: it may make tables, and owns those that are there. */
export async function mayMigrate(db: Kysely<Database>): Promise<boolean> {
  const { rows } = await sql<{ may: boolean }>`
    select has_schema_privilege('public', 'create') and not exists (
      select from pg_tables where schemaname = 'public' and tablename in ('tenants', 'migration_files')
        and not pg_has_role(tableowner, 'usage')) as may`.execute(db)
  return rows[0]?.may === true
}

async function appliedMigrations(db: Kysely<Database>): Promise<Map<string, string>> {
  const made = await sql<{ made: boolean }>`select to_regclass('migration_files') is not null as made`.execute(db)
  if (made.rows[0]?.made !== true) return new Map()
  const { rows } = await sql<{
    name: string
    sha256: string
  }>`select name, sha256 from migration_files order by name`.execute(db)
  return new Map(rows.map((row) => [row.name, row.sha256]))
}

/** The numbered files, in order. */
async function migrationFiles(directory: URL): Promise<MigrationFile[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(new URL(name, directory), 'utf8')
      return { name: name.slice(0, -'.sql'.length), text, sha256: createHash('sha256').update(text).digest('hex') }
    }),
  )
}

function asMigration(file: MigrationFile): Migration {
  return {
    async up(db) {
      await sql`create table if not exists migration_files (name text primary key, sha256 text not null)`.execute(db)
      await sql.raw(file.text).execute(db)
      await sql`insert into migration_files (name, sha256) values (${file.name}, ${file.sha256})`.execute(db)
    },
  }
}
