import type { FastifyRequest } from 'fastify'
import type { CredentialOf } from '../../contract/authenticate.ts'
import { type Admission, type AuthenticateParts, rolesOf } from './admission.ts'

/** The token names its key and ends with it: there is no session, and nothing to refresh. */
export async function byApiKey(
  parts: AuthenticateParts,
  request: FastifyRequest,
  { api_key }: CredentialOf<'api_key'>,
): Promise<Admission> {
  const caller = await parts.authenticator.callerOf(request, api_key)
  const roles = await rolesOf(parts, request, caller)
  const { key_id, session_id } = caller
  const of = key_id === null ? { session: session_id ?? '' } : { key: key_id }
  return { caller, of, roles }
}
