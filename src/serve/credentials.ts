import { TrustedTokens } from '../authn/issuer/trusted-tokens.ts'
import { KeyUse } from '../authn/key-use.ts'
import type { SigningKeys } from '../authn/signing-key.ts'
import type { Config } from '../config.ts'
import { parseJson } from '../http/json.ts'
import { destinations } from '../outgoing/addresses.ts'
import { jsonFetcher } from '../outgoing/fetch-json.ts'
import { noteUse } from '../store/api-keys.ts'
import { openSigningKeys } from '../store/signing-keys.ts'
import type { Opening, Stored } from './database.ts'
import { MINUTE, SECOND } from './rounds.ts'

/** What credentials are verified with, and whose use is noted. */
export interface Credentials {
  readonly signingKeys: SigningKeys
  readonly keyUse: KeyUse
  readonly trustedTokens: TrustedTokens
}

export async function openCredentials(
  { logger, opened, every }: Opening,
  config: Config,
  { database: { db }, facts, deploymentKey }: Stored,
): Promise<Credentials> {
  const signingKeys = await openSigningKeys(facts.db, deploymentKey)
  // Which keys there are is known everywhere within a second, as is what else is revoked.
  every(SECOND, 'signing keys', () => signingKeys.poll())
  const keyUse = new KeyUse((tenant, uses) => noteUse(db.of(tenant), tenant, uses))
  opened.add('use of keys', () => keyUse.drain())
  every(MINUTE, 'noting use of keys', () => keyUse.drain())
  const trustedTokens = new TrustedTokens({
    parseJson,
    fetchJson: jsonFetcher({
      destinations: destinations(config.outgoingAllow),
      httpToLoopback: config.outgoingHttp === 'loopback',
    }),
    warn: (error, issuer) => logger.warn({ err: error, issuer }, 'the keys of a trusted issuer could not be had'),
  })
  return { signingKeys, keyUse, trustedTokens }
}
