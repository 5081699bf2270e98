import type { Transaction } from 'kysely'
import { Failure } from '../failure.ts'
import type { PolicyChange } from '../policy/change.ts'
import { inForce } from '../policy/model.ts'
import type { VagueRules } from '../policy/vague-rules.ts'
import { appendChange } from '../store/changes.ts'
import { inTenant, isLockTimeout } from '../store/database.ts'
import type { Stamp } from '../store/documents.ts'
import { type IdempotencyKey, keepAnswer, type StoredAnswer, storedAnswer } from '../store/idempotency.ts'
import { owe } from '../store/outbox.ts'
import type { Database } from '../store/schema.ts'
import { getSettings } from '../store/settings.ts'
import { lockTenant, type Tenant } from '../store/tenants.ts'
import { checkAuthority } from './authority.ts'
import { recordsOf } from './record.ts'
import { checkStanding } from './standing.ts'
import { Turns, tenantBusy } from './turns.ts'
import type { Answer, Parts, Write } from './write.ts'

/** A write under way: inside its transaction, with the tenant's row held. */
export interface Change extends Stamp {
  readonly trx: Transaction<Database>
  readonly write: Write
  /** The tenant as it was found. `revision` is the one that this write makes, if it changes anything. */
  readonly found: Tenant
  /** The rules with vague patterns of ids, as the tenant was found: nobody else writes it meanwhile. */
  readonly vague: () => Promise<VagueRules>
  /** Everything that changes is logged, in the order in which it takes effect. */
  log(change: PolicyChange): void
}

/** What a write came to. `secret` goes into the first answer and nowhere else. */
export interface Outcome<T> {
  readonly status: number
  readonly body: T
  readonly version: number | null
  /** What it is called in the record. */
  readonly id: string
  readonly secret?: Partial<T>
}

export type Changer = <T>(write: Write, work: (change: Change) => Promise<Outcome<T>>) => Promise<Answer<T>>

interface OwedRecord {
  readonly tenant: string
  readonly id: string
  readonly text: string
}

interface Committed<T> {
  readonly answer: Omit<Answer<T>, 'in_force'>
  readonly records: readonly OwedRecord[]
  /** How many changes its revision has. */
  readonly changes: number
}

/**
 * Every administrative write: one transaction that holds the tenant's row, answers again by the idempotency key or
 * does the work, and, if the work logged any change, makes one revision with its log, its record and its answer. After
 * the commit the record is appended and this replica catches up; only then is the write answered. If that takes too
 * long, the answer says so, and is no failure: what is committed would only be tried again.
 */
export function changer(parts: Parts): Changer {
  const turns = new Turns()
  return async (write, work) => {
    const { answer, records, changes } = await turns.take(write.tenant, () =>
      parts.db
        .of(write.tenant)
        .transaction()
        .execute((trx) => perform(parts, trx, write, work)),
    )
    for (const record of records) await announce(parts, record)
    return { ...answer, in_force: await parts.applied(write.tenant, answer.revision, changes) }
  }
}

async function perform<T>(
  parts: Parts,
  trx: Transaction<Database>,
  write: Write,
  work: (change: Change) => Promise<Outcome<T>>,
): Promise<Committed<T>> {
  const found = await openTenant(trx, write)
  const at = parts.clock()
  await checkStanding(trx, write, at)
  const key = keyOf(write)
  const before = key === null ? undefined : await storedAnswer(trx, key, at)
  if (key !== null && before !== undefined) return { answer: answerAgain<T>(key, before), records: [], changes: 0 }

  const changes: PolicyChange[] = []
  const stamp = { tenant: found.id, revision: found.revision + 1, at }
  const vague = () => parts.vagueRules(found.id, found.revision)
  const outcome = await work({ ...stamp, trx, write, found, vague, log: (change) => changes.push(change) })
  const recorded = changes.length > 0
  const records = recorded ? await makeRevision(parts, trx, write, outcome.id, changes, stamp) : []
  const revision = recorded ? stamp.revision : found.revision
  if (key !== null) await keepAnswer(trx, key, kept(key, outcome, revision), at)
  const { status, version, secret } = outcome
  const body = secret === undefined ? outcome.body : { ...outcome.body, ...secret }
  return { answer: { status, body, revision, version, recorded }, records, changes: changes.length }
}

async function makeRevision(
  parts: Parts,
  trx: Transaction<Database>,
  write: Write,
  id: string,
  changes: readonly PolicyChange[],
  stamp: Stamp,
): Promise<OwedRecord[]> {
  const { tenant, at } = stamp
  await checkAuthority(trx, write, changes, at)
  await appendChange(trx, { tenant, actor: write.caller.subject, reason: write.reason, at, changes })
  const records: OwedRecord[] = []
  for (const made of recordsOf(write, id, changes, stamp)) {
    // As the settings of this very revision say, where it is settings that were changed.
    const record = await inTenant(trx, made.tenant, tenant, async () => {
      const stored = await getSettings(trx, made.tenant)
      const event = parts.redactor.event(made, inForce(stored?.document ?? null))
      return { tenant: event.tenant, id: event.id, text: await owe(trx, parts.writer, event) }
    })
    records.push(record)
  }
  return records
}

async function openTenant(trx: Transaction<Database>, write: Write): Promise<Tenant> {
  const found = await lockTenant(trx, write.tenant).catch((error: unknown) => {
    throw isLockTimeout(error) ? tenantBusy(error) : error
  })
  if (found === undefined || found.status === 'deleted') throw new Failure('not_found', 'there is no such tenant')
  // An operator that acts in a suspended tenant may still take its keys away.
  if (found.status === 'suspended' && write.caller.tenant === write.tenant) {
    throw new Failure('forbidden', 'the tenant is suspended')
  }
  return found
}

interface AskedOnce extends IdempotencyKey {
  readonly request_sha256: Buffer
}

function keyOf({ tenant, caller, idempotency }: Write): AskedOnce | null {
  if (idempotency === null) return null
  const { type, id } = caller.subject
  return { tenant, caller: JSON.stringify([caller.tenant, type, id]), ...idempotency }
}

function answerAgain<T>(asked: AskedOnce, before: StoredAnswer): Omit<Answer<T>, 'in_force'> {
  if (!asked.request_sha256.equals(before.request_sha256)) {
    throw new Failure('idempotency_mismatch', 'the Idempotency-Key was used for another request in the last 24 hours')
  }
  const { revision, version } = before.headers
  return {
    status: before.status,
    // It was this function's own answer to the same request.
    body: before.body as T,
    revision: Number(revision),
    version: version === undefined ? null : Number(version),
    recorded: false,
  }
}

function kept<T>(asked: AskedOnce, { status, body, version }: Outcome<T>, revision: number): StoredAnswer {
  const headers = { revision: `${revision}`, ...(version === null ? {} : { version: `${version}` }) }
  return { request_sha256: asked.request_sha256, status, headers, body }
}

// The change is committed and its record is in the outbox: a log that takes none now does not undo it.
async function announce(parts: Parts, { tenant, id, text }: OwedRecord): Promise<void> {
  try {
    await parts.announce(tenant, id, text)
  } catch (error) {
    parts.warn(error)
  }
}
