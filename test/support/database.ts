import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import pg from 'pg'
import { inject } from 'vitest'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/schema.ts'

/** The run's Postgres, as the global setup made it. */
export interface TestPostgres {
  readonly adminUrl: string
  /** Every database of this run begins with it. */
  readonly prefix: string
  readonly template: string
  readonly serviceUser: string
  readonly servicePassword: string
}

declare module 'vitest' {
  interface ProvidedContext {
    postgres: TestPostgres
  }
}

export interface FreshDatabase {
  /** As the service's restricted role. */
  readonly db: Kysely<Database>
  readonly url: string
  readonly ownerUrl: string
  close(): Promise<void>
}

/** A database of the test file's own: a copy of the migrated one, or an empty one. */
export async function freshDatabase(from: 'migrated' | 'empty' = 'migrated'): Promise<FreshDatabase> {
  const { adminUrl, prefix, template, serviceUser, servicePassword } = inject('postgres')
  const name = `${prefix}_${randomBytes(6).toString('hex')}`
  await asAdmin(from === 'empty' ? `create database ${name}` : `create database ${name} template ${template}`)
  const ownerUrl = new URL(adminUrl)
  ownerUrl.pathname = `/${name}`
  const url = new URL(ownerUrl)
  url.username = serviceUser
  url.password = servicePassword
  const { db, close } = openDatabase({
    url: url.href,
    name: 'verdict test',
    size: 4,
    queryTimeout: 10_000,
    connectTimeout: 10_000,
  })
  return {
    db,
    url: url.href,
    ownerUrl: ownerUrl.href,
    async close() {
      await close()
      await asAdmin(`drop database if exists ${name} with (force)`)
    },
  }
}

/** One statement on the server, as the one who may make and drop databases and roles. */
export async function asAdmin(statement: string): Promise<void> {
  const admin = new pg.Client({ connectionString: inject('postgres').adminUrl })
  await admin.connect()
  try {
    await admin.query(statement)
  } finally {
    await admin.end()
  }
}
