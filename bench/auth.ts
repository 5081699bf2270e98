import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import fastify from 'fastify'
import { secretHash } from '../src/authn/api-key.ts'
import { authenticate, type CredentialSource } from '../src/authn/authenticate.ts'
import { LastCredentials } from '../src/authn/credential.ts'
import type { SigningKeys } from '../src/authn/signing-key.ts'
import { accessTokens } from '../src/http/access-token.ts'

const ROUNDS = 7

/**
 * `auth [--ms 1000]`: what authentication costs a request of `/v1/authorize`, in µs, where the tenant is in memory: by an
 * API key, the first of its connection and one that showed it with its last request, by an access token that was seen
 * before, and by one that is new (its signature is verified). The best of 7.
 */
export async function run(args: readonly string[]): Promise<void> {
  const ms = Number(args[args.indexOf('--ms') + 1] ?? 1000) || 1000
  const id = 'bench0000'
  const secret = randomBytes(32).toString('base64url')
  const subject = { type: 'service', id: 'gateway' }
  const key = {
    id,
    tenant: 'acme',
    name: 'k',
    subject,
    roles: ['pdp:decider'],
    secret_sha256: secretHash(secret),
    made: 0,
    expires_at: null,
  }
  const tokens = await accessTokens(fastify(), signingKeys(), 'https://verdict.test')
  const source: CredentialSource = {
    findApiKey: (wanted) => (wanted === id ? key : undefined),
    verifyToken: (token, now) => tokens.verify(token, now),
    findIssuer: () => undefined,
    isRevoked: () => false,
    isTenant: () => true,
  }
  const issued = () => `Bearer ${tokens.issue({ tenant: 'acme', of: { key: id, made: 0 }, subject }, Date.now()).token}`
  const ask = (header: string, last = new LastCredentials()) => {
    const found = authenticate(source, last.read(connection, header), Date.now())
    if (found instanceof Promise || found.caller === undefined) throw new Error('nobody')
  }
  const connection = {}
  const [byKey, seen] = [`Bearer vdt_${id}_${secret}`, issued()]
  const fresh = Array.from({ length: 3_000 }, issued)
  let next = 0
  const last = new LastCredentials()
  report(
    'API key, first of its connection',
    best(() => ask(byKey), ms),
  )
  report(
    'API key, as in the request before',
    best(() => ask(byKey, last), ms),
  )
  report(
    'access token, seen before',
    best(() => ask(seen), ms),
  )
  const began = performance.now()
  for (; next < fresh.length; next++) ask(fresh[next] ?? '')
  report('access token, new', ((performance.now() - began) * 1000) / fresh.length)
}

function report(what: string, us: number): void {
  console.log(`${what.padEnd(36)} ${us.toFixed(2)} µs`)
}

function best(work: () => void, ms: number): number {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const until = performance.now() + ms / ROUNDS
    let count = 0
    const began = performance.now()
    while (performance.now() < until) for (let n = 0; n < 100; n++, count++) work()
    least = Math.min(least, ((performance.now() - began) * 1000) / count)
  }
  return least
}

function signingKeys(): SigningKeys {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const private_pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const public_pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const key = {
    kid: 'bench',
    private_pem,
    public_pem,
    public_jwk: createPrivateKey(private_pem).export({ format: 'jwk' }),
  }
  return { current: () => key, find: (kid) => (kid === key.kid ? key : undefined), all: () => [key] }
}
