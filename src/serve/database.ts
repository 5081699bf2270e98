import { Failure } from '../failure.ts'
import { bootstrap } from '../store/bootstrap.ts'
import { checkConnection, type DatabaseOptions, isWalled, type OpenDatabase, openDatabase } from '../store/database.ts'
import { openDeploymentKey } from '../store/deployment-key.ts'
import type { Keys } from '../store/generated-keys.ts'
import { mayMigrate, migrate, pendingMigrations } from '../store/migrate.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Opened } from './closing.ts'
import type { Rounds } from './rounds.ts'

const FACT_CONNECTIONS = 4
const READING_CONNECTIONS = 3
/** What may be asked of the audit at once: counting a day of a busy tenant. */
const READING_QUERY_MS = 10_000

/** What every part of a service is opened with. */
export interface Opening extends Rounds {
  /** Of the database. */
  readonly url: string
  readonly logger: Logger
  readonly opened: Opened
  /** ms since the epoch. */
  readonly clock: () => number
}

/** The database, ready for work: its schema is up to date, and what the first start makes is there. */
export interface Stored {
  readonly database: OpenDatabase
  /** For what decisions need. */
  readonly facts: OpenDatabase
  /** For questions about the audit. */
  readonly reading: OpenDatabase
  readonly deploymentKey: Buffer
}

export async function openStored(opening: Opening, poolSize: number, keys: Keys): Promise<Stored> {
  const database = openPool(opening, 'verdict', poolSize)
  // Writers of a busy tenant wait for each other with a connection in hand: what decisions need does not queue there.
  const facts = openPool(opening, 'verdict facts', FACT_CONNECTIONS)
  const reading = openPool(opening, 'verdict reading', READING_CONNECTIONS, { queryTimeout: READING_QUERY_MS })
  await checkConnection(database.db)
  await bringSchemaUpToDate(database, opening.url)
  if (!(await isWalled(database.db))) {
    opening.logger.warn('the role of DATABASE_URL passes row-level security: only one wall stands between tenants')
  }
  await bootstrap(database.db, keys, () => new Date(opening.clock()))
  const masterKeys = { current: keys.masterKey, previous: keys.previousMasterKey }
  return { database, facts, reading, deploymentKey: await openDeploymentKey(database.db, masterKeys) }
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
async function bringSchemaUpToDate({ db }: OpenDatabase, url: string): Promise<void> {
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
