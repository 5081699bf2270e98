import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Signer, signer } from '../support/issuer.ts'
import { jwkOf } from '../support/jwk.ts'
import { eventually, type Reply, startService, type TestService } from '../support/service.ts'

const ISS = 'https://idp.test'
const corp = signer(ISS, Date.now, 'corp-1')
const stranger = signer(ISS, Date.now, 'corp-1')
const short = signer(ISS, Date.now, 'short', 'RS256 of 1024 bits')

let verdict: TestService
/** The admin of another tenant. */
let acme: string

beforeAll(async () => {
  verdict = await startService({ env: { VERDICT_OUTGOING_HTTP: 'loopback' } })
  await verdict.ask('POST /v1/tenants', { key: verdict.rootKey, body: { id: 'acme', name: 'Acme' } })
  const body = { name: 'admin', subject: { type: 'user', id: 'wile' }, roles: ['pdp:admin'] }
  const headers = { 'verdict-tenant': 'acme' }
  acme = (await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, headers, body })).body.key
  await verdict.ask('PUT /v1/roles/editor', {
    body: { permissions: [{ actions: ['edit'], resources: [{ type: 'doc' }] }] },
  })
  await verdict.ask('PUT /v1/rules/sales', {
    body: {
      effect: 'allow',
      subjects: [{ any: true }],
      actions: ['sell'],
      resources: [{ type: 'doc' }],
      condition: 'subject.properties.department == "sales"',
    },
  })
})

afterAll(() => verdict.close())

const issuer = (more: object = {}, by: Signer = corp) => ({
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
const me = (key: string) => verdict.ask('GET /v1/authenticate/me', { key })
const ask = (subject: unknown, action = 'edit', key = verdict.adminKey) =>
  verdict.ask('POST /v1/authorize', {
    key,
    body: { subject, action: { name: action }, resource: { type: 'doc', id: '1' } },
  })
const pointersOf = ({ body }: Reply) => body.errors.map(({ pointer }: { pointer: string }) => pointer)

const recordOf = async (id: string, key = verdict.adminKey) =>
  (
    await eventually(
      async () => (await verdict.ask(`GET /v1/audit/${id}`, { key })) as Reply,
      ({ status }) => status === 200,
    )
  ).body

describe('an issuer', () => {
  test('is registered, read, changed and removed like any document', async () => {
    const made = await put('life', issuer({ issuer: 'https://life.test' }))
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      name: 'life',
      enabled: true,
      token_types: ['at+jwt', 'JWT'],
      allowed_roles: [],
      max_token_age: 86_400,
      clock_tolerance: 30,
    })
    const again = await put('life', issuer({ issuer: 'https://life.test' }))
    expect([again.status, again.headers.get('verdict-revision')]).toEqual([200, made.headers.get('verdict-revision')])
    expect((await verdict.ask('GET /v1/issuers/life')).headers.get('etag')).toBe(made.headers.get('etag'))
    const stale = { body: issuer({ issuer: 'https://life.test', enabled: false }), headers: { 'if-match': '"0"' } }
    expect((await verdict.ask('PUT /v1/issuers/life', stale)).status).toBe(412)
    const { body: list } = await verdict.ask('GET /v1/issuers')
    expect(list.items.map(({ name }: { name: string }) => name)).toContain('life')
    expect((await verdict.ask('DELETE /v1/issuers/life')).status).toBe(204)
    expect((await verdict.ask('GET /v1/issuers/life')).status).toBe(404)
    const { body: log } = await verdict.ask(
      `GET /v1/changes?after_revision=${Number(made.headers.get('verdict-revision')) - 1}`,
    )
    expect(log.items.map(({ kind, operation }: Record<string, string>) => [kind, operation])).toEqual([
      ['issuer', 'create'],
      ['issuer', 'delete'],
    ])
  })

  const privateJwk = { ...jwkOf(corp.privateKey), kid: 'x', alg: 'ES256' }
  const claims = (more: object) => ({ claims: { subject: { type: 'user' }, ...more } })
  test.each<[string, object, number, string]>([
    ['without an audience', { audiences: undefined }, 400, '/audiences'],
    ['with no audience in the list', { audiences: [] }, 400, '/audiences'],
    ['with alg none', { algorithms: ['none'] }, 400, '/algorithms/0'],
    ['with a symmetric algorithm', { algorithms: ['HS256'] }, 400, '/algorithms/0'],
    ['with no algorithm', { algorithms: [] }, 400, '/algorithms'],
    ['over plain http', { issuer: 'http://idp.test' }, 422, '/issuer'],
    ['over plain http to its keys', { jwks: undefined, jwks_uri: 'http://10.0.0.1/keys' }, 422, '/jwks_uri'],
    ['by a file', { issuer: 'file:///etc/passwd' }, 400, '/issuer'],
    ['with credentials in a URL', { jwks: undefined, discovery_url: 'https://u:p@idp.test/' }, 422, '/discovery_url'],
    ['with a query in its name', { issuer: 'https://idp.test/?a' }, 422, '/issuer'],
    ['with two sources of keys', { jwks_uri: 'https://idp.test/keys' }, 422, '/jwks'],
    ['with a private key', { jwks: { keys: [privateJwk] } }, 422, '/jwks/keys/0/d'],
    ['with a symmetric key', { jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }, 422, '/jwks/keys/0/k'],
    ['with a key that fits no algorithm', { algorithms: ['RS256'] }, 422, '/jwks/keys/0'],
    ['with an RSA key that is too short', { algorithms: ['RS256'], jwks: { keys: [short.jwk] } }, 422, '/jwks/keys/0'],
    ['with a key off its curve', { jwks: { keys: [{ ...corp.jwk, x: 'AAAA' }] } }, 422, '/jwks/keys/0'],
    [
      'whose subjects are of a built-in type',
      { claims: { subject: { type: 'pdp:caller' } } },
      422,
      '/claims/subject/type',
    ],
    ['with a role that is not there', { allowed_roles: ['nobody'] }, 422, '/allowed_roles/0'],
    ['with a built-in role that is not there', { allowed_roles: ['pdp:root'] }, 422, '/allowed_roles/0'],
    ['with the operator outside system', { allowed_roles: ['pdp:operator'] }, 422, '/allowed_roles/0'],
    [
      'with a role that it does not allow',
      claims({ roles: { claim: 'g', map: { a: 'editor' } } }),
      422,
      '/claims/roles/map/a',
    ],
    ['with a broken pointer', claims({ properties: { a: '/~2' } }), 422, '/claims/properties/a'],
    ['with an unknown member', { audience: 'verdict' }, 400, '/audience'],
  ])('%s is refused', async (_what, more, status, pointer) => {
    const answer = await put('bad', JSON.parse(JSON.stringify(issuer({ issuer: 'https://bad.test', ...more }))))
    expect(answer.status, JSON.stringify(answer.body)).toBe(status)
    expect(pointersOf(answer)).toContain(pointer)
    expect((await verdict.ask('GET /v1/issuers/bad')).status).toBe(404)
  })

  test('is registered once in a tenant, and may be in another', async () => {
    await put('once', issuer({ issuer: 'https://once.test' }))
    const second = await put('twice', issuer({ issuer: 'https://once.test' }))
    expect([second.status, pointersOf(second)]).toEqual([422, ['/issuer']])
    expect((await put('once', issuer({ issuer: 'https://once.test' }), acme)).status).toBe(201)
  })

  test('keeps the roles that it allows from being deleted', async () => {
    await verdict.ask('PUT /v1/roles/kept', { body: {} })
    await put('keeper', issuer({ issuer: 'https://keeper.test', allowed_roles: ['kept'] }))
    const refused = await verdict.ask('DELETE /v1/roles/kept')
    expect(refused.status).toBe(409)
    expect(refused.body.detail).toContain('issuer keeper')
    await verdict.ask('DELETE /v1/issuers/keeper')
    expect((await verdict.ask('DELETE /v1/roles/kept')).status).toBe(204)
  })
})

describe('a token at /v1/authenticate', () => {
  const ROLES = { allowed_roles: ['pdp:auditor', 'pdp:decider', 'editor'] }
  const GROUPS = {
    claims: {
      subject: { type: 'user' },
      roles: { claim: 'groups', map: { audit: 'pdp:auditor', app: 'pdp:decider', ed: 'editor' } },
    },
  }

  beforeAll(async () => {
    expect((await put('corp', issuer({ ...ROLES, ...GROUPS }))).status).toBe(201)
  })

  test('is exchanged for an access token that holds what it gives, and lives no longer than it', async () => {
    const exp = Math.floor(Date.now() / 1000) + 120
    const { status, body } = await signIn(corp.token({ groups: ['audit', 'ed', 'else'], exp }))
    expect(status).toBe(200)
    expect(body).toMatchObject({ tenant: 'default', subject: { type: 'user', id: 'ann' }, roles: ['pdp:auditor'] })
    expect(body).not.toHaveProperty('refresh_token')
    expect(body.expires_in).toBeLessThanOrEqual(120)
    expect(decodeJwt(body.access_token).exp).toBeLessThanOrEqual(exp + 1)
    expect((await me(body.access_token)).body).toMatchObject({ subject: { id: 'ann' }, roles: ['pdp:auditor'] })
    expect((await verdict.ask('GET /v1/audit', { key: body.access_token })).status).toBe(200)
    expect((await verdict.ask('GET /v1/rules', { key: body.access_token })).status).toBe(403)
    const long = await signIn(corp.token({ exp: exp + 86_000 }))
    expect(long.body.expires_in).toBe(900)
  })

  test('is recorded with its issuer and its jti, never with itself', async () => {
    const token = corp.token({ jti: 'jti-1' })
    const headers = { 'x-request-id': 'sign-in-1' }
    const body = { method: 'token', tenant: 'default', token }
    await verdict.ask('POST /v1/authenticate', { key: null, body, headers })
    const { items } = await eventually(
      async () => (await verdict.ask('GET /v1/audit?request_id=sign-in-1')).body,
      (page) => page.items.length > 0,
    )
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({
      type: 'authentication',
      decision: true,
      actor: { type: 'user', id: 'ann', issuer: 'corp' },
      context: { method: 'token', issuer: 'corp', jti: 'jti-1' },
    })
    expect(JSON.stringify(items)).not.toContain(token.split('.')[2])
  })

  test('holds an assigned built-in role only as far as the registration allows', async () => {
    for (const role of ['pdp:policy_admin', 'pdp:decider']) {
      const body = { subject: { type: 'user', id: 'powerful' }, role }
      expect((await verdict.ask('POST /v1/assignments', { body })).status).toBe(201)
    }
    const { body } = await signIn(corp.token({ sub: 'powerful' }))
    expect(body.roles).toEqual(['pdp:decider'])
    expect((await verdict.ask('GET /v1/rules', { key: body.access_token })).status).toBe(403)
  })

  test('gives nothing new by its access token in the place of a key', async () => {
    const { body } = await signIn(corp.token())
    const again = { method: 'api_key', api_key: body.access_token }
    expect([400, 401]).toContain((await verdict.ask('POST /v1/authenticate', { key: null, body: again })).status)
  })

  test('that is refused gets one and the same answer, whatever is wrong', async () => {
    const old = Math.floor(Date.now() / 1000) - 1000
    const answers = []
    for (const [token, tenant] of [
      [stranger.token(), 'default'],
      [corp.token({ exp: old, iat: old - 60 }), 'default'],
      [corp.token({ aud: 'other' }), 'default'],
      [corp.token({ iss: 'https://nobody.test' }), 'default'],
      ['nonsense', 'default'],
      [corp.token(), 'acme'],
      [corp.token(), 'system'],
      [corp.token(), 'no-such-tenant'],
    ] as const) {
      answers.push(await signIn(token, tenant))
    }
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401))
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  })

  test.each([
    ['no tenant', { method: 'token', token: 'x' }, '/tenant'],
    ['no token', { method: 'token', tenant: 'default' }, '/token'],
    ['a token without end', { method: 'token', tenant: 'default', token: 'x'.repeat(16_385) }, '/token'],
    ['a tenant that is none', { method: 'token', tenant: '../x', token: 'x' }, '/tenant'],
  ])('in a malformed body (%s) is a 400 with the pointer', async (_what, body, pointer) => {
    const answer = await verdict.ask('POST /v1/authenticate', { key: null, body })
    expect([answer.status, pointersOf(answer)]).toEqual([400, [pointer]])
  })

  test('gives access tokens that end one by one, and give no other ones', async () => {
    const [one, other] = [(await signIn(corp.token())).body, (await signIn(corp.token())).body]
    const again = { method: 'api_key', api_key: one.access_token }
    expect([400, 401]).toContain((await verdict.ask('POST /v1/authenticate', { key: null, body: again })).status)
    expect((await verdict.ask('POST /v1/authenticate/revoke', { key: one.access_token })).status).toBe(204)
    expect([(await me(one.access_token)).status, (await me(other.access_token)).status]).toEqual([401, 200])
  })

  test('lets nobody set the password of whom it names', async () => {
    const { access_token } = (await signIn(corp.token({ sub: 'pete' }))).body
    const body = { password: 'a horse, a battery and a staple' }
    const set = await verdict.ask('PUT /v1/credentials/user/pete/password', { key: access_token, body })
    expect(set.status).toBe(403)
  })

  test('of a disabled subject is refused, and its access token holds nothing any more', async () => {
    const { body } = await signIn(corp.token({ sub: 'dora', groups: ['audit'] }))
    expect((await verdict.ask('GET /v1/audit', { key: body.access_token })).status).toBe(200)
    await verdict.ask('PUT /v1/entities/user/dora', { body: { disabled: true } })
    expect((await signIn(corp.token({ sub: 'dora' }))).status).toBe(401)
    expect((await verdict.ask('GET /v1/audit', { key: body.access_token })).status).toBe(403)
  })

  test.each<[string, () => Promise<unknown>]>([
    ['is changed', () => put('corp', issuer({ ...ROLES, ...GROUPS, description: 'changed' }))],
    ['is disabled', () => put('corp', issuer({ ...ROLES, ...GROUPS, enabled: false }))],
    ['is removed', () => verdict.ask('DELETE /v1/issuers/corp')],
    [
      'is removed and registered again in the same words',
      async () => {
        await verdict.ask('DELETE /v1/issuers/corp')
        await put('corp', issuer({ ...ROLES, ...GROUPS }))
      },
    ],
  ])('ends, with the access tokens that it gave, when its issuer %s', async (_what, change) => {
    await put('corp', issuer({ ...ROLES, ...GROUPS }))
    const { access_token } = (await signIn(corp.token({ groups: ['audit'] }))).body
    expect((await me(access_token)).status).toBe(200)
    await change()
    expect((await me(access_token)).status).toBe(401)
    await put('corp', issuer({ ...ROLES, ...GROUPS }))
    expect((await me(access_token)).status).toBe(401)
  })
})

describe('who may register an issuer that gives a built-in role', () => {
  test('is who may give the role', async () => {
    for (const role of ['pdp:policy_admin', 'pdp:auditor', 'pdp:entity_writer', 'pdp:decider']) {
      expect((await put('evil', issuer({ issuer: 'https://evil.test' }), await verdict.keyWith([role]))).status).toBe(
        403,
      )
    }
  })

  test('of the operator: no admin of system who is none, by no change of it', async () => {
    const subject = { type: 'service', id: 'lesser' }
    const lesser = (
      await verdict.ask('POST /v1/api-keys', {
        key: verdict.rootKey,
        body: { name: 'lesser', subject, roles: ['pdp:admin'] },
      })
    ).body.key
    const operators = issuer({ issuer: 'https://ops.test', allowed_roles: ['pdp:operator'] })
    expect((await put('ops', operators, lesser)).status).toBe(403)
    expect((await put('ops', operators, verdict.rootKey)).status).toBe(201)
    expect((await put('ops', { ...operators, jwks: { keys: [stranger.jwk] } }, lesser)).status).toBe(403)
    expect((await put('ops', { ...operators, allowed_roles: [] }, lesser)).status).toBe(403)
    expect((await verdict.ask('DELETE /v1/issuers/ops', { key: lesser })).status).toBe(403)
  })

  test('and whoever registers one without it does not become the operator by saying so', async () => {
    const body = { subject: { type: 'user', id: 'chief' }, role: 'pdp:operator' }
    await verdict.ask('POST /v1/assignments', { key: verdict.rootKey, body })
    await put('plain', issuer({ issuer: 'https://plain.test', allowed_roles: ['pdp:admin'] }), verdict.rootKey)
    const signedIn = await signIn(corp.token({ iss: 'https://plain.test', sub: 'chief' }), 'system')
    expect([signedIn.status, signedIn.body.roles]).toEqual([200, []])
    expect((await verdict.ask('GET /v1/tenants', { key: signedIn.body.access_token })).status).toBe(403)
  })
})

describe('a token as the subject of a decision', () => {
  const claims = {
    subject: { type: 'user' },
    properties: { department: 'dept' },
    roles: { claim: 'groups', map: { ed: 'editor', root: 'pdp:admin' } },
  }
  const body = { ...issuer(), claims, allowed_roles: ['editor', 'pdp:admin'] }
  const groups = ['ed', 'root']

  beforeAll(async () => {
    await put('corp', body)
  })

  test('decides about whom it names, with the roles and the properties that it gives', async () => {
    const named = { type: 'user', id: 'ann' }
    expect((await ask(named)).body.decision).toBe(false)
    const allowed = await ask({ token: corp.token({ groups }) })
    expect(allowed.body).toMatchObject({ decision: true, context: { rules: ['roles/editor'], subject: named } })
    expect((await ask({ token: corp.token() })).body.decision).toBe(false)
    expect((await ask({ token: corp.token({ dept: 'sales' }) }, 'sell')).body.decision).toBe(true)
    expect((await ask({ token: corp.token({ dept: 'it' }) }, 'sell')).body.decision).toBe(false)
    expect((await ask(named)).body.decision).toBe(false)
  })

  test('is recorded by its issuer and its jti, never by itself', async () => {
    const token = corp.token({ groups, dept: 'it', jti: 'jti-2' })
    const record = await recordOf((await ask({ token })).body.context.decision_id)
    expect(record.subject).toEqual({
      type: 'user',
      id: 'ann',
      properties: { department: 'it' },
      proven_by: { issuer: 'corp', jti: 'jti-2' },
    })
    expect(JSON.stringify(record)).not.toContain(token.split('.')[2])
  })

  test('is recorded as the tenant has subjects recorded, whoever named them', async () => {
    await verdict.ask('PUT /v1/settings', {
      body: { redaction: { 'subject.id': 'keyed_hash', 'subject.properties': 'drop' } },
    })
    const token = corp.token({ groups, dept: 'it', jti: 'jti-3' })
    const { body: answer } = await ask({ token })
    expect(answer.context.subject).toEqual({ type: 'user', id: 'ann' })
    const request = { subject: { token }, action: { name: 'edit' }, resource: { type: 'doc', id: '1' } }
    const explained = await verdict.ask('POST /v1/authorize/explain', { body: request })
    const seen = { type: 'user', id: expect.stringMatching(/^hmac:/), proven_by: { issuer: 'corp', jti: 'jti-3' } }
    const record = await recordOf(answer.context.decision_id)
    expect(record.subject).toEqual(seen)
    const explanation = await recordOf(explained.body.context.decision_id)
    expect(explanation.context.explained.subject).toEqual(seen)
    expect(JSON.stringify([record, explanation])).not.toContain(token.split('.')[2])
    await verdict.ask('PUT /v1/settings', { body: {} })
  })

  test('is explained, with the issuer as the way to the role', async () => {
    const request = {
      subject: { token: corp.token({ groups }) },
      action: { name: 'edit' },
      resource: { type: 'doc', id: '1' },
    }
    const { status, body: answer } = await verdict.ask('POST /v1/authorize/explain', { body: request })
    expect([status, answer.decision]).toEqual([200, true])
    expect(answer.trace.roles).toMatchObject([{ role: 'editor', through: [{ assignment: 'issuer:corp' }] }])
  })

  test('never gives a built-in role in a question about Verdict itself', async () => {
    const request = (subject: unknown) => ({
      subject,
      action: { name: 'pdp:read' },
      resource: { type: 'pdp:rule', id: '*' },
    })
    const token = corp.token({ groups })
    const answer = await verdict.ask('POST /v1/authorize', { body: request({ token }) })
    expect([answer.status, answer.body.decision]).toEqual([200, false])
  })

  test('never replaces a protected property', async () => {
    await verdict.ask('PUT /v1/types/user', { body: { protected_properties: ['department'] } })
    expect((await ask({ token: corp.token({ dept: 'sales' }) }, 'sell')).body.decision).toBe(false)
    await verdict.ask('DELETE /v1/types/user')
  })

  test('of a disabled subject is a deny', async () => {
    await verdict.ask('PUT /v1/entities/user/gone', { body: { disabled: true } })
    const { body: answer } = await ask({ token: corp.token({ sub: 'gone', groups }) })
    expect(answer).toMatchObject({ decision: false, context: { reason: 'subject_disabled' } })
  })

  test.each([
    ['of somebody else', () => stranger.token({ groups }), 'signature'],
    ['that has expired', () => corp.token({ groups, exp: 1_000_000_000, iat: 999_999_999 }), 'expired'],
    ['for another audience', () => corp.token({ groups, aud: 'x' }), 'audience'],
    ['of nobody who is trusted', () => corp.token({ groups, iss: 'https://x.test' }), 'trusted'],
    ['that is none', () => 'eyJhbGciOiJub25lIn0.e30.', 'no token'],
  ])('%s is refused, and says why', async (_what, token, why) => {
    const answer = await ask({ token: token() })
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ type: 'urn:verdict:problem:invalid_subject_token' })
    expect(answer.body.errors).toMatchObject([{ pointer: '/subject/token', detail: expect.stringContaining(why) }])
  })

  test.each([
    ['a type and an id', (token: string) => ({ type: 'user', id: 'root', token }), ['/subject/type', '/subject/id']],
    ['an id', (token: string) => ({ id: 'root', token }), ['/subject/id']],
    ['properties', (token: string) => ({ properties: {}, token }), ['/subject/properties']],
    ['no text', () => ({ token: { a: 1 } }), ['/subject/token']],
    ['no token and no id', () => ({ type: 'user' }), ['/subject/id']],
    ['no token and no type', () => ({ id: 'ann' }), ['/subject/type']],
  ])(
    'with %s is refused with the pointer: nobody guesses which of the two is meant',
    async (_what, subject, wanted) => {
      const answer = await ask(subject(corp.token({ groups })))
      expect([answer.status, pointersOf(answer)]).toEqual([400, wanted])
    },
  )

  test('is worth nothing in another tenant, also where that trusts the same name', async () => {
    const token = corp.token({ groups })
    expect((await ask({ token })).status).toBe(200)
    expect((await ask({ token }, 'edit', acme)).status).toBe(400)
    await put('corp', issuer({}, stranger), acme)
    expect((await ask({ token }, 'edit', acme)).status).toBe(400)
    expect((await ask({ token: stranger.token() }, 'edit', acme)).status).toBe(200)
    expect((await ask({ token: stranger.token() })).status).toBe(400)
  })

  test('ends at once with its issuer, however often it was seen', async () => {
    const token = corp.token({ groups })
    for (let n = 0; n < 3; n++) expect((await ask({ token })).body.decision).toBe(true)
    await put('corp', { ...body, allowed_roles: [], claims: { subject: { type: 'user' } } })
    expect((await ask({ token })).body.decision).toBe(false)
    await verdict.ask('DELETE /v1/issuers/corp')
    expect((await ask({ token })).status).toBe(400)
    await put('corp', body)
  })
})

describe('an issuer whose keys are fetched', () => {
  let idp: Server
  let base: string
  let keys: Signer[] = []
  const asked: string[] = []

  beforeAll(async () => {
    idp = createServer((request, response) => {
      asked.push(request.url ?? '')
      const discovery = { issuer: base, jwks_uri: `${base}/keys` }
      const body = request.url === '/keys' ? { keys: keys.map(({ jwk }) => jwk) } : discovery
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    await new Promise<void>((resolve) => idp.listen(0, '127.0.0.1', () => resolve()))
    base = `http://127.0.0.1:${(idp.address() as AddressInfo).port}`
  })

  afterAll(() => void idp.close())

  test('is asked once for what many tokens need', async () => {
    const remote = signer(base, Date.now, 'r1')
    keys = [remote]
    await put('remote', { ...issuer({ issuer: base }), jwks: undefined })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => ask({ token: remote.token({ sub: `u${n}` }) })),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys'])
    expect((await ask({ token: signer(base, Date.now, 'r2').token() })).status).toBe(400)
    expect(asked).toHaveLength(2)
  })

  test('and is not there, or in a network that is not allowed, is a 503 that can be tried again', async () => {
    for (const [name, jwks_uri] of [
      ['away', 'http://127.0.0.1:1/keys'],
      ['inside', 'https://10.0.0.1/keys'],
      ['metadata', 'https://169.254.169.254/latest/meta-data/'],
    ] as const) {
      const iss = `https://${name}.test`
      await put(name, { ...issuer({ issuer: iss, jwks_uri }), jwks: undefined })
      const answer = await ask({ token: signer(iss, Date.now).token() })
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10'])
      expect(JSON.stringify(answer.body)).not.toContain(new URL(jwks_uri).hostname)
      expect((await signIn(signer(iss, Date.now).token())).status).toBe(401)
    }
  })
})
