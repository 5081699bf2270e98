import { type Kysely, sql, type Transaction } from 'kysely'
import type { Database } from './schema.ts'

/** Whose key it is: `caller` is any text that names one caller and no other. */
export interface IdempotencyKey {
  readonly tenant: string
  readonly caller: string
  readonly key: string
}

export interface StoredAnswer {
  readonly request_sha256: Buffer
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

const KEPT = '24 hours'

/** The answer that the key was given in the last 24 hours. */
export async function storedAnswer(
  db: Kysely<Database>,
  { tenant, caller, key }: IdempotencyKey,
  now: Date,
): Promise<StoredAnswer | undefined> {
  const { rows } = await sql<StoredAnswer>`
    select request_sha256, status, headers, body from idempotency_keys
    where tenant_id = ${tenant} and caller = ${caller} and key = ${key}
      and created_at > ${now}::timestamptz - ${KEPT}::interval`.execute(db)
  return rows[0]
}

/** Keeps an answer, and forgets those of the tenant that are too old. */
export async function keepAnswer(
  trx: Transaction<Database>,
  { tenant, caller, key }: IdempotencyKey,
  answer: StoredAnswer,
  now: Date,
): Promise<void> {
  await sql`
    delete from idempotency_keys
    where tenant_id = ${tenant} and created_at <= ${now}::timestamptz - ${KEPT}::interval`.execute(trx)
  await sql`
    insert into idempotency_keys (tenant_id, caller, key, request_sha256, status, headers, body, created_at)
    values (${tenant}, ${caller}, ${key}, ${answer.request_sha256}, ${answer.status},
            ${JSON.stringify(answer.headers)}, ${JSON.stringify(answer.body)}, ${now})`.execute(trx)
}
