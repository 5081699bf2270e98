import type { Config } from '../config.ts'
import { startEmbedded } from '../store/embedded.ts'
import { migrate } from '../store/migrate.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Opened } from './closing.ts'

/** The database to work in, with its schema up to date where that is ours to do. */
export async function databaseUrl(config: Config, dataDir: string, logger: Logger, opened: Opened): Promise<string> {
  if (config.databaseUrl !== undefined) {
    if (config.migrateDatabaseUrl !== undefined) await migrate(config.migrateDatabaseUrl, userOf(config.databaseUrl))
    return config.databaseUrl
  }
  const embedded = await startEmbedded(dataDir, { log: (line) => logger.info(line) })
  opened.add('embedded database', () => embedded.stop())
  await migrate(embedded.ownerUrl, userOf(embedded.url))
  return embedded.url
}

function userOf(url: string): string {
  return decodeURIComponent(new URL(url).username)
}
