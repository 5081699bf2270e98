import { type Kysely, sql } from 'kysely'
import type { Database } from './schema.ts'

/** How far this process's clock is ahead of the database's, in ms; half of the round trip is taken off. */
export async function clockSkew(db: Kysely<Database>, clock: () => number): Promise<number> {
  const before = clock()
  const { rows } = await sql<{
    now: number
  }>`select extract(epoch from clock_timestamp())::float8 * 1000 as now`.execute(db)
  const after = clock()
  return (before + after) / 2 - (rows[0]?.now ?? Number.NaN)
}
