import { acquireLock } from '../../audit/lock.ts'
import type { AuditConfig } from '../../config.ts'
import { Failure } from '../../failure.ts'
import { checkConnection, openDatabase, type TenantDatabase } from '../../store/database.ts'
import { runningEmbeddedUrl, startEmbedded } from '../../store/embedded.ts'
import { hasPlace } from '../../store/embedded-place.ts'

/** A statement may read for so long: some count all there is. */
const QUERY_MS = 10 * 60_000

/** The database that the configuration names. An embedded one that nobody runs is run for as long as it takes. */
export async function withDatabase<T>(config: AuditConfig, work: (db: TenantDatabase) => Promise<T>): Promise<T> {
  if (config.databaseUrl !== undefined) return withUrl(config.databaseUrl, work)
  const { dataDir } = config
  if (!(await hasPlace(dataDir))) {
    throw new Failure('unsafe_configuration', `there is no DATABASE_URL, and no embedded database in ${dataDir}`)
  }
  const running = await runningEmbeddedUrl(dataDir)
  if (running !== undefined) return withUrl(running, work)
  const lock = await acquireLock(dataDir)
  try {
    const embedded = await startEmbedded(dataDir)
    return await withUrl(embedded.url, work).finally(() => embedded.stop())
  } finally {
    await lock.release()
  }
}

async function withUrl<T>(url: string, work: (db: TenantDatabase) => Promise<T>): Promise<T> {
  const { db, close } = openDatabase({
    url,
    name: 'verdict audit verify',
    size: 1,
    queryTimeout: QUERY_MS,
    connectTimeout: 5_000,
  })
  try {
    await checkConnection(db)
    return await work(db)
  } finally {
    await close()
  }
}
