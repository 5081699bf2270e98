import pg from 'pg'
import { Failure } from '../failure.ts'
import { type Cluster, evict, initialise, runningPort, SUPERUSER } from './cluster.ts'
import { openDataDirectory } from './data-directory.ts'
import { hasPlace, type Passwords, place } from './embedded-place.ts'
import { Supervised } from './supervised.ts'

export const EMBEDDED_OWNER = 'verdict_owner'
export const EMBEDDED_SERVICE = 'verdict_service'
const DATABASE = 'verdict'

/** Where root keeps what the user that Postgres runs as can't reach in the data directory. */
const STAGE = '/var/lib/verdict-embedded'

export interface EmbeddedDatabase {
  /** As the service's restricted role. */
  readonly url: string
  /** As the owner of the tables, for migrations. */
  readonly ownerUrl: string
  /** The server's process; another one once it was started again. */
  readonly pid: number | undefined
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** Told, in one line each, what somebody who looks after the machine should know. */
  readonly log?: (line: string) => void
  readonly stage?: string
  /** Server settings over our own. */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * A real Postgres in `<dataDir>/postgres`, made by the first start. It runs until `stop`, and is started again if it
 * ends before; one that an earlier, killed process left running or half done is recovered. The data directory's lock
 * must be held: a Postgres that is found running in it is taken for that of a dead process, and ended.
 */
export async function startEmbedded(dataDir: string, options: EmbeddedOptions = {}): Promise<EmbeddedDatabase> {
  const { log = () => undefined, stage = STAGE, settings = {} } = options
  const { cluster, passwords } = await place(await openDataDirectory(dataDir), stage, log)
  if ((await evict(cluster.directory)) === 'stopped') log('stopped the embedded database of a process that was killed')
  await initialise({ ...cluster, settings })
  const server = await Supervised.start({ ...cluster, settings }, log)
  try {
    await makeDatabase(server.current, passwords)
  } catch (error) {
    await server.stop()
    throw error
  }
  return asDatabase(server, passwords)
}

/** Of the embedded database while another process runs it, as the service's role; undefined: nobody does. */
export async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const directory = await openDataDirectory(dataDir)
  if (!(await hasPlace(directory))) return undefined
  const { cluster, passwords } = await place(directory, STAGE, () => undefined)
  const port = await runningPort(cluster.directory)
  return port === undefined
    ? undefined
    : `postgres://${EMBEDDED_SERVICE}:${encodeURIComponent(passwords.service)}@127.0.0.1:${port}/${DATABASE}`
}

function asDatabase(server: Supervised, passwords: Passwords): EmbeddedDatabase {
  return {
    url: server.current.url(EMBEDDED_SERVICE, passwords.service, DATABASE),
    ownerUrl: server.current.url(EMBEDDED_OWNER, passwords.owner, DATABASE),
    get pid() {
      return server.current.pid
    },
    stop: () => server.stop(),
  }
}

/** Roles and database, each where it is not there yet: a first start may have ended in the middle. */
async function makeDatabase(cluster: Cluster, passwords: Passwords): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.url(SUPERUSER, passwords.superuser, 'postgres') })
  try {
    await client.connect()
    for (const [role, password] of [
      [EMBEDDED_OWNER, passwords.owner],
      [EMBEDDED_SERVICE, passwords.service],
    ] as const) {
      const known = await client.query('select from pg_roles where rolname = $1', [role])
      if (known.rowCount === 0)
        await client.query(`create role ${role} login password ${client.escapeLiteral(password)}`)
    }
    const made = await client.query('select from pg_database where datname = $1', [DATABASE])
    if (made.rowCount === 0) await client.query(`create database ${DATABASE} owner ${EMBEDDED_OWNER}`)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('store_unavailable', `the embedded database is not usable: ${detail}`, { cause })
  } finally {
    await client.end()
  }
}
