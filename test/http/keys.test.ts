import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { verdict as cli } from '../cli/run.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

let verdict: TestService
let replica: TestService
beforeAll(async () => {
  verdict = await startService()
  replica = await startService({ database: verdict.database, env: sameKeys() })
})
afterAll(async () => {
  await replica.close()
  await verdict.close()
})

const sameKeys = () => {
  const { VERDICT_MASTER_KEY = '', VERDICT_ROOT_KEY = '', VERDICT_ADMIN_KEY = '' } = verdict.env
  return { VERDICT_MASTER_KEY, VERDICT_ROOT_KEY, VERDICT_ADMIN_KEY }
}
const me = (service: TestService, key: string) => service.ask('GET /v1/authenticate/me', { key })
const tokenFor = async (key: string): Promise<string> =>
  (await verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'api_key', api_key: key } })).body
    .access_token
const kidOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

describe('an API key', () => {
  const subject = { type: 'service', id: 'rotating' }
  const make = async (more = {}) =>
    (await verdict.ask('POST /v1/api-keys', { body: { name: 'k', subject, roles: ['pdp:decider'], ...more } })).body

  test('is rotated into one of another id, and stays good for the overlap', async () => {
    const old = await make()
    const { status, body } = await verdict.ask(`POST /v1/api-keys/${old.id}/rotate`, { body: { overlap_s: 3600 } })
    expect([status, body]).toEqual([
      201,
      expect.objectContaining({
        name: 'k',
        subject,
        roles: ['pdp:decider'],
        expires_at: null,
        key: expect.any(String),
      }),
    ])
    expect(body.id).not.toBe(old.id)
    expect((await me(verdict, body.key)).body.roles).toEqual(['pdp:decider'])
    expect((await me(verdict, old.key)).status).toBe(200)
    const { body: listed } = await verdict.ask('GET /v1/api-keys?limit=1000')
    const kept = listed.items.find(({ id }: { id: string }) => id === old.id)
    const left = Date.parse(kept.expires_at) - Date.now()
    expect(left).toBeGreaterThan(3_500_000)
    expect(left).toBeLessThanOrEqual(3_600_000)
  })

  test('without an overlap ends with its rotation, at every process, and its tokens with it', async () => {
    const old = await make()
    const token = await tokenFor(old.key)
    expect((await me(replica, token)).status).toBe(200)
    const { body, headers } = await verdict.ask(`POST /v1/api-keys/${old.id}/rotate`, { body: { overlap_s: 0 } })
    for (const credential of [old.key, token]) {
      expect((await me(verdict, credential)).status).toBe(401)
      await eventually(
        () => me(replica, credential),
        ({ status }) => status === 401,
      )
    }
    expect((await me(replica, body.key)).status).toBe(200)
    expect(headers.get('verdict-revision')).toMatch(/^\d+$/)
  })

  test('is looked up with each request of a connection, and its text compared to the last letter', async () => {
    const key = await make()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const sockets = new Set<unknown>()
    const ask = async (text: string) => {
      const sent = request(`${verdict.url}/v1/authenticate/me`, { agent, headers: { authorization: `Bearer ${text}` } })
      const answered = once(sent.end(), 'response')
      sockets.add((await once(sent, 'socket'))[0])
      const [response] = await answered
      await response.resume().toArray()
      return response.statusCode
    }
    const other = `${key.key.slice(0, -1)}${key.key.endsWith('x') ? 'y' : 'x'}`
    expect(await ask(key.key)).toBe(200)
    expect(await ask(key.key)).toBe(200)
    expect(await ask(other)).toBe(401)
    expect(await ask(key.key)).toBe(200)
    expect((await verdict.ask(`DELETE /v1/api-keys/${key.id}`)).status).toBeLessThan(300)
    expect(await ask(key.key)).toBe(401)
    expect(sockets.size).toBe(1)
  })

  test('that expires sooner than the overlap lasts is not made to live longer', async () => {
    const expires_at = new Date(Date.now() + 60_000).toISOString()
    const old = await make({ expires_at })
    const { body } = await verdict.ask(`POST /v1/api-keys/${old.id}/rotate`, { body: {} })
    expect(body.expires_at).toBe(expires_at)
    const { body: listed } = await verdict.ask('GET /v1/api-keys?limit=1000')
    expect(listed.items.find(({ id }: { id: string }) => id === old.id).expires_at).toBe(expires_at)
  })

  test('is rotated by who may give its roles, only', async () => {
    const { body } = await verdict.ask('GET /v1/api-keys', { key: verdict.rootKey })
    const root = body.items.find(({ name }: { name: string }) => name === 'VERDICT_ROOT_KEY')
    const admin = { name: 'a', subject: { type: 'service', id: 'sysadmin' }, roles: ['pdp:admin'] }
    const { body: made } = await verdict.ask('POST /v1/api-keys', { key: verdict.rootKey, body: admin })
    const { status } = await verdict.ask(`POST /v1/api-keys/${root.id}/rotate`, { key: made.key, body: {} })
    expect(status).toBe(403)
  })

  test('is listed by its age, and with its last use', async () => {
    const old = await make()
    await sql`update api_keys set created_at = now() - interval '91 days' where id = ${old.id}`.execute(
      verdict.database.db,
    )
    const { body } = await verdict.ask('GET /v1/api-keys?older_than_days=90')
    expect(body.items.map(({ id }: { id: string }) => id)).toEqual([old.id])
    expect(body.items[0].last_used_at).toBeNull()
  })

  test('has its last use written by the time the process ends', async () => {
    const old = await make()
    const other = await startService({ database: verdict.database, env: sameKeys() })
    const before = Date.now()
    expect((await me(other, old.key)).status).toBe(200)
    await other.close()
    const { body } = await verdict.ask('GET /v1/api-keys?limit=1000')
    const kept = body.items.find(({ id }: { id: string }) => id === old.id)
    expect(Date.parse(kept.last_used_at)).toBeGreaterThanOrEqual(before)
    expect(Date.parse(kept.last_used_at)).toBeLessThanOrEqual(Date.now())
  })
})

describe('the keys that sign access tokens', () => {
  const run = (...argv: string[]) =>
    cli(['keys', ...argv], { env: { DATABASE_URL: verdict.database.url, ...sameKeys() } })

  test('rotate with an overlap: what the old one has signed stays valid, the new one signs once all know it', async () => {
    const before = await tokenFor(verdict.adminKey)
    const { status, stdout } = await run('rotate')
    expect(status).toBe(0)
    const kid = stdout.split(' ')[0]
    for (const service of [verdict, replica]) {
      await eventually(
        () => service.ask('GET /.well-known/jwks.json', { key: null }),
        ({ body }) => body.keys.some((key: { kid: string }) => key.kid === kid),
      )
    }
    expect(kidOf(await tokenFor(verdict.adminKey))).toBe(kidOf(before))
    await sql`update signing_keys set created_at = created_at - interval '31 seconds' where kid = ${kid}`.execute(
      verdict.database.db,
    )
    const after = await eventually(
      () => tokenFor(verdict.adminKey),
      (token) => kidOf(token) === kid,
    )
    for (const token of [before, after])
      for (const service of [verdict, replica]) expect((await me(service, token)).status).toBe(200)
  })

  test('can be taken away at once: every process refuses what it has signed, remembered or not', async () => {
    const token = await tokenFor(verdict.adminKey)
    for (const service of [verdict, replica]) expect((await me(service, token)).status).toBe(200)
    const { status, stdout } = await run('rotate', '--emergency', kidOf(token))
    expect([status, stdout]).toEqual([0, expect.stringContaining('is revoked')])
    for (const service of [verdict, replica]) {
      await eventually(
        () => me(service, token),
        ({ status: refused }) => refused === 401,
        3_000,
      )
      const { body } = await service.ask('GET /.well-known/jwks.json', { key: null })
      expect(JSON.stringify(body)).not.toContain(kidOf(token))
    }
    const next = await tokenFor(verdict.adminKey)
    expect(kidOf(next)).not.toBe(kidOf(token))
    expect((await run('list')).stdout).toMatch(new RegExp(`${kidOf(token)}  made \\S+  revoked`))
    expect((await run('rotate', '--emergency', 'none')).status).toBe(1)
  })

  test('and what is done to them stands in the trail of system', async () => {
    const { body } = await eventually(
      () => verdict.ask('GET /v1/audit?type=security', { key: verdict.rootKey }),
      ({ body: page }) => page.items.length >= 2,
    )
    const actions = body.items.map(({ action }: { action: { name: string } }) => action.name)
    expect(actions).toEqual(expect.arrayContaining(['pdp:rotate_key', 'pdp:revoke_key']))
  })
})

describe('the master key', () => {
  test('is replaced while the service runs, and no keyed hash in the audit changes', async () => {
    const settings = { redaction: { 'subject.id': 'keyed_hash' } }
    const put = await verdict.ask('PUT /v1/settings', { body: settings })
    expect([put.status, put.body.detail]).toEqual([200, undefined])
    const ask = async (service: TestService) => {
      const body = { subject: { type: 'user', id: 'hashed' }, action: { name: 'x' }, resource: { type: 'd', id: '1' } }
      const { body: answer } = await service.ask('POST /v1/authorize', { body })
      const { body: event } = await eventually(
        () => service.ask(`GET /v1/audit/${answer.context.decision_id}`),
        ({ status }) => status === 200,
      )
      return event.subject.id
    }
    const before = await ask(verdict)
    expect(before).toMatch(/^hmac:/)
    const VERDICT_MASTER_KEY = randomBytes(32).toString('base64')
    const env = { ...sameKeys(), VERDICT_MASTER_KEY, VERDICT_MASTER_KEY_PREVIOUS: sameKeys().VERDICT_MASTER_KEY }
    const token = await tokenFor(verdict.adminKey)

    const rolling = await startService({ database: verdict.database, env })
    expect((await me(rolling, token)).status).toBe(200)
    const reseal = () => cli(['keys', 'reseal'], { env: { DATABASE_URL: verdict.database.url, ...env } })
    expect(await reseal()).toMatchObject({ status: 0, stdout: expect.stringContaining('can go') })
    expect(await reseal()).toMatchObject({ status: 0, stdout: expect.stringContaining('nothing to do') })
    // Who runs with the old one goes on; who starts with it alone does not.
    expect((await me(verdict, token)).status).toBe(200)
    await expect(startService({ database: verdict.database, env: sameKeys() })).rejects.toMatchObject({
      code: 'unsafe_configuration',
    })
    await rolling.close()

    const alone = await startService({ database: verdict.database, env: { ...sameKeys(), VERDICT_MASTER_KEY } })
    expect((await me(alone, token)).status).toBe(200)
    expect(await ask(alone)).toBe(before)
    await alone.close()
  })
})
