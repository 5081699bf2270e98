import Type from 'typebox'
import { Value } from 'typebox/value'
import type { Issuer } from '../../policy/issuer.ts'

const Discovery = Type.Object({ issuer: Type.String(), jwks_uri: Type.String({ minLength: 1, maxLength: 2048 }) })

/**
 * Where an issuer's keys are, by its discovery document (OpenID Connect Discovery 1.0, RFC 8414), which must say that it
 * is this issuer's.
 */
export async function discover(
  { issuer, discovery_url }: Issuer,
  fetchJson: (url: string) => Promise<unknown>,
): Promise<string> {
  const found = await fetchJson(discovery_url ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  if (!Value.Check(Discovery, found)) throw new Error('its discovery document names no issuer or no jwks_uri')
  if (found.issuer !== issuer) throw new Error('its discovery document is that of another issuer')
  return found.jwks_uri
}
