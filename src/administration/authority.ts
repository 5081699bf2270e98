import { setImmediate as turn } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { Failure } from '../failure.ts'
import { ACTING_OPERATOR, isBuiltIn } from '../policy/built-in.ts'
import type { PolicyChange } from '../policy/change.ts'
import type { EntityRef } from '../policy/model.ts'
import { countHolders, type Holding, holdingsOf } from '../store/holders.ts'
import type { Database } from '../store/schema.ts'
import { shownRef } from './refusal.ts'
import type { Write } from './write.ts'

/**
 * "Verdict guards itself", asked of what a write has logged, whatever write it was and whatever it dragged along: who
 * may give and take built-in roles, who may touch their holders, and that a tenant keeps an admin. It runs before the
 * commit, so that a refusal leaves nothing.
 */
export async function checkAuthority(
  trx: Transaction<Database>,
  write: Write,
  changes: readonly PolicyChange[],
  at: Date,
): Promise<void> {
  const given = await gathered(changes, rolesGiven)
  if (isActing(write)) refuseBeyondActing(write, changes)
  for (const role of given) requireGiver(write, role)
  const touched = await gathered(changes, (change) => (isOwnCredential(write, change) ? [] : subjectTouched(change)))
  const holdings = await holdingsOf(trx, write.tenant, touched)
  for (const holding of holdings) requireToTouch(write, holding)
  await keepAdmins(trx, write.tenant, changes, holdings, at)
}

const TURN = 5_000

/** What each change says; of a bundle's hundred thousand, with turns for others in between. */
async function gathered<T>(
  changes: readonly PolicyChange[],
  say: (change: PolicyChange) => readonly T[],
): Promise<T[]> {
  const all: T[] = []
  for (let from = 0; from < changes.length; from += TURN) {
    if (from > 0) await turn()
    for (const said of changes.slice(from, from + TURN).flatMap(say)) all.push(said)
  }
  return all
}

/** Whether an operator acts in another tenant than its own. */
export function isActing({ caller, tenant }: Write): boolean {
  return caller.tenant !== tenant
}

function refuseBeyondActing({ caller }: Write, changes: readonly PolicyChange[]): void {
  if (!caller.roles.includes('pdp:operator') && !caller.roles.includes(ACTING_OPERATOR)) {
    throw new Failure('forbidden', 'only an operator may act in another tenant')
  }
  if (!changes.every(isOperatorsBusiness)) {
    throw beyondActing()
  }
}

export function beyondActing(): Failure {
  return new Failure('forbidden', 'an operator manages the keys, settings and pdp: assignments of another tenant, only')
}

function isOperatorsBusiness(change: PolicyChange): boolean {
  if (change.kind === 'assignment') return rolesGiven(change).length > 0
  return change.kind === 'api_key' || change.kind === 'settings'
}

/** The built-in roles that a change gives or takes; tenants are the operator's. */
function rolesGiven(change: PolicyChange): readonly string[] {
  if (change.kind === 'assignment') return [change.before?.role, change.after?.role].filter(isBuiltInName)
  if (change.kind === 'api_key') return [change.before, change.after].flatMap((key) => key?.roles ?? [])
  if (change.kind === 'issuer') return rolesAllowed(change).filter(isBuiltInName)
  return change.kind === 'tenant' ? ['pdp:operator'] : []
}

/** Whoever decides what an issuer's tokens are (its keys, its claims) gives what they may give, before and after. */
function rolesAllowed({ before, after }: PolicyChange & { kind: 'issuer' }): readonly string[] {
  return [before, after].flatMap((issuer) => {
    // What stood there before need not be what it should be.
    const roles: unknown = issuer?.allowed_roles
    return Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : []
  })
}

function isBuiltInName(role: string | undefined): role is string {
  return role !== undefined && isBuiltIn(role)
}

function requireGiver(write: Write, role: string): void {
  if (mayGive(write, role)) return
  throw new Failure('forbidden', `the caller may not give or take ${role}`)
}

function mayGive(write: Write, role: string): boolean {
  if (role === 'pdp:operator') return !isActing(write) && write.caller.roles.includes('pdp:operator')
  return isActing(write) || write.caller.roles.includes('pdp:admin')
}

/** Somebody who is logged in. An API key is not the person that it acts as. */
export function isOneself({ caller, tenant }: Write, { type, id }: EntityRef): boolean {
  const { subject, session_id = null } = caller
  return session_id !== null && caller.tenant === tenant && subject.type === type && subject.id === id
}

// A holder gives itself nothing by it; that it is the holder has been proved to what logged the change.
function isOwnCredential(write: Write, change: PolicyChange): boolean {
  return change.kind === 'credential' && isOneself(write, change.key)
}

function subjectTouched(change: PolicyChange): readonly EntityRef[] {
  if (change.kind === 'entity' || change.kind === 'credential') return [{ type: change.key.type, id: change.key.id }]
  if (change.kind !== 'assignment' && change.kind !== 'api_key') return []
  return [change.before?.subject, change.after?.subject].filter((subject) => subject !== undefined)
}

// A key without roles, or a password, lets its owner be the holder: touching one is as good as giving what it holds.
function requireToTouch(write: Write, { type, id, role }: Holding): void {
  if (mayGive(write, role)) return
  throw new Failure('forbidden', `${shownRef({ type, id })} holds ${role}: the caller may not change it`)
}

/** The roles of which a tenant never loses the last holder. */
function keptRoles(tenant: string): readonly string[] {
  return tenant === 'system' ? ['pdp:admin', 'pdp:operator'] : ['pdp:admin']
}

async function keepAdmins(
  trx: Transaction<Database>,
  tenant: string,
  changes: readonly PolicyChange[],
  holdings: readonly Holding[],
  at: Date,
): Promise<void> {
  const taken = new Set(await gathered(changes, (change) => rolesTaken(change, holdings, at)))
  for (const role of keptRoles(tenant)) {
    if (taken.has(role) && (await countHolders(trx, tenant, role, at)) === 0) {
      throw new Failure('conflict', `nobody would hold ${role} in this tenant any more`)
    }
  }
}

function rolesTaken(change: PolicyChange, holdings: readonly Holding[], at: Date): readonly string[] {
  const { kind, before, after } = change
  if (kind === 'assignment' && before !== null && after === null)
    return until(before.valid_until, at) ? [before.role] : []
  if (kind === 'api_key' && before !== null) return until(before.expires_at, at) ? (before.roles ?? []) : []
  if (kind !== 'entity' || after?.disabled !== true || before?.disabled === true) return []
  return holdings.filter(({ type, id }) => type === after.type && id === after.id).map(({ role }) => role)
}

function until(end: string | null | undefined, at: Date): boolean {
  return end === null || end === undefined || new Date(end) > at
}
