import type { EntityRef } from '../policy/model.ts'
import { DEFAULT_SETTINGS } from '../policy/model.ts'
import type { Listed, Page } from '../store/cursor.ts'
import { getPassword } from '../store/passwords.ts'
import { countSessions, listSessions, type OpenSession, revokeSessionOf, revokeSessionsOf } from '../store/sessions.ts'
import { getSettings } from '../store/settings.ts'
import { totpState } from '../store/totps.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { deletePassword, type NewPassword, putPassword, type ShownPassword } from './credentials/password.ts'
import type { CredentialParts, Proof } from './credentials/proof.ts'
import { deleteTotp, putTotp, type ShownTotp } from './credentials/totp.ts'
import { normalSettings } from './normal.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, shownRef } from './refusal.ts'
import type { Stamps } from './representation.ts'
import type { Answer, Parts, Read, Write } from './write.ts'

/** What somebody has to log in with. */
export interface ShownCredentials {
  readonly subject: EntityRef
  readonly password: (Stamps & { readonly username: string }) | null
  readonly totp:
    | (Stamps & { readonly confirmed: boolean; readonly pending: boolean; readonly recovery_codes_left: number })
    | null
  /** How many have not ended. */
  readonly sessions: number
}

/** People's credentials. Who is logged in and does it to itself proves once more who it is; an admin need not. */
export interface CredentialAdministration {
  /** Of who has nothing, nothing. */
  get(read: Read, subject: EntityRef): Promise<ShownCredentials>
  /** Those that have not ended, newest first. */
  listSessions(read: Read, subject: EntityRef, page: Page): Promise<Listed<OpenSession>>
  /** Ends the person's sessions, but for the one in which it is done. */
  putPassword(write: Write, subject: EntityRef, password: NewPassword): Promise<Answer<ShownPassword>>
  deletePassword(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<null>>
  putTotp(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<ShownTotp>>
  deleteTotp(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<null>>
  deleteSessions(write: Write, subject: EntityRef): Promise<Answer<null>>
  deleteSession(write: Write, subject: EntityRef, session: string): Promise<Answer<null>>
}

export function credentialAdministration(parts: Parts & CredentialParts, change: Changer): CredentialAdministration {
  const limits = (tenant: string) => limitsOf(parts, tenant)
  return {
    get: (read, subject) => show(parts, read, subject),
    async listSessions({ tenant }, subject, page) {
      return listSessions(parts.db.of(tenant), tenant, subject, await limits(tenant), page)
    },
    putPassword: (write, subject, password) => putPassword(parts, change, once(write), subject, password),
    deletePassword: (write, subject, proof) => deletePassword(parts, change, once(write), subject, proof),
    putTotp: (write, subject, proof) => putTotp(parts, change, once(write), subject, proof),
    deleteTotp: (write, subject, proof) => deleteTotp(parts, change, once(write), subject, proof),
    deleteSessions: (write, subject) => change(once(write), (at) => deleteSessions(at, subject)),
    deleteSession: (write, subject, session) => change(once(write), (at) => deleteSession(at, subject, session)),
  }
}

// An idempotency key is kept with a fast hash of the body: of one that holds a password, that would be a way to guess it.
function once(write: Write): Write {
  return { ...write, idempotency: null }
}

async function limitsOf({ db }: Parts, tenant: string) {
  const found = await getSettings(db.of(tenant), tenant)
  const { session_idle_seconds, session_lifetime_seconds } = normalSettings(found?.document ?? DEFAULT_SETTINGS)
  return { idle_s: session_idle_seconds, lifetime_s: session_lifetime_seconds }
}

async function show(parts: Parts, { tenant }: Read, { type, id }: EntityRef): Promise<ShownCredentials> {
  const subject = { type, id }
  const db = parts.db.of(tenant)
  const [password, totp, sessions] = await Promise.all([
    getPassword(db, tenant, subject),
    totpState(db, tenant, subject),
    limitsOf(parts, tenant).then((limits) => countSessions(db, tenant, subject, limits)),
  ])
  return {
    subject,
    password: password === undefined ? null : { username: password.username, ...stamps(password) },
    totp: totp === undefined ? null : { ...totp, ...stamps(totp) },
    sessions,
  }
}

function stamps(of: { readonly version: number; readonly created_at: Date; readonly updated_at: Date }): Stamps {
  const { version, created_at, updated_at } = of
  return { version, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() }
}

async function deleteSession(change: Change, { type, id }: EntityRef, session: string): Promise<Outcome<null>> {
  checkPrecondition(change.write.if_match, null)
  if (!(await revokeSessionOf(change.trx, change.tenant, { type, id }, session)))
    throw notFound(`session ${session} of ${shownRef({ type, id })}`)
  const key = { type, id, credential: 'sessions' } as const
  change.log({ kind: 'credential', key, operation: 'delete', before: { ended: 1, session }, after: null })
  return { status: 204, body: null, version: null, id: shownRef({ type, id }) }
}

async function deleteSessions(change: Change, { type, id }: EntityRef): Promise<Outcome<null>> {
  checkPrecondition(change.write.if_match, null)
  const ended = await revokeSessionsOf(change.trx, change.tenant, { type, id })
  if (ended > 0) {
    const key = { type, id, credential: 'sessions' } as const
    change.log({ kind: 'credential', key, operation: 'delete', before: { ended }, after: null })
  }
  return { status: 204, body: null, version: null, id: shownRef({ type, id }) }
}
