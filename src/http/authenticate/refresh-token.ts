import type { FastifyRequest } from 'fastify'
import { eventId } from '../../audit/event-id.ts'
import { newRefreshToken, parseRefreshToken } from '../../authn/refresh-token.ts'
import type { ShownToken } from '../../authn/session.ts'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { originOf } from '../origin.ts'
import { type Admission, type AuthenticateParts, inSession, limitsOf, rolesOf } from './admission.ts'

/**
 * Each refresh token is good for once. Shown again, it or the one that came for it was stolen, and nobody can say
 * which: the session ends. There is no grace for an answer that was lost on its way; who lost it logs in again.
 */
export async function byRefreshToken(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { refresh_token }: CredentialOf<'refresh_token'>,
): Promise<Admission> {
  const { authenticator, sessions, snapshots } = parts
  const context = { method: 'refresh_token' }
  const shown = parseRefreshToken(refresh_token)
  const tenant = shown && (await snapshots.tenant(shown.tenant))
  if (shown === undefined || tenant === undefined) return authenticator.refuse(request, undefined, { context })
  const limits = limitsOf(tenant)
  const found = await sessions.find(tenant.id, shown.sha256, limits)
  if (found === undefined) return authenticator.refuse(request, tenant.id, { context })
  if (found.isSpent) return endFamily(parts, request, tenant.id, found)
  const { session, subject } = found
  if (!found.isAlive) return authenticator.refuse(request, tenant.id, { context, subject, reason: 'session_ended' })
  const caller = inSession(tenant.id, subject, session)
  const roles = await rolesOf(parts, request, caller)
  const next = newRefreshToken(tenant.id)
  const rotation = await sessions.rotate(tenant.id, shown.sha256, next.sha256, limits)
  if (rotation === undefined) return endFamily(parts, request, tenant.id, found)
  return { caller, of: { session }, roles, refresh_token: next.text, until: rotation.ends_at, context: { session } }
}

async function endFamily(
  parts: AuthenticateParts,
  request: FastifyRequest,
  tenant: string,
  { session, subject }: ShownToken,
): Promise<never> {
  const { sessions, pdp, clock, authenticator } = parts
  const reason = 'refresh_token_reused'
  if (await sessions.revoke(tenant, session)) {
    await parts.learnRevoked()
    await pdp.record(
      {
        ...eventId(clock()),
        tenant,
        type: 'security',
        actor: null,
        subject,
        action: { name: 'pdp:authenticate' },
        resource: null,
        context: { session },
        decision: false,
        reason,
        rules: [],
        obligations: [],
        revision: null,
        ...originOf(request),
        duration_us: null,
      },
      'journal',
    )
  }
  return authenticator.refuse(request, tenant, { reason, subject, context: { method: 'refresh_token' } })
}
