import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { openDeploymentKey } from '../../src/store/deployment-key.ts'
import { openSigningKeys } from '../../src/store/signing-keys.ts'
import { jwkOf } from '../support/jwk.ts'
import { eventually, type Reply, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// Security contexts. `forged` is signed with the service's own key, so that nothing but the one thing that is said of it is
// wrong: the signature alone would not keep it out.

let verdict: TestService
let token: string
let id: string
let own: { kid: string; key: KeyObject }
const stranger = generateKeyPairSync('ed25519').privateKey

beforeAll(async () => {
  verdict = await startService()
  const rule = { effect: 'allow', subjects: [alice], actions: ['*'], resources: [{ type: 'doc' }] }
  await verdict.ask('PUT /v1/rules/alice-may', { body: rule })
  const { db } = verdict.database
  const master = Buffer.from(verdict.env['VERDICT_MASTER_KEY'] ?? '', 'base64')
  const deployment = await openDeploymentKey(db, { current: master, previous: undefined })
  const { kid, private_pem } = (await openSigningKeys(db, deployment)).current()
  own = { kid, key: createPrivateKey(private_pem) }
  const made = await created({ level: 'read_only', capabilities: A_DOC, quotas: { memory: 10 } })
  token = made.token
  id = made.id
})
afterAll(() => verdict.close())

const alice = { type: 'user', id: 'alice' }
const doc = { type: 'doc', id: 'a' }
const A_DOC = [{ actions: ['read'], resources: [doc] }]
const ALL = [{ actions: ['*'], resources: [{ type: '*' }] }]
const READ = { action: { name: 'read' }, resource: doc }
const WRITE = { action: { name: 'write' }, resource: doc }

const created = async (more: object = {}, key = verdict.adminKey) =>
  (await verdict.ask('POST /v1/contexts', { key, body: { subject: alice, ...more } })).body
const attenuate = (more: object, of = token) =>
  verdict.ask('POST /v1/contexts/attenuate', { body: { token: of, ...more } })

/** The decision, with its reason where it is a deny. */
async function decide(context_token: string, question: object = READ, key = verdict.adminKey): Promise<string> {
  const body = { subject: { context_token }, ...question }
  return told(await verdict.ask('POST /v1/authorize', { key, body }))
}
const told = ({ status, body }: Reply) =>
  status === 200 ? `200 ${body.decision ? 'allowed' : body.context.reason}` : String(status)

const b64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
const parts = (of = token) => of.split('.') as [string, string, string]
const claims = () => JSON.parse(Buffer.from(parts()[1], 'base64url').toString())
const now = () => Math.floor(Date.now() / 1000)
const uuid = () => crypto.randomUUID()
const TYP = 'verdict-context+jwt'

function signed(header: object, payload: object | string, by: KeyObject = own.key): string {
  const said = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const input = `${b64(JSON.stringify({ alg: 'EdDSA', typ: TYP, kid: own.kid, ...header }))}.${b64(said)}`
  return `${input}.${sign(null, Buffer.from(input), by).toString('base64url')}`
}

/** All as it should be but for these claims; `undefined` leaves one out. */
const forged = (more: object, header: object = {}) => decide(signed(header, { ...claims(), jti: uuid(), ...more }))
const tampered = (more: object) => `${parts()[0]}.${b64(JSON.stringify({ ...claims(), ...more }))}.${parts()[2]}`

function hmac(alg: string, secret: string | Buffer): string {
  const input = `${b64(JSON.stringify({ alg, typ: TYP, kid: own.kid }))}.${parts()[1]}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const spellings = (of: string) => [...LETTERS].map((last) => of.slice(0, -1) + last).filter((one) => one !== of)

async function ofAll(tokens: readonly string[]): Promise<string> {
  const answers = await Promise.all(tokens.map((one) => decide(one)))
  return [...new Set(answers)].sort().join(' and ')
}

async function accessToken(): Promise<string> {
  const body = { method: 'api_key', api_key: verdict.adminKey }
  return (await verdict.ask('POST /v1/authenticate', { key: null, body })).body.access_token
}

let strangers: Promise<string> | undefined
/** The key of another tenant's admin, where alice may the same. */
function strangersKey(): Promise<string> {
  strangers ??= adminOf('acme')
  return strangers
}

async function adminOf(tenant: string): Promise<string> {
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: tenant, name: tenant } })
  const body = { name: 'a', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': tenant }
  const { key } = (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, headers, body })).body
  const rule = { effect: 'allow', subjects: [alice], actions: ['*'], resources: [{ type: 'doc' }] }
  await verdict.ask('PUT /v1/rules/alice-may', { key, body: rule })
  return key
}

attacks('contexts: signature and form', [
  ['the context itself, so that the others mean something', '200 allowed', () => decide(token)],
  ['one that is forged wholly right, likewise', '200 allowed', () => forged({})],
  ['widened under the same signature', '200 context_invalid', () => decide(tampered({ capabilities: [] }), WRITE)],
  [
    'of somebody else under the same signature',
    '200 context_invalid',
    () => decide(tampered({ subject: { type: 'user', id: 'root' } })),
  ],
  ['with a broken signature', '200 context_invalid', () => decide(`${token.slice(0, -8)}AAAAAAAA`)],
  ['without a signature', '200 context_invalid', () => decide(`${parts()[0]}.${parts()[1]}.`)],
  ['signed by a stranger', '200 context_invalid', () => decide(signed({}, claims(), stranger))],
  [
    'signed by a stranger whose key comes with it',
    '200 context_invalid',
    () => decide(signed({ jwk: jwkOf(createPublicKey(stranger)) }, claims(), stranger)),
  ],
  [
    'alg none',
    '200 context_invalid',
    () => decide(`${b64(JSON.stringify({ alg: 'none', typ: TYP, kid: own.kid }))}.${parts()[1]}.`),
  ],
  [
    'alg none, with the signature left',
    '200 context_invalid',
    () => decide(`${b64(JSON.stringify({ alg: 'none', typ: TYP, kid: own.kid }))}.${parts()[1]}.${parts()[2]}`),
  ],
  [
    'HS256 with the public key in PEM',
    '200 context_invalid',
    () => decide(hmac('HS256', createPublicKey(own.key).export({ format: 'pem', type: 'spki' }))),
  ],
  ['a kid that is not there', '200 context_invalid', () => forged({}, { kid: 'other' })],
  ['no kid', '200 context_invalid', () => forged({}, { kid: undefined })],
  ['a kid that objects have of themselves', '200 context_invalid', () => forged({}, { kid: 'constructor' })],
  ['an extension that must be understood', '200 context_invalid', () => forged({}, { crit: ['x'], x: 1 })],
  ['no typ', '200 context_invalid', () => forged({}, { typ: undefined })],
  ['typ of an access token', '200 context_invalid', () => forged({}, { typ: 'at+jwt' })],
  ['typ in capitals', '200 context_invalid', () => forged({}, { typ: TYP.toUpperCase() })],
  ['typ as a list', '200 context_invalid', () => forged({}, { typ: [TYP] })],
  ['two parts', '200 context_invalid', () => decide(`${parts()[0]}.${parts()[1]}`)],
  ['no token at all', '200 context_invalid', () => decide('x')],
  ['an empty text', '400', () => decide('')],
  ['a token of over 16 KB', '400', () => decide('x'.repeat(16_385))],
  [
    'no text',
    '400',
    async () =>
      told(await verdict.ask('POST /v1/authorize', { body: { subject: { context_token: { token } }, ...READ } })),
  ],
])

attacks('contexts: claims', [
  ['that ended a second ago', '200 context_expired', () => forged({ exp: now() - 1 })],
  ['that ends now', '200 context_expired', () => forged({ exp: now() })],
  ['without an end', '200 context_invalid', () => forged({ exp: undefined })],
  ['an end that is text', '200 context_invalid', () => forged({ exp: String(now() + 900) })],
  ['that is not valid yet', '200 context_invalid', () => forged({ nbf: now() + 60 })],
  ['of another issuer', '200 context_invalid', () => forged({ iss: 'https://evil.test' })],
  ['for another audience alone', '200 context_invalid', () => forged({ aud: ['https://other.test'] })],
  ['for nobody', '200 context_invalid', () => forged({ aud: [] })],
  ['without an id, by which it could be revoked', '200 context_invalid', () => forged({ jti: undefined })],
  ['without its parents, by which it could be', '200 context_invalid', () => forged({ parents: undefined })],
  ['without its layers', '200 context_invalid', () => forged({ capabilities: undefined })],
  ['with an empty layer', '200 context_invalid', () => forged({ capabilities: [[]] })],
  ['a subject without an id', '200 context_invalid', () => forged({ subject: { type: 'user' } })],
  ['a quota that is text', '200 context_invalid', () => forged({ quotas: { memory: '10' } })],
  ['of a tenant that is not there', '200 context_invalid', () => forged({ tenant: 'nobody' })],
  ['of no tenant', '200 context_invalid', () => forged({ tenant: undefined })],
  [
    'a condition that does not compile',
    '200 context_exceeded',
    () => forged({ capabilities: [[{ ...A_DOC[0], condition: 'x y' }]] }),
  ],
  ['claims that are no object', '200 context_invalid', () => decide(signed({}, '["alice"]'))],
  ['claims that are no JSON', '200 context_invalid', () => decide(signed({}, '{"tenant":'))],
])

attacks('contexts: taken for something else', [
  ['an access token as a context', '200 context_invalid', async () => decide(await accessToken())],
  ['a context as an access token', '401', () => verdict.ask('GET /v1/authenticate/me', { key: token })],
  [
    'a context of an admin as an access token',
    '401',
    async () =>
      verdict.ask('GET /v1/rules', { key: (await created({ subject: { type: 'service', id: 'admin' } })).token }),
  ],
  [
    'a context as an issuer’s token',
    '400 /subject/token',
    () => verdict.ask('POST /v1/authorize', { body: { subject: { token }, ...READ } }),
  ],
  [
    'a context for an access token',
    '401',
    () => verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'token', tenant: 'default', token } }),
  ],
  ['an API key as a context', '200 context_invalid', () => decide(verdict.adminKey)],
  ['an access token to be narrowed', '422 /token', async () => attenuate({}, await accessToken())],
  [
    'a subject with a name and a context',
    '400 /subject/type',
    () => verdict.ask('POST /v1/authorize', { body: { subject: { ...alice, context_token: token }, ...READ } }),
  ],
  [
    'properties beside a context',
    '400 /subject/properties',
    () =>
      verdict.ask('POST /v1/authorize', {
        body: { subject: { context_token: token, properties: { level: 'system' } }, ...READ },
      }),
  ],
])

attacks('contexts: more than they carry', [
  ['another action', '200 context_exceeded', () => decide(token, WRITE)],
  ['another resource', '200 context_exceeded', () => decide(token, { ...READ, resource: { type: 'doc', id: 'b' } })],
  [
    'more than the quota',
    '200 quota_exceeded',
    () => decide(token, { ...READ, context: { requested: { memory: 11 } } }),
  ],
  [
    'an amount as text',
    '200 quota_exceeded',
    () => decide(token, { ...READ, context: { requested: { memory: '5' } } }),
  ],
  [
    'the largest amount there is',
    '200 quota_exceeded',
    () => decide(token, { ...READ, context: { requested: { memory: Number.MAX_SAFE_INTEGER } } }),
  ],
  ['narrowed to more actions', '422 /capabilities/0', () => attenuate({ capabilities: ALL })],
  [
    'narrowed to more, among what is less',
    '422 /capabilities/1',
    () => attenuate({ capabilities: [...A_DOC, ...ALL] }),
  ],
  ['narrowed to no capability', '400 /capabilities', () => attenuate({ capabilities: [] })],
  ['narrowed to a higher level', '422 /level', () => attenuate({ level: 'system' })],
  ['narrowed to a higher quota', '422 /quotas/memory', () => attenuate({ quotas: { memory: 10.5 } })],
  ['narrowed to live longer', '422 /expires_in', () => attenuate({ expires_in: 86_400 })],
  ['narrowed to somebody else', '400 /subject', () => attenuate({ subject: { type: 'user', id: 'root' } })],
  ['narrowed to another audience', '400 /audience', () => attenuate({ audience: 'https://evil.test' })],
])

attacks('contexts: what has ended', [
  [
    'replayed after its revocation, however it is spelled',
    '200 context_invalid and 200 context_revoked',
    async () => {
      const made = await created()
      await verdict.ask(`DELETE /v1/contexts/${made.id}`)
      return ofAll([made.token, ...spellings(made.token)])
    },
  ],
  [
    'narrowed from what was revoked',
    '200 context_revoked',
    async () => {
      const made = await created()
      const { token: narrower } = (await attenuate({}, made.token)).body
      await verdict.ask(`DELETE /v1/contexts/${made.id}`)
      return decide(narrower)
    },
  ],
  [
    'narrowed after the revocation',
    '422 /token',
    async () => {
      const made = await created()
      await verdict.ask(`DELETE /v1/contexts/${made.id}`)
      return attenuate({}, made.token)
    },
  ],
  [
    'with its subject, that was made again',
    '200 context_revoked',
    async () => {
      const subject = { type: 'user', id: 'fresh' }
      await verdict.ask('PUT /v1/entities/user/fresh', { body: {} })
      const made = await created({ subject })
      await verdict.ask('DELETE /v1/entities/user/fresh')
      await verdict.ask('PUT /v1/entities/user/fresh', { body: {} })
      return decide(made.token)
    },
  ],
  [
    'by a second',
    '200 context_expired',
    async () => {
      const { token: short } = await created({ expires_in: 1 })
      return eventually(
        () => decide(short),
        (answer) => answer !== '200 allowed',
      )
    },
  ],
  [
    'while its subject is disabled',
    '200 subject_disabled',
    async () => {
      const subject = { type: 'user', id: 'off' }
      const made = await created({ subject })
      await verdict.ask('PUT /v1/entities/user/off', { body: { disabled: true } })
      return decide(made.token)
    },
  ],
  [
    'while its tenant is suspended',
    '200 tenant_suspended',
    async () => {
      const key = await adminOf('halted')
      const made = await created({}, key)
      await verdict.ask('PATCH /v1/tenants/halted', { key: verdict.rootKey, body: { status: 'suspended' } })
      return decide(made.token, READ, key)
    },
  ],
])

attacks('contexts: of another tenant', [
  ['shown there', '200 context_invalid', async () => decide(token, READ, await strangersKey())],
  ['shown here', '200 context_invalid', async () => decide((await created({}, await strangersKey())).token)],
  [
    'said to be of here, under the same signature',
    '200 context_invalid',
    async () => {
      const [head, body, signature] = parts((await created({}, await strangersKey())).token)
      const said = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), tenant: 'default' }
      return decide(`${head}.${b64(JSON.stringify(said))}.${signature}`)
    },
  ],
  [
    'known from its own tenant, shown in another in the same breath',
    '200 context_invalid',
    async () => {
      const key = await strangersKey()
      await decide(token)
      return decide(token, READ, key)
    },
  ],
  [
    'narrowed',
    '422 /token',
    async () => verdict.ask('POST /v1/contexts/attenuate', { key: await strangersKey(), body: { token } }),
  ],
  [
    'received',
    '422 /token',
    async () => verdict.ask('POST /v1/contexts/receive', { key: await strangersKey(), body: { token } }),
  ],
  ['read', '404', async () => verdict.ask(`GET /v1/contexts/${id}`, { key: await strangersKey() })],
  ['revoked', '404', async () => verdict.ask(`DELETE /v1/contexts/${id}`, { key: await strangersKey() })],
  ['and still good', '200 allowed', () => decide(token)],
])
