import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { at } from '../support/clock.ts'
import { eventually, newKey, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let token: string

beforeAll(async () => {
  verdict = await startService()
  token = (await exchange(verdict.adminKey)).body.access_token
})

afterAll(() => verdict.close())

const exchange = (api_key: string) =>
  verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'api_key', api_key } })
const me = (key: string) => verdict.ask('GET /v1/authenticate/me', { key })

test('an API key is exchanged for an access token, by which its bearer is known', async () => {
  const { status, body } = await exchange(verdict.adminKey)
  expect(status).toBe(200)
  expect(body).toMatchObject({ token_type: 'Bearer', tenant: 'default', subject: { type: 'service', id: 'admin' } })
  expect(body.roles).toEqual(['pdp:admin'])
  const { body: known } = await me(body.access_token)
  expect(known).toMatchObject({ tenant: 'default', method: 'access_token', roles: ['pdp:admin'] })
  const { iat = 0, exp = 0 } = decodeJwt(body.access_token)
  expect(exp - iat).toBe(body.expires_in)
})

test('a token is a JWT of RFC 9068, verifiable with the published keys', async () => {
  const header = decodeProtectedHeader(token)
  expect(header).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' })
  const { body } = await verdict.ask('GET /.well-known/jwks.json', { key: null })
  expect(body.keys.map((key: { kid: string }) => key.kid)).toContain(header.kid)
  expect(JSON.stringify(body)).not.toContain('"d"')
  expect(decodeJwt(token)).toMatchObject({ iss: 'https://verdict.test', aud: 'https://verdict.test', sub: 'admin' })
})

test('a token ends with its key', async () => {
  const key = await verdict.keyWith(['pdp:auditor'])
  const { body } = await exchange(key)
  expect((await me(body.access_token)).status).toBe(200)
  const { key_id } = (await me(key)).body
  await verdict.ask(`DELETE /v1/api-keys/${key_id}`)
  expect((await me(body.access_token)).status).toBe(401)
  expect((await me(key)).status).toBe(401)
})

test('a key that has expired is refused, and so is its token', async () => {
  const end = Date.now() + 60_000
  const expires_at = new Date(end).toISOString()
  const body = { name: 'short', subject: { type: 'service', id: 'short' }, roles: ['pdp:decider'], expires_at }
  const { key } = (await verdict.ask('POST /v1/api-keys', { body })).body
  const { access_token } = (await exchange(key)).body
  for (const [instant, status] of [
    [end - 2_000, 200],
    [end + 10_000, 401],
  ] as const) {
    await at(instant, async () => {
      for (const credential of [key, access_token]) expect((await me(credential)).status).toBe(status)
    })
  }
})

test('a key without roles holds what its subject holds at the moment of use', async () => {
  const subject = { type: 'user', id: 'olga' }
  const { key } = (await verdict.ask('POST /v1/api-keys', { body: { name: 'own', subject } })).body
  expect((await verdict.ask('GET /v1/rules', { key })).status).toBe(403)
  const given = await verdict.ask('POST /v1/assignments', { body: { subject, role: 'pdp:policy_admin' } })
  expect((await verdict.ask('GET /v1/rules', { key })).status).toBe(200)
  await verdict.ask(`DELETE /v1/assignments/${given.body.id}`)
  expect((await verdict.ask('GET /v1/rules', { key })).status).toBe(403)
})

test('a disabled subject may call nothing, whatever its key holds', async () => {
  const subject = { type: 'user', id: 'dora' }
  const made = await verdict.ask('POST /v1/api-keys', { body: { name: 'd', subject, roles: ['pdp:decider'] } })
  const question = { subject, action: { name: 'a' }, resource: { type: 'r', id: '1' } }
  const asked = async () => (await verdict.ask('POST /v1/authorize', { key: made.body.key, body: question })).status
  expect(await asked()).toBe(200)
  await verdict.ask('PUT /v1/entities/user/dora', { body: { disabled: true } })
  expect(await asked()).toBe(403)
  expect((await me(made.body.key)).status).toBe(403)
  expect((await exchange(made.body.key)).status).toBe(401)
  await verdict.ask('PUT /v1/entities/user/dora', { body: { disabled: false } })
  expect(await asked()).toBe(200)
})

describe('a token is refused', () => {
  const foreign = generateKeyPairSync('ed25519').privateKey
  const claims = () => decodeJwt(token)
  const kid = () => decodeProtectedHeader(token).kid ?? ''
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  test.each([
    [
      'signed by another key',
      () => new SignJWT(claims()).setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: kid() }).sign(foreign),
    ],
    ['without a signature', () => `${part({ alg: 'none', typ: 'at+jwt', kid: kid() })}.${part(claims())}.`],
    ['with the public key as an HMAC secret', hmac],
    ['with another claim under the same signature', () => altered({ ...claims(), tenant: 'system' })],
    ['that is cut', () => token.slice(0, -4)],
    [
      'with an unknown key id',
      () => new SignJWT(claims()).setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'x' }).sign(foreign),
    ],
    ['that is no token', () => 'a.b.c'],
  ])('%s', async (_what, forge) => {
    expect((await me(await forge())).status).toBe(401)
  })

  async function hmac(): Promise<string> {
    const { body } = await verdict.ask('GET /.well-known/jwks.json', { key: null })
    const secret = Buffer.from(body.keys[0].x, 'base64url')
    return new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: kid() }).sign(secret)
  }

  function altered(payload: object): string {
    const [head, , signature] = token.split('.')
    return `${head}.${part(payload)}.${signature}`
  }

  test('signed by our own key, but for another audience, without expiry, of another type, or not valid yet', async () => {
    const { sealed } = await ownKey()
    const now = Math.floor(Date.now() / 1000)
    const header = { alg: 'EdDSA', typ: 'at+jwt', kid: kid() }
    const forge = (head: object, payload: object) => {
      const text = `${part({ ...header, ...head })}.${part(payload)}`
      return `${text}.${sign(null, Buffer.from(text), sealed).toString('base64url')}`
    }
    const good = { ...claims(), jti: 'another' }
    expect((await me(forge({}, good))).status).toBe(200)
    const { exp: _exp, ...endless } = good
    const bad: [object, object][] = [
      [{}, { ...good, aud: 'https://other.test' }],
      [{}, { ...good, iss: 'https://other.test' }],
      [{}, endless],
      [{}, { ...good, exp: now - 1 }],
      [{}, { ...good, nbf: now + 600 }],
      [{}, { ...good, iat: now + 600 }],
      [{}, { ...good, sub: { id: 'admin' } }],
      [{ typ: 'JWT' }, good],
      [{ alg: 'ES256' }, good],
    ]
    for (const [head, payload] of bad) {
      expect((await me(forge(head, payload))).status, JSON.stringify([head, payload])).toBe(401)
    }
  })

  async function ownKey() {
    const { loadSigningKeys } = await import('../../src/store/signing-keys.ts')
    const { openDeploymentKey } = await import('../../src/store/deployment-key.ts')
    const current = Buffer.from(verdict.env['VERDICT_MASTER_KEY'] ?? '', 'base64')
    const { db } = verdict.database
    const [key] = await loadSigningKeys(db, await openDeploymentKey(db, { current, previous: undefined }))
    return { sealed: createPrivateKey(key?.private_pem ?? '') }
  }
})

describe('a credential that cannot be exchanged', () => {
  test('gets one and the same answer, whatever is wrong with it', async () => {
    const [, id] = verdict.adminKey.split('_')
    const answers = []
    for (const key of ['nonsense', newKey(), `vdt_${id}_${'x'.repeat(43)}`, token.slice(0, -3)])
      answers.push(await exchange(key))
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401])
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  test.each([
    ['no method', { api_key: 'x' }, '/method'],
    ['another method', { method: 'magic', api_key: 'x' }, '/method'],
    ['no key', { method: 'api_key' }, '/api_key'],
    ['an unknown member', { method: 'api_key', api_key: 'x', admin: true }, '/admin'],
  ])('because its body is malformed (%s) is a 400 with the pointer', async (_what, body, pointer) => {
    const answer = await verdict.ask('POST /v1/authenticate', { key: null, body })
    expect(answer.status).toBe(400)
    expect(answer.body.errors[0].pointer).toBe(pointer)
  })

  test('is recorded where its key belongs, else in system; a flood of them not one by one', async () => {
    const [, id] = verdict.adminKey.split('_')
    for (let n = 0; n < 15; n++) await exchange(`vdt_${id}_${'x'.repeat(43)}`)
    const count = async (key: string) =>
      (await verdict.ask('GET /v1/audit?type=authentication&decision=false&limit=1000', { key })).body.items.length
    await eventually(
      () => count(verdict.rootKey),
      (n) => n > 0,
    )
    const total = (await count(verdict.adminKey)) + (await count(verdict.rootKey))
    expect(total).toBeLessThanOrEqual(10)
  })
})
