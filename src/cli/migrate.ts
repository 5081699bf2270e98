import { readMigrateConfig } from '../config.ts'
import type { Role } from '../store/grants.ts'
import { migrate } from '../store/migrate.ts'
import { EXIT, type Io } from './io.ts'

/** Brings the schema up to date as the owner of the tables; the service's role is the user of DATABASE_URL. */
export async function migrateDatabase(io: Io): Promise<number> {
  const { databaseUrl = '', migrateDatabaseUrl = databaseUrl, pruneDatabaseUrl } = readMigrateConfig(io.env)
  const pruner = pruneDatabaseUrl === undefined ? undefined : roleOf(pruneDatabaseUrl)
  const ran = await migrate(migrateDatabaseUrl, roleOf(databaseUrl), undefined, pruner)
  io.stdout.write(
    ran.length === 0 ? 'The schema is up to date.\n' : `${ran.map((name) => `Ran ${name}.`).join('\n')}\n`,
  )
  return EXIT.ok
}

function roleOf(url: string): Role {
  const { username, password } = new URL(url)
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) }
}
