import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { type ContextClaims, type ContextTokens, contextTokens } from '../../src/authn/context/tokens.ts'
import type { SigningKey } from '../../src/authn/signing-key.ts'
import { Failure } from '../../src/failure.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const ISSUER = 'https://verdict.test'

function newKey(kid: string): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    kid,
    private_pem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    public_pem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    public_jwk: {},
  }
}

let keys: SigningKey[]
let revoked: Set<string>
let tokens: ContextTokens

beforeEach(() => {
  keys = [newKey('k1')]
  revoked = new Set()
  tokens = overKeys()
})

function overKeys(issuer = ISSUER, isRevoked = (id: string) => revoked.has(id)): ContextTokens {
  const current = () => {
    const [first] = keys
    if (first === undefined) throw new Error('there is a key')
    return first
  }
  return contextTokens(
    { current, find: (kid) => keys.find((key) => key.kid === kid), all: () => keys },
    issuer,
    isRevoked,
  )
}

const ID = '0199aaaa-0000-7000-8000-000000000001'
const PARENT = '0199aaaa-0000-7000-8000-000000000002'
const claims = (more: Partial<ContextClaims> = {}) => ({
  jti: ID,
  tenant: 'default',
  iat: NOW / 1000,
  nbf: NOW / 1000,
  exp: NOW / 1000 + 900,
  subject: { type: 'user', id: 'alice' },
  quotas: {},
  capabilities: [],
  parents: [PARENT],
  ...more,
})

async function refusalOf(more: Partial<ContextClaims> = {}, now = NOW, tenant = 'default', by = tokens) {
  return tokens.refusal(await tokens.verify((await by.sign(claims(more))).token), tenant, now)
}

test('a token is known again at once by its exact bytes, and any other copy is verified by itself', async () => {
  const { token } = await tokens.sign(claims())
  const first = tokens.verify(token)
  expect(first).toBeInstanceOf(Promise)
  const verified = await first
  expect(tokens.verify(token)).toBe(verified)
  expect(tokens.verify(`${token}A`)).toBeInstanceOf(Promise)
  expect(await tokens.verify(`${token}A`)).toBeUndefined()
})

test('what a revoked key has signed is worth nothing, known or not', async () => {
  const { token } = await tokens.sign(claims())
  const verified = await tokens.verify(token)
  expect(tokens.refusal(verified, 'default', NOW)).toBeUndefined()
  keys = [newKey('k2')]
  expect(tokens.refusal(verified, 'default', NOW)).toBe('context_invalid')
  expect(await tokens.verify(token)).toBeUndefined()
})

test('another Verdict’s is none, nor is one by another key of the same name', async () => {
  expect(await refusalOf({}, NOW, 'default', overKeys('https://other.test'))).toBe('context_invalid')
  const { token } = await tokens.sign(claims())
  keys = [newKey('k1')]
  expect(await overKeys().verify(token)).toBeUndefined()
})

test('it is good in its own tenant, from a few seconds before it was made, until its end', async () => {
  expect(await refusalOf({}, NOW, 'acme')).toBe('context_invalid')
  expect(await refusalOf({}, NOW - 5_000)).toBeUndefined()
  expect(await refusalOf({}, NOW - 5_001)).toBe('context_invalid')
  expect(await refusalOf({}, NOW + 899_999)).toBeUndefined()
  expect(await refusalOf({}, NOW + 900_000)).toBe('context_expired')
})

test('it is revoked with its own id, and with that of what it was narrowed from', async () => {
  for (const id of [ID, PARENT]) {
    revoked = new Set([id])
    expect(await refusalOf()).toBe('context_revoked')
  }
  // What is over need not be remembered as revoked.
  expect(await refusalOf({}, NOW + 900_000)).toBe('context_expired')
})

test('nothing is believed where nobody knows what is revoked', async () => {
  const stale = new Failure('stale', 'the database has been away')
  const doubting = overKeys(ISSUER, () => {
    throw stale
  })
  const verified = await doubting.verify((await doubting.sign(claims())).token)
  expect(() => doubting.refusal(verified, 'default', NOW)).toThrow(stale)
})
