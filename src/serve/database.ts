import { Failure } from '../failure.ts'
import { type DatabaseOptions, type OpenDatabase, openDatabase } from '../store/database.ts'
import { mayMigrate, migrate, pendingMigrations } from '../store/migrate.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Opened } from './closing.ts'

/** What every part of a service is opened with. */
export interface Opening {
  /** Of the database. */
  readonly url: string
  readonly logger: Logger
  readonly opened: Opened
}

export function openPool(
  { url, logger, opened }: Opening,
  name: string,
  size: number,
  timing: Pick<DatabaseOptions, 'queryTimeout'> = {},
): OpenDatabase {
  const onIdleError = (error: Error) => logger.warn({ err: error }, 'a connection to Postgres was lost')
  const database = openDatabase({ url, name, size, onIdleError, ...timing })
  opened.add(name, () => database.close())
  return database
}

/** Runs what is pending as the service's own role, where that role may; a restricted one says who must. */
export async function bringSchemaUpToDate({ db }: OpenDatabase, url: string): Promise<void> {
  const pending = await pendingMigrations(db)
  if (pending.length === 0) return
  if (await mayMigrate(db)) {
    await migrate(url)
    return
  }
  throw new Failure(
    'unsafe_configuration',
    'the schema is older than this version: run `verdict migrate` as the owner of the tables, or give VERDICT_MIGRATE_DATABASE_URL',
    { problems: pending.map((name) => ({ pointer: '', detail: `${name} has not run` })) },
  )
}
