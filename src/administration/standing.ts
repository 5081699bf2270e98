import type { Transaction } from 'kysely'
import { Failure } from '../failure.ts'
import { ACTING_OPERATOR } from '../policy/built-in.ts'
import { inTenant } from '../store/database.ts'
import type { Database } from '../store/schema.ts'
import { standingOf } from '../store/standing.ts'
import { isActing } from './authority.ts'
import type { Author, Write } from './write.ts'

/**
 * The guard has looked at memory, and may be behind: somebody took the caller's role or its key while it waited for its
 * turn, or at another replica a moment ago. With the tenant's row held it is asked again, of the tables, whether the
 * caller holds all by which it was let in. So nothing is written after what gave the right to write it was taken away.
 */
export async function checkStanding(trx: Transaction<Database>, write: Write, at: Date): Promise<void> {
  const { caller, tenant } = write
  // What no call has caused, has nobody's rights.
  if (caller.session_id === undefined) return
  const held = await inTenant(trx, caller.tenant, tenant, () => heldNow(trx, caller, at))
  const needed = isActing(write)
    ? caller.roles.map((role) => (role === ACTING_OPERATOR ? OPERATOR : role))
    : caller.roles
  if (held === undefined || needed.some((role) => !held.includes(role))) {
    throw new Failure('forbidden', 'what the caller was let in by has been taken away meanwhile')
  }
}

const OPERATOR = 'pdp:operator'

/** The built-in roles that it holds; undefined: it may not call at all. */
async function heldNow(
  trx: Transaction<Database>,
  { tenant, subject, key_id, session_id = null, issuer = null }: Author,
  at: Date,
): Promise<readonly string[] | undefined> {
  const credential = { tenant, subject, key_id, session_id, issuer: issuer?.name ?? null }
  const { stands, key_roles, assigned, allowed } = await standingOf(trx, credential, at)
  if (!stands) return undefined
  if (key_roles !== null) return key_roles
  if (issuer === null) return assigned
  return allowed.filter((role) => assigned.includes(role) || issuer.roles.includes(role))
}
