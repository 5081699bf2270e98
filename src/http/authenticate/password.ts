import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { newRefreshToken } from '../../authn/refresh-token.ts'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { type Admission, type AuthenticateParts, inSession, limitsOf, rolesOf } from './admission.ts'

/** A person's password, with the second factor where there is one: it opens a session. */
export async function byPassword(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { tenant, username, password, otp }: CredentialOf<'password'>,
): Promise<Admission> {
  const { logIn, authenticator, snapshots, sessions } = parts
  const outcome = await logIn({ tenant, username, password, otp, address: request.ip })
  if (outcome.subject === undefined) {
    const { reason, account, name, address_locked_s } = outcome
    // A name that is no account's may be a password in the wrong field: the record knows it by its keyed hash alone.
    const context = { method: 'password', account: name }
    const refused = { reason, subject: account ?? null, context, retryAfter: address_locked_s }
    return authenticator.refuse(request, outcome.tenant, refused)
  }
  const { subject, hash } = outcome
  const id = randomUUID()
  const caller = inSession(tenant, subject, id)
  const roles = await rolesOf(parts, request, caller)
  const { lifetime_s } = await snapshots.withEntity(tenant, subject, limitsOf)
  const { text, sha256 } = newRefreshToken(tenant)
  const opened = await sessions.open({ tenant, subject, method: 'password', hash, id, sha256, lifetime_s })
  // The password was changed after it was verified.
  if (opened === undefined) return authenticator.refuse(request, tenant, { subject })
  return { caller, of: { session: id }, roles, refresh_token: text, until: opened.ends_at, context: { session: id } }
}
