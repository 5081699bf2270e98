import type { EntityRef } from '../policy/model.ts'
import { revokeSessionsOf } from '../store/sessions.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { deletePassword, type NewPassword, putPassword, type ShownPassword } from './credentials/password.ts'
import type { CredentialParts, Proof } from './credentials/proof.ts'
import { deleteTotp, putTotp, type ShownTotp } from './credentials/totp.ts'
import { checkPrecondition } from './precondition.ts'
import { shownRef } from './refusal.ts'
import type { Answer, Parts, Write } from './write.ts'

/** People's credentials. Who is logged in and does it to itself proves once more who it is; an admin need not. */
export interface CredentialAdministration {
  /** Ends the person's sessions, but for the one in which it is done. */
  putPassword(write: Write, subject: EntityRef, password: NewPassword): Promise<Answer<ShownPassword>>
  deletePassword(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<null>>
  putTotp(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<ShownTotp>>
  deleteTotp(write: Write, subject: EntityRef, proof: Proof): Promise<Answer<null>>
  deleteSessions(write: Write, subject: EntityRef): Promise<Answer<null>>
}

export function credentialAdministration(parts: Parts & CredentialParts, change: Changer): CredentialAdministration {
  return {
    putPassword: (write, subject, password) => putPassword(parts, change, once(write), subject, password),
    deletePassword: (write, subject, proof) => deletePassword(parts, change, once(write), subject, proof),
    putTotp: (write, subject, proof) => putTotp(parts, change, once(write), subject, proof),
    deleteTotp: (write, subject, proof) => deleteTotp(parts, change, once(write), subject, proof),
    deleteSessions: (write, subject) => change(once(write), (at) => deleteSessions(at, subject)),
  }
}

// An idempotency key is kept with a fast hash of the body: of one that holds a password, that would be a way to guess it.
function once(write: Write): Write {
  return { ...write, idempotency: null }
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
