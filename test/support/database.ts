import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { openDatabase, type TenantDatabase } from '../../src/store/database.ts'

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
  /**
   * For tests to look at everything as the superuser, before whom no wall stands. What product code asks `of` a tenant,
   * or `across` them, it asks as the service's restricted role.
   */
  readonly db: TenantDatabase
  /** Wholly as the service's restricted role. */
  readonly service: TenantDatabase
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
  const options = { name: 'verdict test', size: 4, queryTimeout: 10_000, connectTimeout: 10_000 }
  const service = openDatabase({ url: url.href, ...options })
  const owner = openDatabase({ url: ownerUrl.href, ...options })
  owner.db.of = (tenant) => service.db.of(tenant)
  Object.defineProperty(owner.db, 'across', { get: () => service.db.across })
  return {
    db: owner.db,
    service: service.db,
    url: url.href,
    ownerUrl: ownerUrl.href,
    async close() {
      await Promise.all([service.close(), owner.close()])
      await asAdmin(`drop database if exists ${name} with (force)`)
    },
  }
}

/** The columns of `audit` that are written; the others are made of them. */
export const AUDIT_COLUMNS = `tenant_id, at, id, writer, seq, type, actor_type, actor_id, subject_type, subject_id, action,
  resource_type, resource_id, decision, reason, rules, ip, request_id, trace_id, record`

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
