import { type Kysely, sql, type Transaction } from 'kysely'
import type { EntityRef } from '../policy/model.ts'
import type { Stamp } from './documents.ts'
import type { Database } from './schema.ts'

/** A second factor as it is kept: both secrets sealed. */
export interface StoredTotp {
  /** null: none is confirmed. */
  readonly sealed: Buffer | null
  /** One that was given out and is not confirmed yet. */
  readonly pending: Buffer | null
}

const of = (tenant: string, { type, id }: EntityRef) =>
  sql`tenant_id = ${tenant} and subject_type = ${type} and subject_id = ${id}`

export async function getTotp(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
): Promise<StoredTotp | undefined> {
  const { rows } = await sql<StoredTotp>`select sealed, pending from totps where ${of(tenant, subject)}`.execute(db)
  return rows[0]
}

export interface TotpState {
  readonly confirmed: boolean
  readonly pending: boolean
  readonly recovery_codes_left: number
  readonly version: number
  readonly created_at: Date
  readonly updated_at: Date
}

/** All that may be told of a second factor. */
export async function totpState(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
): Promise<TotpState | undefined> {
  const { rows } = await sql<TotpState>`
    select sealed is not null as confirmed, pending is not null as pending, version, created_at, updated_at,
           (select count(*)::int from recovery_codes where ${of(tenant, subject)} and used_at is null)
             as recovery_codes_left
    from totps where ${of(tenant, subject)}`.execute(db)
  return rows[0]
}

/** Keeps a secret that is not confirmed yet, beside the one that is. */
export async function putPendingTotp(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  { type, id }: EntityRef,
  pending: Buffer,
): Promise<void> {
  await sql`
    insert into totps (tenant_id, subject_type, subject_id, pending, version, created_at, updated_at)
    values (${tenant}, ${type}, ${id}, ${pending}, ${revision}, ${at}, ${at})
    on conflict (tenant_id, subject_type, subject_id) do update
    set pending = excluded.pending, version = excluded.version, updated_at = excluded.updated_at`.execute(trx)
}

/** Puts the pending secret in the place of the other, with new recovery codes. `step` is spent by the confirmation. */
export async function confirmTotp(
  trx: Transaction<Database>,
  { tenant, revision, at }: Stamp,
  subject: EntityRef,
  { step, codes }: { readonly step: number; readonly codes: readonly Buffer[] },
): Promise<void> {
  await sql`
    update totps set sealed = pending, pending = null, last_step = ${step}, version = ${revision}, updated_at = ${at}
    where ${of(tenant, subject)} and pending is not null`.execute(trx)
  await sql`delete from recovery_codes where ${of(tenant, subject)}`.execute(trx)
  await sql`
    insert into recovery_codes (tenant_id, subject_type, subject_id, sha256)
    select ${tenant}, ${subject.type}, ${subject.id}, unnest(${codes}::bytea[])`.execute(trx)
}

export async function deleteTotp(trx: Transaction<Database>, tenant: string, subject: EntityRef): Promise<void> {
  await sql`delete from totps where ${of(tenant, subject)}`.execute(trx)
}

/** A code is of a step, and a step is taken once: true for one of any number at once. */
export async function spendStep(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
  step: number,
): Promise<boolean> {
  const { rows } = await sql`
    update totps set last_step = ${step} where ${of(tenant, subject)} and last_step < ${step} returning 1`.execute(db)
  return rows.length === 1
}

export async function spendRecoveryCode(
  db: Kysely<Database>,
  tenant: string,
  subject: EntityRef,
  sha256: Buffer,
): Promise<boolean> {
  const { rows } = await sql`
    update recovery_codes set used_at = now()
    where ${of(tenant, subject)} and sha256 = ${sha256} and used_at is null returning 1`.execute(db)
  return rows.length === 1
}
