import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { VerdictError, type VerifyContextOptions, verifyContext } from '../../src/client/index.ts'
import { jwkOf } from '../support/jwk.ts'

// A context without Verdict: what is wrong with one is found, but for its revocation. Against a real one: service.test.ts.

const pair = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ed25519')
const jwks = {
  keys: [{ kty: 'EC' }, 7, { ...jwkOf(pair.publicKey), kid: 'k1', use: 'sig', alg: 'EdDSA' }],
}
const NOW = Date.parse('2030-01-01T00:00:00Z')
const CLAIMS = {
  iss: 'https://verdict.test',
  aud: ['https://verdict.test', 'https://node-7.test'],
  iat: NOW / 1000,
  nbf: NOW / 1000,
  exp: NOW / 1000 + 900,
  jti: '0199aaaa-0000-7000-8000-000000000000',
  tenant: 'default',
  subject: { type: 'user', id: 'ålice' },
  level: 'read_only',
  quotas: { memory: 4000 },
  capabilities: [[{ actions: ['read'], resources: [{ type: 'doc' }] }]],
  parents: [],
}
const SAID = {
  id: CLAIMS.jti,
  subject: CLAIMS.subject,
  level: 'read_only',
  quotas: CLAIMS.quotas,
  capabilities: CLAIMS.capabilities,
  parents: [],
  audience: CLAIMS.aud,
  issued_at: '2030-01-01T00:00:00.000Z',
  expires_at: '2030-01-01T00:15:00.000Z',
}

const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
function signed(claims: object = {}, header: object = {}, by: KeyObject = pair.privateKey): string {
  const head = { alg: 'EdDSA', typ: 'verdict-context+jwt', kid: 'k1', ...header }
  const input = `${b64(JSON.stringify(head))}.${b64(JSON.stringify({ ...CLAIMS, ...claims }))}`
  return `${input}.${b64(sign(null, Buffer.from(input), by))}`
}

const outcome = (token: string, options: Partial<VerifyContextOptions> = {}, keys: object = jwks) =>
  verifyContext(token, keys as typeof jwks, { tenant: 'default', now: NOW, ...options }).then(
    (said) => said,
    (error: unknown) => (error instanceof VerdictError ? error.code : error),
  )

test('a context that is good says what it carries', async () => {
  expect(await outcome(signed())).toEqual(SAID)
  expect(await outcome(signed({ level: undefined }))).toEqual({ ...SAID, level: null })
  const options = { issuer: 'https://verdict.test', audience: 'https://node-7.test' }
  expect(await outcome(signed(), options)).toEqual(SAID)
})

test('it ends by the millisecond, and may come from a clock that is some seconds ahead', async () => {
  const end = CLAIMS.exp * 1000
  expect(await outcome(signed(), { now: end - 1 })).toEqual(SAID)
  expect(await outcome(signed(), { now: end })).toBe('context_expired')
  expect(await outcome(signed(), { now: NOW - 5_000 })).toEqual(SAID)
  expect(await outcome(signed(), { now: NOW - 5_001 })).toBe('context_invalid')
})

describe('refused is', () => {
  const [head, , signature] = signed().split('.')
  const widened = b64(JSON.stringify({ ...CLAIMS, capabilities: [] }))
  test.each<[string, string, Partial<VerifyContextOptions>?, object?]>([
    ['what is widened under the same signature', `${head}.${widened}.${signature}`],
    ['a broken signature', `${signed().slice(0, -8)}AAAAAAAA`],
    ['no signature', `${signed().split('.').slice(0, 2).join('.')}.`],
    ['a signature that is no base64url', `${signed()}!`],
    ['a signature of another length', `${head}.${widened}.AAAA`],
    ['what a stranger signed', signed({}, {}, stranger.privateKey)],
    ['what a stranger signed, with the key in it', signed({}, { jwk: jwkOf(stranger.publicKey) }, stranger.privateKey)],
    ['alg none', signed({}, { alg: 'none' })],
    ['another alg', signed({}, { alg: 'HS256' })],
    ['an access token', signed({}, { typ: 'at+jwt' })],
    ['no typ', signed({}, { typ: undefined })],
    ['an extension that must be understood', signed({}, { crit: ['x'] })],
    ['a key that is not there', signed({}, { kid: 'k2' })],
    ['no name of a key', signed({}, { kid: undefined })],
    ['a context of another tenant', signed({ tenant: 'acme' })],
    ['a context of no tenant', signed({ tenant: undefined })],
    ['another issuer', signed(), { issuer: 'https://evil.test' }],
    ['another audience', signed(), { audience: 'https://node-8.test' }],
    ['no end', signed({ exp: undefined })],
    ['an end that is text', signed({ exp: '2030' })],
    ['no id', signed({ jti: undefined })],
    ['a subject without a name', signed({ subject: { type: 'user' } })],
    ['no layers', signed({ capabilities: undefined })],
    ['a layer that is none', signed({ capabilities: [{}] })],
    ['a quota that is text', signed({ quotas: { memory: '1' } })],
    ['no token', 'x'],
    ['nothing', ''],
    ['five parts', `${signed()}.AA.AA`],
    ['more than a token may be', 'x'.repeat(20_000)],
    ['a key that is none of Ed25519', signed(), {}, { keys: [{ kty: 'oct', k: 'AAAA', kid: 'k1' }] }],
    ['a key that is no point', signed(), {}, { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AAAA', kid: 'k1' }] }],
    ['keys that are none', signed(), {}, { keys: [] }],
  ])('%s', async (_what, token, options, keys) => {
    expect(await outcome(token, options, keys)).toBe('context_invalid')
  })
})
