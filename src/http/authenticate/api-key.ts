import type { FastifyRequest } from 'fastify'
import { parseApiKey } from '../../authn/api-key.ts'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { type Admission, type AuthenticateParts, rolesOf } from './admission.ts'

/** The token names its key and ends with it: there is no session, and nothing to refresh. */
export async function byApiKey(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { api_key }: CredentialOf<'api_key'>,
): Promise<Admission> {
  const { authenticator, snapshots } = parts
  // Before it is verified: of a key that is replaced meanwhile by one of the same id, the token is worth nothing.
  const shown = parseApiKey(api_key)
  const key = shown && (await snapshots.findApiKey(shown.id))
  const caller = await authenticator.callerOf(request, api_key)
  const { tenant, subject, key_id } = caller
  // An access token that no key stands behind is not to be had anew by itself, for ever.
  if (key_id === null || key === undefined) return authenticator.refuse(request, tenant, { subject })
  const roles = await rolesOf(parts, request, caller)
  return { caller, of: { key: key_id, made: key.made }, roles }
}
