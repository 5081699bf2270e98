import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { afterAll, beforeAll } from 'vitest'
import { type Signer, signer } from '../support/issuer.ts'
import { jwkOf } from '../support/jwk.ts'
import { startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// Trusted issuers: whose tokens are taken, and where a registration can make Verdict go.

const ISS = 'https://idp.test'
const corp = signer(ISS, Date.now, 'corp-1')
const stranger = signer(ISS, Date.now, 'corp-1')
const partner = signer('https://partner.test', Date.now, 'partner-1')
const rsa = signer(ISS, Date.now, 'rsa-1', 'RS256')

let verdict: TestService
let acme: string
/** Listens, and is never to be spoken to. */
let canary: Server
let visits = 0

beforeAll(async () => {
  verdict = await startService()
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  const body = { name: 'admin', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': 'acme' }
  acme = (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, headers, body })).body.key
  await verdict.ask('PUT /v1/roles/editor', { body: {} })
  await put('corp', registration({ allowed_roles: ['editor', 'pdp:auditor'], claims: ROLES }))
  await put(
    'partner',
    registration({ issuer: 'https://partner.test', claims: { subject: { type: 'guest' } } }, partner),
  )
  await put('corp', registration({}, stranger), acme)
  canary = createServer((socket) => {
    visits++
    socket.destroy()
  })
  await new Promise<void>((resolve) => canary.listen(0, '::', () => resolve()))
})
afterAll(async () => {
  canary.close()
  await verdict.close()
})

const ROLES = { subject: { type: 'user' }, roles: { claim: 'roles' } }
const registration = (more: object = {}, by: Signer = corp) => ({
  issuer: ISS,
  jwks: { keys: [by.jwk] },
  audiences: ['verdict'],
  algorithms: ['ES256'],
  claims: { subject: { type: 'user' } },
  ...more,
})
const put = (name: string, body: unknown, key = verdict.adminKey) =>
  verdict.ask(`PUT /v1/issuers/${name}`, { key, body })
const signIn = (token: string, tenant = 'default') =>
  verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'token', tenant, token } })
const ask = (token: unknown, more: object = {}) =>
  verdict.ask('POST /v1/authorize', {
    body: { subject: { token, ...more }, action: { name: 'x' }, resource: { type: 'd', id: '1' } },
  })
const now = () => Math.floor(Date.now() / 1000)

/** The built-in roles that a token gives. */
async function roles(token: string): Promise<string> {
  const { status, body } = await signIn(token)
  return status === 200 ? `200 ${body.roles.join(' ')}`.trim() : String(status)
}

attacks('issuers: their tokens', [
  ['one as it should be, so that the others mean something', '200', () => signIn(corp.token())],
  [
    'alg none',
    '401',
    () => signIn(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${corp.token().split('.')[1]}.`),
  ],
  ['an algorithm that is not registered', '401', () => signIn(rsa.token())],
  ['somebody else under the same kid', '401', () => signIn(stranger.token())],
  [
    'another issuer of this tenant in the name of this',
    '401',
    () => signIn(partner.token({ iss: ISS }, { kid: 'corp-1' })),
  ],
  ['the issuer of another tenant that has the same name', '401', () => signIn(stranger.token(), 'default')],
  ['this issuer in another tenant that trusts the same name', '401', () => signIn(corp.token(), 'acme')],
  ['a tenant that trusts nobody', '401', () => signIn(corp.token(), 'system')],
  ['an issuer that nobody trusts', '401', () => signIn(corp.token({ iss: 'https://evil.test' }))],
  ['this issuer with a slash more', '401', () => signIn(corp.token({ iss: `${ISS}/` }))],
  ['for another audience', '401', () => signIn(corp.token({ aud: 'other' }))],
  ['without an audience', '401', () => signIn(corp.token({ aud: undefined }))],
  ['without an end', '401', () => signIn(corp.token({ exp: undefined }))],
  ['that has ended', '401', () => signIn(corp.token({ iat: now() - 900, exp: now() - 300 }))],
  ['that is not valid yet', '401', () => signIn(corp.token({ nbf: now() + 600 }))],
  ['that is older than it may be', '401', () => signIn(corp.token({ iat: now() - 90_000 }))],
  ['for another purpose', '401', () => signIn(corp.token({}, { typ: 'logout+jwt' }))],
  ['that must be understood', '401', () => signIn(corp.token({}, { crit: ['x'], x: 1 }))],
  ['with its own key', '401', () => signIn(stranger.token({}, { jwk: stranger.jwk, jku: 'https://evil.test' }))],
  [
    'a claim twice',
    '401',
    () =>
      signIn(
        corp.signed(
          JSON.stringify({ alg: 'ES256', kid: 'corp-1' }),
          `{"iss":"${ISS}","aud":"verdict","sub":"ann","sub":"root","iat":${now()},"exp":${now() + 60}}`,
        ),
      ),
  ],
  ['a subject that is a number', '401', () => signIn(corp.token({ sub: 1 }))],
  ['a subject with a control character', '401', () => signIn(corp.token({ sub: 'a\nb' }))],
  ['the role of an admin, which it may not give', '200', () => roles(corp.token({ roles: ['pdp:admin'] }))],
  ['the role of the operator', '200', () => roles(corp.token({ roles: ['pdp:operator', 'pdp:acting_operator'] }))],
  [
    'a role that it may give, beside one that it may not',
    '200 pdp:auditor',
    () => roles(corp.token({ roles: ['pdp:auditor', 'pdp:admin'] })),
  ],
  ['roles that stand elsewhere', '401', () => signIn(corp.token({ _claim_names: { roles: 'src1' } }))],
  ['roles that are an object', '401', () => signIn(corp.token({ roles: { 'pdp:admin': true } }))],
  [
    'one of Verdict’s own, as a subject',
    '400 /subject/token',
    async () => {
      const body = { method: 'api_key', api_key: verdict.adminKey }
      return ask((await verdict.ask('POST /v1/authenticate', { key: null, body })).body.access_token)
    },
  ],
  ['an API key, as a subject', '400 /subject/token', () => ask(verdict.adminKey)],
  ['one as a subject, with another id beside it', '400 /subject/id', () => ask(corp.token(), { id: 'root' })],
  [
    'one as a subject, with properties beside it',
    '400 /subject/properties',
    () => ask(corp.token(), { properties: { a: 1 } }),
  ],
  [
    'one as a bearer, without being exchanged',
    '401',
    () => verdict.ask('GET /v1/authenticate/me', { key: corp.token() }),
  ],
  [
    'the password of whom it names',
    '403',
    async () => {
      const { access_token } = (await signIn(corp.token({ sub: 'paula' }))).body
      const body = { password: 'a horse, a battery and a staple' }
      return verdict.ask('PUT /v1/credentials/user/paula/password', { key: access_token, body })
    },
  ],
])

attacks('issuers: their registration', [
  ['alg none', '400 /algorithms/0', () => put('x', registration({ algorithms: ['none'] }))],
  ['a symmetric algorithm', '400 /algorithms/0', () => put('x', registration({ algorithms: ['HS256'] }))],
  ['no audience', '400 /audiences', () => put('x', registration({ audiences: undefined }))],
  ['an empty list of audiences', '400 /audiences', () => put('x', registration({ audiences: [] }))],
  ['no keys', '400 /jwks/keys', () => put('x', registration({ issuer: 'https://empty.test', jwks: { keys: [] } }))],
  [
    'a symmetric key',
    '422 /jwks/keys/0/k',
    () => put('x', registration({ issuer: 'https://oct.test', jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } })),
  ],
  [
    'a private key',
    '422 /jwks/keys/0/d',
    () => put('x', registration({ issuer: 'https://private.test', jwks: { keys: [jwkOf(corp.privateKey)] } })),
  ],
  [
    'the role of the operator',
    '422 /allowed_roles/0',
    () => put('x', registration({ issuer: 'https://op.test', allowed_roles: ['pdp:operator'] })),
  ],
  [
    'one of Verdict’s own types as its subjects',
    '422 /claims/subject/type',
    () => put('x', registration({ issuer: 'https://own.test', claims: { subject: { type: 'pdp:process' } } })),
  ],
  ['the name of one that is there already', '422 /issuer', () => put('twin', registration({}, stranger))],
])

/** What an issuer at this URL comes to. Anything, but a visit. */
async function reach(url: string): Promise<string> {
  const before = visits
  const name = `n-${randomUUID().slice(0, 8)}`
  const iss = `https://${name}.test`
  const at = url.replace('PORT', String((canary.address() as AddressInfo).port))
  const { status } = await put(name, { ...registration({ issuer: iss, jwks_uri: at }), jwks: undefined })
  if (status >= 400) return visits === before ? `${status}` : 'visited'
  const answer = await ask(signer(iss, Date.now).token())
  await verdict.ask(`DELETE /v1/issuers/${name}`)
  return visits === before ? `${answer.status}` : 'visited'
}

attacks('SSRF', [
  ['this machine', '503', () => reach('https://127.0.0.1:PORT/')],
  ['this machine by its name', '503', () => reach('https://localhost:PORT/')],
  ['this machine by its name, with a dot', '503', () => reach('https://localhost.:PORT/')],
  ['this machine in IPv6', '503', () => reach('https://[::1]:PORT/')],
  ['this machine as IPv4 in IPv6', '503', () => reach('https://[::ffff:127.0.0.1]:PORT/')],
  ['this machine as a number', '503', () => reach('https://2130706433:PORT/')],
  ['this machine in hex', '503', () => reach('https://0x7f.1:PORT/')],
  ['this machine in octal', '503', () => reach('https://0177.0.0.1:PORT/')],
  ['this machine, left out', '503', () => reach('https://127.1:PORT/')],
  ['this machine in full width', '400', () => reach('https://１２７.0.0.1:PORT/')],
  ['no address in particular', '503', () => reach('https://0.0.0.0:PORT/')],
  ['no address in IPv6', '503', () => reach('https://[::]:PORT/')],
  ['a private network', '503', () => reach('https://10.0.0.1/')],
  ['the metadata of a cloud', '503', () => reach('https://169.254.169.254/latest/meta-data/')],
  ['the metadata of a cloud in IPv6', '503', () => reach('https://[fd00:ec2::254]/')],
  ['a link', '503', () => reach('https://[fe80::1]/')],
  ['a carrier of IPv4', '503', () => reach('https://[64:ff9b::7f00:1]:PORT/')],
  ['plain http to this machine', '503', () => reach('http://127.0.0.1:PORT/')],
  ['plain http to another', '422', () => reach('http://10.0.0.1:PORT/')],
  ['credentials in the URL', '422', () => reach('https://user:secret@127.0.0.1:PORT/')],
  ['a host behind credentials', '422', () => reach('https://idp.test@127.0.0.1:PORT/')],
  ['a file', '400', () => reach('file:///etc/passwd')],
  ['another protocol', '400', () => reach('gopher://127.0.0.1:PORT/_x')],
  ['a line break in the URL', '400', () => reach('https://127.0.0.1:PORT/\r\nHost: evil')],
])
