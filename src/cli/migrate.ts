import { readMigrateConfig } from '../config.ts'
import { migrate } from '../store/migrate.ts'
import { EXIT, type Io } from './io.ts'

/** Brings the schema up to date as the owner of the tables; the service's role is the user of DATABASE_URL. */
export async function migrateDatabase(io: Io): Promise<number> {
  const { databaseUrl = '', migrateDatabaseUrl = databaseUrl } = readMigrateConfig(io.env)
  const ran = await migrate(migrateDatabaseUrl, decodeURIComponent(new URL(databaseUrl).username))
  io.stdout.write(
    ran.length === 0 ? 'The schema is up to date.\n' : `${ran.map((name) => `Ran ${name}.`).join('\n')}\n`,
  )
  return EXIT.ok
}
