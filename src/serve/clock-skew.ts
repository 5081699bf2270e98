import { clockSkew } from '../store/clock.ts'
import type { OpenDatabase } from '../store/database.ts'
import type { Opening } from './database.ts'
import { MINUTE } from './rounds.ts'

/** ms that this clock is ahead of the database's, measured again every minute; undefined where it could not be. */
export async function watchClockSkew(
  { clock, every }: Opening,
  { db }: OpenDatabase,
): Promise<() => number | undefined> {
  const measured = () => clockSkew(db, clock).catch(() => undefined)
  let skew = await measured()
  every(MINUTE, 'clock skew', async () => {
    skew = await measured()
  })
  return () => skew
}
