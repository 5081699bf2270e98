import { readdirSync } from 'node:fs'

/** Every migration by its name, in order. */
export const MIGRATIONS = readdirSync(new URL('../../migrations/', import.meta.url))
  .filter((file) => file.endsWith('.sql'))
  .map((file) => file.replace(/\.sql$/, ''))
  .sort()
