import type { FastifyRequest } from 'fastify'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { type Admission, type AuthenticateParts, rolesOf } from './admission.ts'

/** The token names its key and ends with it: there is no session, and nothing to refresh. */
export async function byApiKey(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { api_key }: CredentialOf<'api_key'>,
): Promise<Admission> {
  const { authenticator } = parts
  const caller = await authenticator.callerOf(request, api_key)
  const { tenant, subject, key_id } = caller
  // An access token that no key stands behind is not to be had anew by itself, for ever.
  if (key_id === null) return authenticator.refuse(request, tenant, { subject })
  const roles = await rolesOf(parts, request, caller)
  return { caller, of: { key: key_id }, roles }
}
