import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { openDeploymentKey } from '../../src/store/deployment-key.ts'
import { openSigningKeys } from '../../src/store/signing-keys.ts'
import { jwkOf } from '../support/jwk.ts'
import { eventually, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// Access tokens of Verdict's own. `forged` is signed with the service's own key, so that nothing but the one thing that is
// said of it is wrong: the signature alone would not keep it out.

let verdict: TestService
let token: string
let own: { kid: string; key: KeyObject }
const stranger = generateKeyPairSync('ed25519').privateKey

beforeAll(async () => {
  verdict = await startService()
  token = await tokenOf(verdict.adminKey)
  const { db } = verdict.database
  const master = Buffer.from(verdict.env['VERDICT_MASTER_KEY'] ?? '', 'base64')
  const deployment = await openDeploymentKey(db, { current: master, previous: undefined })
  const { kid, private_pem } = (await openSigningKeys(db, deployment)).current()
  own = { kid, key: createPrivateKey(private_pem) }
})
afterAll(() => verdict.close())

const authenticate = (body: object) => verdict.ask('POST /v1/authenticate', { key: null, body })
const tokenOf = async (api_key: string): Promise<string> =>
  (await authenticate({ method: 'api_key', api_key })).body.access_token
const me = (key: string) => verdict.ask('GET /v1/authenticate/me', { key })

const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
const parts = () => token.split('.') as [string, string, string]
const claims = () => JSON.parse(Buffer.from(parts()[1], 'base64url').toString())
const now = () => Math.floor(Date.now() / 1000)

function signed(header: object, payload: object | string, by: KeyObject = own.key): string {
  const said = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const input = `${b64(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid: own.kid, ...header }))}.${b64(said)}`
  return `${input}.${sign(null, Buffer.from(input), by).toString('base64url')}`
}

/** All as it should be but for these claims; `undefined` leaves one out. */
const forged = (more: object, header: object = {}) => me(signed(header, { ...claims(), jti: uuid(), ...more }))
const uuid = () => crypto.randomUUID()

function hmac(alg: string, secret: string | Buffer): string {
  const input = `${b64(JSON.stringify({ alg, typ: 'at+jwt', kid: own.kid }))}.${parts()[1]}`
  const hash = alg === 'HS512' ? 'sha512' : 'sha256'
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`
}

const publicKey = () => createPublicKey(own.key)
const unsigned = (alg: unknown, signature = '') =>
  `${b64(JSON.stringify({ alg, typ: 'at+jwt', kid: own.kid }))}.${parts()[1]}.${signature}`

/** Other texts of the same signature: of its last character four bits say nothing. */
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const spellings = (of: string) => [...LETTERS].map((last) => of.slice(0, -1) + last).filter((one) => one !== of)

/** The same signature with the order of the curve added to its second half: valid to who does not check its range. */
function shifted(): string {
  const [head, body, signature] = parts()
  const bytes = Buffer.from(signature, 'base64url')
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const half = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order
  const other = Buffer.from(half.toString(16).padStart(64, '0'), 'hex').reverse()
  return `${head}.${body}.${Buffer.concat([bytes.subarray(0, 32), other]).toString('base64url')}`
}

/** The one answer that all of these get, or those that differ. */
async function all(tokens: readonly string[]): Promise<string> {
  const statuses = await Promise.all(tokens.map(async (one) => (await me(one)).status))
  return [...new Set(statuses)].join(' and ')
}

async function newToken(more: object = {}) {
  const body = { name: 'k', subject: { type: 'service', id: uuid() }, roles: ['pdp:decider'], ...more }
  const { id, key } = (await verdict.ask('POST /v1/api-keys', { body })).body
  return { id, key, access: await tokenOf(key) }
}

async function tenantToken() {
  const tenant = `t-${uuid().slice(0, 8)}`
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: tenant, name: 'T' } })
  const body = { name: 'a', subject: { type: 'user', id: 'a' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': tenant }
  const { id, key } = (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, headers, body })).body
  return { tenant, id, access: await tokenOf(key) }
}

const PASSWORD = 'a horse, a battery and a staple'
async function session() {
  const id = uuid()
  const path = `/v1/credentials/user/${id}`
  await verdict.ask(`PUT ${path}/password`, { body: { password: PASSWORD } })
  const login = { method: 'password', tenant: 'default', username: id, password: PASSWORD }
  return { id, path, ...(await authenticate(login)).body }
}

attacks('tokens: algorithm and signature', [
  ['the token itself, so that the others mean something', '200', () => me(token)],
  ['one that is forged wholly right, likewise', '200', () => forged({})],
  ['alg none', '401', () => me(unsigned('none'))],
  ['alg none, with the signature left', '401', () => me(unsigned('none', parts()[2]))],
  ['alg NoNe', '401', () => me(unsigned('NoNe'))],
  ['no alg', '401', () => me(unsigned(undefined, parts()[2]))],
  ['alg as a list', '401', () => me(unsigned(['EdDSA'], parts()[2]))],
  [
    'HS256 with the public key in PEM',
    '401',
    () => me(hmac('HS256', publicKey().export({ type: 'spki', format: 'pem' }))),
  ],
  [
    'HS256 with the public key in DER',
    '401',
    () => me(hmac('HS256', publicKey().export({ type: 'spki', format: 'der' }))),
  ],
  [
    'HS256 with the raw public key',
    '401',
    () => me(hmac('HS256', Buffer.from(publicKey().export({ format: 'jwk' }).x ?? '', 'base64url'))),
  ],
  [
    'HS512 with the public key in PEM',
    '401',
    () => me(hmac('HS512', publicKey().export({ type: 'spki', format: 'pem' }))),
  ],
  ['HS256 with nothing for a secret', '401', () => me(hmac('HS256', ''))],
  ['RS256 over the same signature', '401', () => me(signed({ alg: 'RS256' }, claims()))],
  ['a signature of another key under this kid', '401', () => me(signed({}, claims(), stranger))],
  ['no signature', '401', () => me(`${parts()[0]}.${parts()[1]}.`)],
  ['a signature of zeros', '401', () => me(`${parts()[0]}.${parts()[1]}.${b64(Buffer.alloc(64))}`)],
  ['half a signature', '401', () => me(`${parts()[0]}.${parts()[1]}.${parts()[2].slice(0, 43)}`)],
  ['a signature whose second half is out of range', '401', () => me(shifted())],
  [
    'other claims under the same signature',
    '401',
    () => me(`${parts()[0]}.${b64(JSON.stringify({ ...claims(), tenant: 'system' }))}.${parts()[2]}`),
  ],
  [
    'another header under the same signature',
    '401',
    () => me(`${b64(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt', kid: own.kid, x: 1 }))}.${parts()[1]}.${parts()[2]}`),
  ],
])

attacks('tokens: header', [
  ['a kid that is not there', '401', () => forged({}, { kid: 'other' })],
  ['no kid', '401', () => forged({}, { kid: undefined })],
  ['a kid that is a path', '401', () => forged({}, { kid: '../../../../dev/null' })],
  ['a kid that is SQL', '401', () => forged({}, { kid: "' or 1=1 --" })],
  ['a kid that objects have of themselves', '401', () => forged({}, { kid: 'constructor' })],
  ['a kid that is no text', '401', () => forged({}, { kid: 0 })],
  ['a kid that is a list with the right one', '401', () => forged({}, { kid: [own.kid] })],
  ['a key in the header', '401', () => me(signed({ jwk: jwkOf(createPublicKey(stranger)) }, claims(), stranger))],
  [
    'a key in the header, without a kid',
    '401',
    () => me(signed({ kid: undefined, jwk: jwkOf(createPublicKey(stranger)) }, claims(), stranger)),
  ],
  [
    'the place of a key in the header',
    '401',
    () => me(signed({ jku: 'https://evil.test/jwks', x5u: 'https://evil.test/x' }, claims(), stranger)),
  ],
  ['a certificate in the header', '401', () => me(signed({ x5c: ['MIIB'] }, claims(), stranger))],
  ['an extension that must be understood', '401', () => forged({}, { crit: ['x'], x: 1 })],
  ['crit that names what is known', '401', () => forged({}, { crit: ['exp'] })],
  ['a payload that says it is not encoded', '401', () => forged({}, { b64: false, crit: ['b64'] })],
  ['typ of an id token', '401', () => forged({}, { typ: 'JWT' })],
  ['no typ', '401', () => forged({}, { typ: undefined })],
  ['typ of a logout token', '401', () => forged({}, { typ: 'logout+jwt' })],
  ['typ as a list', '401', () => forged({}, { typ: ['at+jwt'] })],
])

attacks('tokens: claims', [
  ['that ended a second ago', '401', () => forged({ exp: now() - 1 })],
  ['without an end', '401', () => forged({ exp: undefined })],
  ['an end that is text', '401', () => forged({ exp: String(now() + 900) })],
  ['an end that is nothing', '401', () => forged({ exp: null })],
  ['that is not valid yet', '401', () => forged({ nbf: now() + 60 })],
  ['without nbf', '401', () => forged({ nbf: undefined })],
  ['issued in ten minutes', '401', () => forged({ iat: now() + 600 })],
  ['without iat', '401', () => forged({ iat: undefined })],
  ['of another issuer', '401', () => forged({ iss: 'https://evil.test' })],
  ['of this issuer with a slash more', '401', () => forged({ iss: 'https://verdict.test/' })],
  ['of this issuer in capitals', '401', () => forged({ iss: 'HTTPS://VERDICT.TEST' })],
  ['of a list of issuers', '401', () => forged({ iss: ['https://verdict.test'] })],
  ['without an issuer', '401', () => forged({ iss: undefined })],
  ['for another audience', '401', () => forged({ aud: 'https://other.test' })],
  ['for nobody', '401', () => forged({ aud: [] })],
  ['without an audience', '401', () => forged({ aud: undefined })],
  ['without a jti, by which it could be revoked', '401', () => forged({ jti: undefined })],
  ['a subject that is an object', '401', () => forged({ sub: { id: 'admin' } })],
  ['without a subject', '401', () => forged({ sub: undefined })],
  ['a subject with a control character', '401', () => forged({ sub: 'admin\u0000' })],
  ['a tenant that is not there', '401', () => forged({ tenant: 'nobody' })],
  ['another tenant than that of its key', '401', () => forged({ tenant: 'system' })],
  ['a key that is not there', '401', () => forged({ key: 'nobody00' })],
  ['the key of another tenant', '401', async () => forged({ key: (await tenantToken()).id })],
  ['of a key and of a session', '401', () => forged({ sid: uuid() })],
  ['of nothing', '401', () => forged({ key: undefined })],
  [
    'of an issuer that is not there',
    '401',
    () => forged({ key: undefined, issuer: { name: 'x', version: 1, roles: ['pdp:admin'] } }),
  ],
  ['roles of its own', '200', () => forged({ roles: ['pdp:operator'] })],
  ['claims that are no object', '401', () => me(signed({}, '["admin"]'))],
  ['claims that are no JSON', '401', () => me(signed({}, '{"tenant":'))],
])

attacks('tokens: form', [
  ['two parts', '401', () => me(`${parts()[0]}.${parts()[1]}`)],
  ['five parts, as of an encrypted one', '401', () => me(`${token}.AA.AA`)],
  ['with padding', '401', () => me(`${token}==`)],
  ['with white space in it', '401', () => me(token.replace('.', '. '))],
  ['of 15 KB', '401', () => forged({ x: 'x'.repeat(11_000) }, { kid: 'other' })],
  [
    'larger than headers may be',
    '431',
    async () => {
      const authorization = `Bearer ${'x'.repeat(20_000)}`
      const { status } = await fetch(`${verdict.url}/v1/authenticate/me`, { headers: { authorization } })
      return String(status)
    },
  ],
  ['in the query', '401', () => verdict.ask(`GET /v1/authenticate/me?access_token=${token}`, { key: null })],
  [
    'in a cookie',
    '401',
    () => verdict.ask('GET /v1/authenticate/me', { key: null, headers: { cookie: `access_token=${token}` } }),
  ],
  [
    'by another scheme',
    '401',
    () => verdict.ask('GET /v1/authenticate/me', { key: null, headers: { authorization: `JWT ${token}` } }),
  ],
  [
    'two in one header',
    '401',
    () =>
      verdict.ask('GET /v1/authenticate/me', {
        key: null,
        headers: { authorization: `Bearer ${token}, Bearer ${token}` },
      }),
  ],
  [
    'in the place of an API key, to live for ever',
    '401',
    () => authenticate({ method: 'api_key', api_key: token.slice(0, 512) }),
  ],
  [
    'in the place of a refresh token',
    '401',
    () => authenticate({ method: 'refresh_token', refresh_token: token.slice(0, 512) }),
  ],
  ['in the place of an issuer’s token', '401', () => authenticate({ method: 'token', tenant: 'default', token })],
])

attacks('tokens: what has ended', [
  [
    'with its key',
    '401',
    async () => {
      const { id, access } = await newToken()
      await verdict.ask(`DELETE /v1/api-keys/${id}`)
      return me(access)
    },
  ],
  [
    'with its key, of which another one has the id now',
    '401',
    async () => {
      const first = await startService()
      const { VERDICT_MASTER_KEY = '', VERDICT_ROOT_KEY = '' } = first.env
      const login = { method: 'api_key', api_key: first.adminKey }
      const { access_token } = (await first.ask('POST /v1/authenticate', { key: null, body: login })).body
      const VERDICT_ADMIN_KEY = `vdt_${first.adminKey.split('_')[1]}_${'another-secret-of-the-same-id'.repeat(2)}`
      const env = { VERDICT_MASTER_KEY, VERDICT_ROOT_KEY, VERDICT_ADMIN_KEY }
      const second = await startService({ database: first.database, env })
      try {
        const good = await second.ask('GET /v1/authenticate/me')
        return good.status === 200 ? await second.ask('GET /v1/authenticate/me', { key: access_token }) : good
      } finally {
        await second.close()
        await first.close()
      }
    },
  ],
  [
    'by its revocation, however it is spelled',
    '401',
    async () => {
      const { access } = await newToken()
      await verdict.ask('POST /v1/authenticate/revoke', { key: access, body: {} })
      return all([access, ...spellings(access)])
    },
  ],
  [
    'with its session, however it is spelled',
    '401',
    async () => {
      const { access_token } = await session()
      await verdict.ask('POST /v1/authenticate/revoke', { key: access_token, body: {} })
      return all([access_token, ...spellings(access_token)])
    },
  ],
  [
    'with its session, by its refresh token',
    '401',
    async () => {
      const { access_token, refresh_token } = await session()
      await verdict.ask('POST /v1/authenticate/revoke', { key: access_token, body: {} })
      return authenticate({ method: 'refresh_token', refresh_token })
    },
  ],
  [
    'with the password of its session',
    '401',
    async () => {
      const { access_token, path } = await session()
      await verdict.ask(`PUT ${path}/password`, { body: { password: 'nine green bottles on a wall' } })
      return me(access_token)
    },
  ],
  [
    'with its tenant',
    '401',
    async () => {
      const { tenant, access } = await tenantToken()
      await verdict.ask(`DELETE /v1/tenants/${tenant}`, { key: verdict.rootKey })
      return me(access)
    },
  ],
  [
    'while its tenant is suspended',
    '403',
    async () => {
      const { tenant, access } = await tenantToken()
      await verdict.ask(`PATCH /v1/tenants/${tenant}`, { key: verdict.rootKey, body: { status: 'suspended' } })
      return verdict.ask('GET /v1/rules', { key: access })
    },
  ],
  [
    'while its subject is disabled',
    '403',
    async () => {
      const { id, access_token } = await session()
      await verdict.ask(`PUT /v1/entities/user/${id}`, { body: { disabled: true } })
      return me(access_token)
    },
  ],
  [
    'with its key, that expires',
    '401',
    async () => {
      const { access } = await newToken({ expires_at: new Date(Date.now() + 1000).toISOString() })
      const before = await me(access)
      return before.status === 200
        ? eventually(
            () => me(access),
            ({ status }) => status !== 200,
          )
        : before
    },
  ],
])
