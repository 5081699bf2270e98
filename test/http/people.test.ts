import { sql } from 'kysely'
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { at } from '../support/clock.ts'
import { eventually, type Reply, startService, type TestService } from '../support/service.ts'

const PASSWORD = 'a horse, a battery and a staple'
const OTHER = 'nine green bottles on a wall'

let verdict: TestService

beforeAll(async () => {
  verdict = await startService()
})

afterAll(() => verdict.close())

// All tests come from one address, and each is to find it unlocked.
beforeEach(async () => {
  await sql`delete from login_throttles`.execute(verdict.database.db)
})

type Credentials = Readonly<Record<string, unknown>>

const logIn = (username: string, password: string = PASSWORD, more: Credentials = {}) =>
  verdict.ask('POST /v1/authenticate', {
    key: null,
    body: { method: 'password', tenant: 'default', username, password, ...more },
  })
const refresh = (refresh_token: string) =>
  verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'refresh_token', refresh_token } })
const me = (key: string) => verdict.ask('GET /v1/authenticate/me', { key })
const setPassword = (id: string, password: string = PASSWORD, more: Credentials = {}, key = verdict.adminKey) =>
  verdict.ask(`PUT /v1/credentials/user/${id}/password`, { key, body: { password, ...more } })

let people = 0

/** Somebody with a password whom no other test knows. */
async function somebody(): Promise<string> {
  const id = `person-${++people}`
  expect((await setPassword(id)).status).toBe(201)
  return id
}

const codeAt = (secret: string, ms = Date.now()) =>
  new TOTP({ secret: Secret.fromBase32(secret), period: 30 }).generate({ timestamp: ms })

/** Gives somebody a second factor. The code that confirmed it, and those before it, are spent. */
async function withSecondFactor(id: string): Promise<{ secret: string; recovery: string[] }> {
  const path = `PUT /v1/credentials/user/${id}/totp`
  const { secret } = (await verdict.ask(path)).body
  // Of the step before, so that the code of this one is still there to be used.
  const confirmed = await at(Date.now(), () =>
    verdict.ask(path, { body: { code: codeAt(secret, Date.now() - 30_000) } }),
  )
  expect(confirmed.status).toBe(200)
  return { secret, recovery: confirmed.body.recovery_codes }
}

const pointers = ({ body }: Reply): string[] => body.errors.map(({ pointer }: { pointer: string }) => pointer)

describe('a password', () => {
  test('opens a session for its owner, who holds what it holds at the moment of use', async () => {
    const id = await somebody()
    const { status, body } = await logIn(id)
    expect(status).toBe(200)
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 900, tenant: 'default', roles: [] })
    expect(body.subject).toEqual({ type: 'user', id })
    expect((await me(body.access_token)).body).toMatchObject({ method: 'access_token', key_id: null, subject: { id } })
    expect((await verdict.ask('GET /v1/rules', { key: body.access_token })).status).toBe(403)
    const given = { subject: { type: 'user', id }, role: 'pdp:policy_admin' }
    const { body: assignment } = await verdict.ask('POST /v1/assignments', { body: given })
    expect((await verdict.ask('GET /v1/rules', { key: body.access_token })).status).toBe(200)
    await verdict.ask(`DELETE /v1/assignments/${assignment.id}`)
    expect((await verdict.ask('GET /v1/rules', { key: body.access_token })).status).toBe(403)
  })

  test('is asked for by a username, in any case, that is the id unless it was set', async () => {
    await setPassword('E-1042', PASSWORD, { username: 'Erin' })
    expect((await logIn('erin')).body.subject).toEqual({ type: 'user', id: 'E-1042' })
    expect((await logIn('E-1042')).status).toBe(401)
    const taken = await setPassword('E-1043', PASSWORD, { username: 'ERIN' })
    expect(taken.status).toBe(409)
    expect(pointers(taken)).toEqual(['/username'])
  })

  test('is the same however a keyboard composes it', async () => {
    await setPassword('nfkc', 'Ångström und Öl'.normalize('NFD'))
    expect((await logIn('nfkc', 'Ångström und Öl'.normalize('NFC'))).status).toBe(200)
    expect((await logIn('nfkc', 'ångström und öl')).status).toBe(401)
  })

  test('is not cut off: 1,000 characters count to the last', async () => {
    const long = `${'ab cd '.repeat(166)}xyz!`
    expect([...long].length).toBe(1000)
    expect((await setPassword('long', long)).status).toBe(201)
    expect((await logIn('long', long)).status).toBe(200)
    expect((await logIn('long', `${long.slice(0, -1)}?`)).status).toBe(401)
    const emoji = '🐎🔋📎🌲🌧🎻🥁🎺🎷🪕🎸🪗'
    expect((await setPassword('emoji', emoji)).status).toBe(201)
  })

  test.each([
    ['of eleven characters', 'elf chars??'],
    ['of 1,001 characters', `${'ab cd '.repeat(166)}xyz!!`],
    ['that is common', 'unbelievable'],
    ['that is common, in capitals', 'UNBELIEVABLE'],
    ['that is a common one twice', 'sunshinesunshine'],
    ['that is a common one with a number', 'sunshine20261984'],
    ['of one letter', 'aaaaaaaaaaaaaaaa'],
    ['that counts', '123456789012345'],
    ['that counts down', '9876543210987'],
    ['that is the username', 'refused-person'],
    ['that is the username with a number', 'Refused-Person99'],
    ['that is the tenant again and again', 'defaultdefault'],
    ['with a control character', 'long enough\u0007 but odd'],
  ])('%s is refused, and not repeated', async (_what, password) => {
    const refused = await setPassword('refused-person', password)
    expect(refused.status).toBe(422)
    expect(pointers(refused)).toEqual(['/password'])
    expect(JSON.stringify(refused.body)).not.toContain(password)
    expect((await logIn('refused-person', password)).status).toBe(401)
  })

  test('is set by an admin, and by nobody else who is not its owner', async () => {
    const id = await somebody()
    for (const role of ['pdp:policy_admin', 'pdp:entity_writer', 'pdp:auditor', 'pdp:decider']) {
      expect((await setPassword(id, OTHER, {}, await verdict.keyWith([role]))).status).toBe(403)
    }
    const other = (await logIn(await somebody())).body.access_token
    expect((await setPassword(id, OTHER, { current_password: PASSWORD }, other)).status).toBe(403)
    expect((await logIn(id)).status).toBe(200)
  })

  test('is not made by a key of its owner, which may hold less than the owner does', async () => {
    const subject = { type: 'user', id: 'keyholder' }
    const { key } = (await verdict.ask('POST /v1/api-keys', { body: { name: 'k', subject } })).body
    expect((await setPassword('keyholder', PASSWORD, {}, key)).status).toBe(403)
    const body = { method: 'api_key', api_key: key }
    const { access_token } = (await verdict.ask('POST /v1/authenticate', { key: null, body })).body
    expect((await setPassword('keyholder', PASSWORD, {}, access_token)).status).toBe(403)
  })

  test('is changed by its owner with the present one, which ends all sessions but that one', async () => {
    const id = await somebody()
    const elsewhere = (await logIn(id)).body
    const { access_token } = (await logIn(id)).body
    const change = (more: Credentials) => setPassword(id, OTHER, more, access_token)
    expect(pointers(await change({}))).toEqual(['/current_password'])
    expect(pointers(await change({ current_password: 'wrong wrong wrong' }))).toEqual(['/current_password'])
    expect(pointers(await change({ current_password: PASSWORD, username: 'root' }))).toEqual(['/username'])
    expect((await me(elsewhere.access_token)).status).toBe(200)
    expect((await change({ current_password: PASSWORD })).status).toBe(200)
    expect((await me(access_token)).status).toBe(200)
    expect((await me(elsewhere.access_token)).status).toBe(401)
    expect((await refresh(elsewhere.refresh_token)).status).toBe(401)
    expect((await logIn(id)).status).toBe(401)
    expect((await logIn(id, OTHER)).status).toBe(200)
  })

  test('is proved again a few times only by who is logged in', async () => {
    const id = await somebody()
    const { access_token } = (await logIn(id)).body
    const tried = []
    for (let n = 0; n < 7; n++) {
      tried.push((await setPassword(id, OTHER, { current_password: `wrong wrong ${n}` }, access_token)).status)
    }
    expect(tried).toEqual([422, 422, 422, 422, 422, 429, 429])
    expect((await setPassword(id, OTHER, { current_password: PASSWORD }, access_token)).status).toBe(429)
  })

  test('of a holder of a built-in role is set by who may give that role', async () => {
    const id = await somebody()
    const subject = { type: 'user', id }
    await verdict.ask('POST /v1/assignments', { body: { subject, role: 'pdp:auditor' } })
    expect((await setPassword(id, OTHER)).status).toBe(200)
    const { access_token } = (await logIn(id, OTHER)).body
    expect((await setPassword(id, PASSWORD, { current_password: OTHER }, access_token)).status).toBe(200)

    const operator = { type: 'user', id: 'op' }
    const asRoot = { key: verdict.rootKey }
    await verdict.ask('POST /v1/assignments', { ...asRoot, body: { subject: operator, role: 'pdp:operator' } })
    const admin = { name: 'a', subject: { type: 'service', id: 'sysadmin' }, roles: ['pdp:admin'] }
    const { key } = (await verdict.ask('POST /v1/api-keys', { ...asRoot, body: admin })).body
    expect((await setPassword('op', PASSWORD, {}, key)).status).toBe(403)
    expect((await setPassword('op', PASSWORD, {}, verdict.rootKey)).status).toBe(201)
    expect((await verdict.ask('PUT /v1/credentials/user/op/totp', { key })).status).toBe(403)
    expect((await verdict.ask('DELETE /v1/credentials/user/op/password', { key })).status).toBe(403)
  })

  test('is nothing that an operator sets in another tenant', async () => {
    const headers = { 'verdict-tenant': 'default' }
    const body = { password: PASSWORD }
    const path = 'PUT /v1/credentials/user/foreign/password'
    expect((await verdict.ask(path, { key: verdict.rootKey, headers, body })).status).toBe(403)
  })

  test('goes with its entity, and the same id gets neither it nor its sessions back', async () => {
    const id = await somebody()
    await verdict.ask(`PUT /v1/entities/user/${id}`, { body: {} })
    const { access_token, refresh_token } = (await logIn(id)).body
    expect((await verdict.ask(`DELETE /v1/entities/user/${id}`)).status).toBe(204)
    await verdict.ask(`PUT /v1/entities/user/${id}`, { body: {} })
    expect((await logIn(id)).status).toBe(401)
    expect((await me(access_token)).status).toBe(401)
    expect((await refresh(refresh_token)).status).toBe(401)
  })

  test('keeps a bundle from deleting its entity', async () => {
    const id = 'of-a-bundle'
    const bundle = (entities: object[]) => ({ verdict: 1, entities })
    expect((await verdict.ask('PUT /v1/bundle', { body: bundle([{ type: 'user', id }]) })).status).toBe(200)
    await setPassword(id)
    const refused = await verdict.ask('PUT /v1/bundle', { body: bundle([]) })
    expect(refused.status).toBe(422)
    expect(JSON.stringify(refused.body)).toContain('its password')
    expect((await logIn(id)).status).toBe(200)
  })

  test('that is deleted logs nobody in, and ends the sessions', async () => {
    const id = await somebody()
    const { access_token } = (await logIn(id)).body
    const path = `DELETE /v1/credentials/user/${id}/password`
    expect((await verdict.ask(path, { key: access_token })).status).toBe(422)
    expect((await verdict.ask(path)).status).toBe(204)
    expect((await me(access_token)).status).toBe(401)
    expect((await logIn(id)).status).toBe(401)
    expect((await verdict.ask(path)).status).toBe(404)
  })

  test('stands nowhere: not in the change log, the audit, or the store', async () => {
    const secret = 'Xyzzy plugh 2718281828'
    await setPassword('nowhere', secret, {}, verdict.adminKey)
    const { access_token, refresh_token } = (await logIn('nowhere', secret)).body
    const idempotent = { headers: { 'idempotency-key': 'once' }, body: { password: `${secret}!` } }
    await verdict.ask('PUT /v1/credentials/user/nowhere/password', idempotent)
    await logIn('xyzzy-in-the-wrong-field', secret)
    const tables = ['policy_changes', 'audit_outbox', 'passwords', 'sessions', 'refresh_tokens', 'idempotency_keys']
    await eventually(
      async () => (await verdict.ask('GET /v1/audit?type=authentication&limit=1000')).body.items,
      (items) => JSON.stringify(items).includes('nowhere'),
    )
    for (const table of [...tables, 'audit']) {
      const { rows } = await sql<{ t: string }>`select t::text || coalesce(
        (select convert_from(record, 'UTF8') from audit where false), '') as t from ${sql.table(table)} t`.execute(
        verdict.database.db,
      )
      const text = rows.map(({ t }) => t).join('\n')
      for (const hidden of [secret, access_token, refresh_token]) expect(text).not.toContain(hidden)
    }
    const { rows } = await sql<{ text: string }>`
      select convert_from(record, 'UTF8') as text from audit`.execute(verdict.database.db)
    const audit = rows.map(({ text }) => text).join('\n')
    for (const hidden of [secret, access_token, refresh_token, 'xyzzy-in-the-wrong-field'])
      expect(audit).not.toContain(hidden)
    expect(await sql`select 1 from idempotency_keys`.execute(verdict.database.db)).toMatchObject({ rows: [] })
  })
})

describe('a login that fails', () => {
  test('gets one and the same answer, whatever is wrong with it', async () => {
    const id = await somebody()
    await withSecondFactor(id)
    const disabled = await somebody()
    await verdict.ask(`PUT /v1/entities/user/${disabled}`, { body: { disabled: true } })
    const elsewhere = { key: null, body: { method: 'password', tenant: 'no-such', username: id, password: PASSWORD } }
    const answers = [
      await logIn(id, OTHER),
      await logIn('nobody', OTHER),
      await logIn(id),
      await logIn(disabled),
      await verdict.ask('POST /v1/authenticate', elsewhere),
      await refresh('vdr_default_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
      await refresh('nonsense'),
    ]
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401))
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
    const names = (reply: Reply) => [...reply.headers.keys()].sort().join()
    expect(new Set(answers.map(names)).size).toBe(1)
  })

  test('is recorded with its account, and an unknown name only by a keyed hash', async () => {
    const id = await somebody()
    // A process of its own: of one address, it records ten failures a minute one by one.
    const { VERDICT_DATA_DIR: _own, ...env } = verdict.env
    const other = await startService({ database: verdict.database, env })
    for (const username of [id, 'correct horse battery']) {
      const body = { method: 'password', tenant: 'default', username, password: OTHER }
      await other.ask('POST /v1/authenticate', { key: null, body })
    }
    await other.close()
    const items = await eventually(
      async () => (await verdict.ask('GET /v1/audit?type=authentication&decision=false&limit=1000')).body.items,
      (found) => found.some(({ subject }: { subject: { id: string } | null }) => subject?.id === id),
    )
    expect(JSON.stringify(items)).not.toContain('correct horse')
    const mine = items.find(({ subject }: { subject: { id: string } | null }) => subject?.id === id)
    expect(mine).toMatchObject({ reason: 'invalid_credential', decision: false, actor: null })
    expect(mine.context).toEqual({ method: 'password', account: expect.stringMatching(/^[0-9a-f]{16}$/) })
  })

  test.each([
    ['no tenant', { method: 'password', username: 'a', password: 'b' }, '/tenant'],
    ['no password', { method: 'password', tenant: 'default', username: 'a' }, '/password'],
    [
      'a member of another method',
      { method: 'password', tenant: 'default', username: 'a', password: 'b', api_key: 'c' },
      '/api_key',
    ],
    ['a number for a password', { method: 'password', tenant: 'default', username: 'a', password: 5 }, '/password'],
    [
      'a password of 4,001 characters',
      { method: 'password', tenant: 'default', username: 'a', password: 'x'.repeat(4001) },
      '/password',
    ],
    ['a list for a name', { method: 'password', tenant: 'default', username: ['a'], password: 'b' }, '/username'],
    ['an empty refresh token', { method: 'refresh_token', refresh_token: '' }, '/refresh_token'],
  ])('because of its shape (%s) is a 400 with the pointer', async (_what, body, pointer) => {
    const answer = await verdict.ask('POST /v1/authenticate', { key: null, body })
    expect(answer.status).toBe(400)
    expect(pointers(answer)).toEqual([pointer])
  })

  test('five times locks the account for a while, known or not, and the address with it', async () => {
    const id = await somebody()
    for (let n = 0; n < 5; n++) expect((await logIn(id, OTHER)).status).toBe(401)
    const locked = await logIn(id)
    expect(locked.status).toBe(429)
    expect(Number(locked.headers.get('retry-after'))).toBeGreaterThan(290)
    const nobody = await logIn('nobody-at-all')
    expect(nobody.status).toBe(429)
    expect(nobody.body).toEqual(locked.body)
  })
})

describe('the lock of an account', () => {
  /** As if the attempts had come from other addresses: the address is not locked. */
  const forgetAddress = () =>
    sql`delete from login_throttles where admitted is null and known_until is null`.execute(verdict.database.db)
  const letPass = () =>
    sql`update login_throttles set locked_until = locked_until - interval '1 day'`.execute(verdict.database.db)
  const locksOf = async () => {
    const { rows } = await sql<{ s: number }>`
      select round(extract(epoch from locked_until - now()))::int as s from login_throttles
      where locked_until > now() and admitted is not null`.execute(verdict.database.db)
    return rows.map(({ s }) => s)
  }
  async function fail(id: string, times: number): Promise<void> {
    for (let n = 0; n < times; n++) {
      await logIn(id, OTHER)
      await forgetAddress()
    }
  }

  test('refuses the right password with the same answer as a wrong one', async () => {
    const id = await somebody()
    await fail(id, 5)
    const right = await logIn(id)
    await forgetAddress()
    const wrong = await logIn(id, OTHER)
    expect(right.status).toBe(401)
    expect(right.body).toEqual(wrong.body)
  })

  test('lasts 300 s, then twice as long, to an hour at most, and trying on makes it no longer', async () => {
    const id = await somebody()
    const seen: number[] = []
    for (let round = 0; round < 5; round++) {
      await fail(id, 5)
      seen.push(...(await locksOf()))
      await fail(id, 3)
      expect((await locksOf())[0]).toBeLessThanOrEqual(seen.at(-1) ?? 0)
      await letPass()
    }
    const wanted = [300, 600, 1200, 2400, 3600]
    expect(seen.length).toBe(5)
    for (const [n, s] of seen.entries()) expect(Math.abs(s - (wanted[n] ?? 0))).toBeLessThan(10)
  })

  test('ends with its time, and four failures with a success', async () => {
    const id = await somebody()
    await fail(id, 5)
    await letPass()
    expect((await logIn(id)).status).toBe(200)
    await fail(id, 4)
    expect((await logIn(id)).status).toBe(200)
    await fail(id, 4)
    expect((await logIn(id)).status).toBe(200)
  })

  test('does not keep out a right password with a right code, and counts codes only with a right password', async () => {
    const id = await somebody()
    const { secret } = await withSecondFactor(id)
    for (let n = 0; n < 8; n++) {
      expect((await logIn(id, OTHER, { otp: '000000' })).status).toBe(401)
      await forgetAddress()
    }
    expect((await logIn(id, PASSWORD)).status).toBe(401)
    await forgetAddress()
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret) })).status).toBe(200)
  })

  test('is one for codes, too: who has the password guesses five', async () => {
    const id = await somebody()
    const { secret } = await withSecondFactor(id)
    const wrong = codeAt(secret, 0)
    for (let n = 0; n < 5; n++) {
      expect((await logIn(id, PASSWORD, { otp: wrong })).status).toBe(401)
      await forgetAddress()
    }
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret) })).status).toBe(401)
  })
})

describe('a second factor', () => {
  test('is asked for once it is confirmed, and shown once', async () => {
    const id = await somebody()
    const path = `PUT /v1/credentials/user/${id}/totp`
    const { body } = await verdict.ask(path)
    expect(body.otpauth_uri).toContain(`secret=${body.secret}`)
    expect((await logIn(id)).status).toBe(200)
    expect(pointers(await verdict.ask(path, { body: { code: codeAt(body.secret, 0) } }))).toEqual(['/code'])
    const confirmed = await verdict.ask(path, { body: { code: codeAt(body.secret) } })
    expect(confirmed.body.confirmed).toBe(true)
    expect(confirmed.body.recovery_codes.length).toBe(10)
    expect((await logIn(id)).status).toBe(401)
    const log = JSON.stringify((await verdict.ask('GET /v1/changes?limit=1000')).body)
    for (const hidden of [body.secret, ...confirmed.body.recovery_codes]) expect(log).not.toContain(hidden)
  })

  test('takes a code once, of this step or one beside it, and none before it', async () => {
    const id = await somebody()
    const { secret } = await withSecondFactor(id)
    const code = codeAt(secret)
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret, Date.now() - 90_000) })).status).toBe(401)
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret, Date.now() + 90_000) })).status).toBe(401)
    expect((await logIn(id, PASSWORD, { otp: code })).status).toBe(200)
    expect((await logIn(id, PASSWORD, { otp: code })).status).toBe(401)
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret, Date.now() - 30_000) })).status).toBe(401)
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret, Date.now() + 30_000) })).status).toBe(200)
  })

  test('takes a recovery code once, of three at once too', async () => {
    const id = await somebody()
    const { recovery } = await withSecondFactor(id)
    const [first = '', second = ''] = recovery
    expect((await logIn(id, PASSWORD, { otp: first.toUpperCase().replaceAll('-', ' ') })).status).toBe(200)
    expect((await logIn(id, PASSWORD, { otp: first })).status).toBe(401)
    const statuses = await Promise.all([1, 2, 3].map(async () => (await logIn(id, PASSWORD, { otp: second })).status))
    expect(statuses.sort()).toEqual([200, 401, 401])
    await setPassword(id, OTHER)
    expect((await logIn(id, OTHER, { otp: second })).status).toBe(401)
  })

  test('is enrolled by its owner with the password, and removed with a code or the password', async () => {
    const id = await somebody()
    const { access_token: key } = (await logIn(id)).body
    const path = `/v1/credentials/user/${id}/totp`
    expect(pointers(await verdict.ask(`PUT ${path}`, { key }))).toEqual(['/current_password'])
    const { body } = await verdict.ask(`PUT ${path}`, { key, body: { current_password: PASSWORD } })
    const { recovery_codes } = (await verdict.ask(`PUT ${path}`, { key, body: { code: codeAt(body.secret) } })).body
    expect((await verdict.ask(`DELETE ${path}`, { key })).status).toBe(422)
    expect(pointers(await verdict.ask(`DELETE ${path}`, { key, body: { code: '123456' } }))).toEqual(['/code'])
    expect((await verdict.ask(`DELETE ${path}`, { key, body: { code: recovery_codes[0] } })).status).toBe(204)
    expect((await logIn(id)).status).toBe(200)
    expect((await verdict.ask(`DELETE ${path}`)).status).toBe(404)
  })

  test('is not replaced by one that nobody has confirmed', async () => {
    const id = await somebody()
    const { secret } = await withSecondFactor(id)
    const { body } = await verdict.ask(`PUT /v1/credentials/user/${id}/totp`)
    expect((await logIn(id, PASSWORD, { otp: codeAt(body.secret) })).status).toBe(401)
    expect((await logIn(id, PASSWORD, { otp: codeAt(secret) })).status).toBe(200)
  })

  test('stands sealed in the store, and opens for nobody else', async () => {
    const [one, two] = [await somebody(), await somebody()]
    const { secret } = await withSecondFactor(one)
    await withSecondFactor(two)
    const stolen = sql`(select sealed from totps where subject_id = ${one})`
    await sql`update totps set sealed = ${stolen} where subject_id = ${two}`.execute(verdict.database.db)
    expect((await logIn(two, PASSWORD, { otp: codeAt(secret) })).status).toBe(500)
  })
})

describe('a session', () => {
  test('goes on with each refresh token, which is good for once', async () => {
    const first = (await logIn(await somebody())).body
    const second = (await refresh(first.refresh_token)).body
    expect(second.refresh_token).not.toBe(first.refresh_token)
    const third = await refresh(second.refresh_token)
    expect(third.status).toBe(200)
    const sessions = await Promise.all([first, third.body].map(async (token) => (await me(token.access_token)).body))
    expect(sessions[0]?.session_id).toBe(sessions[1]?.session_id)
  })

  test('ends, with all its tokens, when a spent refresh token is shown again', async () => {
    const id = await somebody()
    const first = (await logIn(id)).body
    const second = (await refresh(first.refresh_token)).body
    expect((await refresh(first.refresh_token)).status).toBe(401)
    expect((await me(first.access_token)).status).toBe(401)
    expect((await me(second.access_token)).status).toBe(401)
    expect((await refresh(second.refresh_token)).status).toBe(401)
    const items = await eventually(
      async () => (await verdict.ask('GET /v1/audit?type=security')).body.items,
      (found) => found.some(({ subject }: { subject: { id: string } | null }) => subject?.id === id),
    )
    expect(items[0]).toMatchObject({ reason: 'refresh_token_reused', decision: false })
  })

  test('is ended by its owner: this one, or all', async () => {
    const id = await somebody()
    const [one, two, three] = [(await logIn(id)).body, (await logIn(id)).body, (await logIn(id)).body]
    const revoke = (key: string, body?: object) => verdict.ask('POST /v1/authenticate/revoke', { key, body })
    expect((await revoke(one.access_token)).status).toBe(204)
    expect((await me(one.access_token)).status).toBe(401)
    expect((await refresh(one.refresh_token)).status).toBe(401)
    expect((await me(two.access_token)).status).toBe(200)
    expect((await revoke(two.access_token, { all: true })).status).toBe(204)
    expect((await me(three.access_token)).status).toBe(401)
    expect((await refresh(three.refresh_token)).status).toBe(401)
    expect((await revoke(three.access_token)).status).toBe(401)
  })

  test('gives its access tokens for refresh tokens alone', async () => {
    const { body } = await logIn(await somebody())
    const again = { method: 'api_key', api_key: body.access_token }
    expect([400, 401]).toContain((await verdict.ask('POST /v1/authenticate', { key: null, body: again })).status)
    expect((await refresh(body.refresh_token)).status).toBe(200)
  })

  test('is ended by an admin, whosever it is, and by no other', async () => {
    const id = await somebody()
    const { access_token } = (await logIn(id)).body
    const path = `DELETE /v1/credentials/user/${id}/sessions`
    expect((await verdict.ask(path, { key: await verdict.keyWith(['pdp:policy_admin']) })).status).toBe(403)
    expect((await verdict.ask(path)).status).toBe(204)
    expect((await me(access_token)).status).toBe(401)
  })

  test('of a key there is none: its token ends alone, and the key when it is deleted', async () => {
    const key = await verdict.keyWith(['pdp:decider'])
    const exchange = async () =>
      (await verdict.ask('POST /v1/authenticate', { key: null, body: { method: 'api_key', api_key: key } })).body
    const [one, two] = [await exchange(), await exchange()]
    expect(one.refresh_token).toBeUndefined()
    expect((await verdict.ask('POST /v1/authenticate/revoke', { key: one.access_token })).status).toBe(204)
    expect((await me(one.access_token)).status).toBe(401)
    expect((await me(two.access_token)).status).toBe(200)
    expect((await verdict.ask('POST /v1/authenticate/revoke', { key })).status).toBe(422)
  })

  test('ends after a time without a refresh, and at its end, as the settings say now', async () => {
    const { db } = verdict.database
    const id = await somebody()
    const back = (seconds: number, column: string) =>
      sql`update sessions set ${sql.ref(column)} = ${sql.ref(column)} - make_interval(secs => ${seconds})
          where subject_id = ${id}`.execute(db)
    const idle = (await logIn(id)).body
    await back(3_601, 'used_at')
    expect((await refresh(idle.refresh_token)).status).toBe(401)
    const old = (await logIn(id)).body
    await back(3_000, 'created_at')
    const next = (await refresh(old.refresh_token)).body
    expect(next.expires_in).toBe(900)
    await verdict.ask('PUT /v1/settings', { body: { session_lifetime_seconds: 3_300 } })
    const last = await refresh(next.refresh_token)
    expect(last.status).toBe(200)
    expect(last.body.expires_in).toBeLessThanOrEqual(300)
    await verdict.ask('PUT /v1/settings', { body: { session_lifetime_seconds: 2_000 } })
    expect((await refresh(last.body.refresh_token)).status).toBe(401)
    await verdict.ask('PUT /v1/settings', { body: {} })
    for (const seconds of [899, 90 * 86_400 + 1]) {
      const refused = await verdict.ask('PUT /v1/settings', { body: { session_lifetime_seconds: seconds } })
      expect(pointers(refused)).toEqual(['/session_lifetime_seconds'])
    }
  })

  test('is worth nothing while its subject is disabled or its tenant suspended', async () => {
    const id = await somebody()
    const { access_token, refresh_token } = (await logIn(id)).body
    await verdict.ask(`PUT /v1/entities/user/${id}`, { body: { disabled: true } })
    expect((await me(access_token)).status).toBe(403)
    expect((await refresh(refresh_token)).status).toBe(401)
    await verdict.ask(`PUT /v1/entities/user/${id}`, { body: {} })
    expect((await me(access_token)).status).toBe(200)
    // It was refused before it was spent.
    expect((await refresh(refresh_token)).status).toBe(200)
    const root = { key: verdict.rootKey }
    await verdict.ask('PATCH /v1/tenants/default', { ...root, body: { status: 'suspended' } })
    const answers = [await logIn(id), await me(access_token)]
    await verdict.ask('PATCH /v1/tenants/default', { ...root, body: { status: 'active' } })
    expect(answers.map(({ status }) => status)).toEqual([401, 403])
  })

  test('of another tenant is none here, though the token is shown under its name', async () => {
    const { refresh_token } = (await logIn(await somebody())).body
    expect((await refresh(refresh_token.replace('vdr_default_', 'vdr_system_'))).status).toBe(401)
    expect((await refresh(refresh_token.replace('vdr_default_', 'vdr_nowhere_'))).status).toBe(401)
    expect((await refresh(refresh_token)).status).toBe(200)
  })
})

test('a hash with lesser parameters is replaced at the next login', async () => {
  const { hashSync } = await import('@node-rs/argon2')
  const id = await somebody()
  const weak = hashSync(PASSWORD, { memoryCost: 8_192, timeCost: 1, parallelism: 1 })
  await sql`update passwords set hash = ${weak} where subject_id = ${id}`.execute(verdict.database.db)
  const { body } = await logIn(id)
  expect((await me(body.access_token)).status).toBe(200)
  const { rows } = await sql<{ hash: string }>`select hash from passwords where subject_id = ${id}`.execute(
    verdict.database.db,
  )
  expect(rows[0]?.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect((await logIn(id)).status).toBe(200)
})
