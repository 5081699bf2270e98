import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startService, type TestService } from '../support/service.ts'

// What somebody has to log in with, as an admin and its owner see it.

const PASSWORD = 'a horse, a battery and a staple'

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())
beforeEach(() => sql`delete from login_throttles`.execute(verdict.database.db))

let people = 0
async function somebody(username?: string): Promise<string> {
  const id = `owner-${++people}`
  const body = { password: PASSWORD, ...(username && { username }) }
  expect((await verdict.ask(`PUT /v1/credentials/user/${id}/password`, { body })).status).toBe(201)
  return id
}

async function logIn(username: string): Promise<string> {
  const body = { method: 'password', tenant: 'default', username, password: PASSWORD }
  return (await verdict.ask('POST /v1/authenticate', { key: null, body })).body.access_token
}

const me = async (key: string) => (await verdict.ask('GET /v1/authenticate/me', { key })).body
const shown = (id: string, key = verdict.adminKey) => verdict.ask(`GET /v1/credentials/user/${id}`, { key })
const sessions = (id: string, key = verdict.adminKey, query = '') =>
  verdict.ask(`GET /v1/credentials/user/${id}/sessions${query}`, { key })

describe('what somebody has to log in with', () => {
  test('is said without a secret: who, since when, whether a second factor is asked for', async () => {
    const id = await somebody('Olga@Example.com')
    await logIn('olga@example.com')
    const { body: enrolled } = await verdict.ask(`PUT /v1/credentials/user/${id}/totp`)
    const { status, body } = await shown(id)
    expect([status, body]).toMatchObject([
      200,
      {
        subject: { type: 'user', id },
        password: { username: 'Olga@Example.com', version: expect.any(Number) },
        totp: { confirmed: false, pending: true, recovery_codes_left: 0 },
        sessions: 1,
      },
    ])
    const text = JSON.stringify(body)
    for (const secret of [PASSWORD, '$argon2', enrolled.secret]) expect(text).not.toContain(secret)
  })

  test('is nothing of who has nothing', async () => {
    expect((await shown('nobody')).body).toMatchObject({ password: null, totp: null, sessions: 0 })
  })

  test('is an admin’s to read, and its owner’s in a session', async () => {
    const [id, other] = [await somebody(), await somebody()]
    const token = await logIn(id)
    expect((await shown(id, token)).status).toBe(200)
    expect((await sessions(id, token)).status).toBe(200)
    expect((await shown(other, token)).status).toBe(403)
    expect((await sessions(other, token)).status).toBe(403)
    const keys = await Promise.all(['pdp:policy_admin', 'pdp:auditor'].map((role) => verdict.keyWith([role])))
    for (const key of keys) expect((await shown(id, key)).status).toBe(403)
    const own = { name: 'own', subject: { type: 'user', id } }
    const { key } = (await verdict.ask('POST /v1/api-keys', { body: own })).body
    expect((await shown(id, key)).status).toBe(403)
  })
})

describe('the sessions of somebody', () => {
  test('are listed, newest first and by pages, and one of them is ended', async () => {
    const id = await somebody()
    const tokens = [await logIn(id), await logIn(id), await logIn(id)]
    const ids = await Promise.all(tokens.map(async (token) => (await me(token)).session_id))
    const first = (await sessions(id, verdict.adminKey, '?limit=2')).body
    const rest = (await sessions(id, verdict.adminKey, `?limit=2&cursor=${first.next_cursor}`)).body
    expect(rest.next_cursor).toBeNull()
    const listed = [...first.items, ...rest.items]
    expect(listed.map((one: { id: string }) => one.id)).toEqual([...ids].reverse())
    expect(listed[0]).toMatchObject({ method: 'password', expires_at: expect.any(String) })

    const end = (session: string, key = verdict.adminKey) =>
      verdict.ask(`DELETE /v1/credentials/user/${id}/sessions/${session}`, { key })
    expect((await end(ids[0])).status).toBe(204)
    expect((await end(ids[1], tokens[2])).status).toBe(204)
    expect(await Promise.all(tokens.map(async (key) => (await sessions(id, key)).status))).toEqual([401, 401, 200])
    expect((await end(ids[0])).status).toBe(404)
    expect((await sessions(id)).body.items.map((one: { id: string }) => one.id)).toEqual([ids[2]])
  })

  test('are ended under the name of their owner alone', async () => {
    const [id, other] = [await somebody(), await somebody()]
    const [token, others] = [await logIn(id), await logIn(other)]
    const { session_id } = await me(others)
    for (const key of [token, verdict.adminKey]) {
      const { status } = await verdict.ask(`DELETE /v1/credentials/user/${id}/sessions/${session_id}`, { key })
      expect(status).toBe(404)
    }
    expect((await me(others)).session_id).toBe(session_id)
  })

  test('that are over by the settings of now are not there', async () => {
    const id = await somebody()
    await logIn(id)
    await sql`update sessions set used_at = now() - interval '2 hours' where subject_id = ${id}`.execute(
      verdict.database.db,
    )
    expect((await sessions(id)).body.items).toEqual([])
    expect((await shown(id)).body.sessions).toBe(0)
  })

  test('are not all ended by a key that acts as their owner', async () => {
    const id = await somebody()
    const token = await logIn(id)
    const body = { name: 'k', subject: { type: 'user', id }, roles: ['pdp:decider'] }
    const { key } = (await verdict.ask('POST /v1/api-keys', { body })).body
    const exchange = { method: 'api_key', api_key: key }
    const { access_token } = (await verdict.ask('POST /v1/authenticate', { key: null, body: exchange })).body
    for (const bearer of [key, access_token]) {
      const ended = await verdict.ask('POST /v1/authenticate/revoke', { key: bearer, body: { all: true } })
      expect(ended.status).toBe(422)
    }
    expect((await me(token)).subject.id).toBe(id)
  })
})
