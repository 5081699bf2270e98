import { readdirSync } from 'node:fs'

/** The names of all migrations that this version brings, in order. */
export const MIGRATIONS = readdirSync(new URL('../../migrations/', import.meta.url))
  .filter((name) => name.endsWith('.sql'))
  .map((name) => name.slice(0, -'.sql'.length))
  .sort()
