import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { secretHash } from '../../src/authn/api-key.ts'
import { at } from '../support/clock.ts'
import { newKey, startService, type TestService } from '../support/service.ts'
import { attacks } from './attack.ts'

// API keys, passwords, second factors, refresh tokens.

const PASSWORD = 'a horse, a battery and a staple'

let verdict: TestService
beforeAll(async () => {
  verdict = await startService()
})
afterAll(() => verdict.close())
beforeEach(() => sql`delete from login_throttles`.execute(verdict.database.db))

const me = (key: string) => verdict.ask('GET /v1/authenticate/me', { key })
const authenticate = (body: unknown) => verdict.ask('POST /v1/authenticate', { key: null, body })
const [idOf, secretOf] = [(key: string) => key.split('_')[1] ?? '', (key: string) => key.split('_').slice(2).join('_')]

async function made(more: object = {}) {
  const body = { name: 'k', subject: { type: 'service', id: randomUUID() }, roles: ['pdp:decider'], ...more }
  return verdict.ask('POST /v1/api-keys', { body })
}
const key = async (): Promise<string> => (await made()).body.key

/** A key as it would be guessed, made of one that is good. */
const like = async (change: (id: string, secret: string) => string) => {
  const good = await key()
  return me(change(idOf(good), secretOf(good)))
}
const asHeader = (authorization: string) =>
  verdict.ask('GET /v1/authenticate/me', { key: null, headers: { authorization } })

attacks('keys', [
  ['one that was made up', '401', () => me(newKey())],
  ['a known id with another secret', '401', () => like((id) => `vdt_${id}_${secretOf(newKey())}`)],
  [
    'a known id with the secret of another key',
    '401',
    async () => me(`vdt_${idOf(await key())}_${secretOf(verdict.adminKey)}`),
  ],
  ['the first half of a secret', '401', () => like((id, secret) => `vdt_${id}_${secret.slice(0, 32)}`)],
  ['a secret with one character more', '401', () => like((id, secret) => `vdt_${id}_${secret}A`)],
  ['a secret in the other case', '401', () => like((id, secret) => `vdt_${id}_${secret.toUpperCase()}`)],
  [
    'the hash of the secret, as it is stored',
    '401',
    () => like((id, secret) => `vdt_${id}_${secretHash(secret).toString('base64url')}`),
  ],
  ['the same in hex', '401', () => like((id, secret) => `vdt_${id}_${secretHash(secret).toString('hex')}`)],
  ['no secret', '401', () => like((id) => `vdt_${id}_`)],
  ['an id in capitals', '401', () => like((id, secret) => `vdt_${id.toUpperCase()}_${secret}`)],
  ['an id that is SQL', '401', () => like((_, secret) => `vdt_'or'1'='1_${secret}`)],
  ['a secret of 10,000 characters', '401', () => like((id, secret) => `vdt_${id}_${secret.repeat(200)}`)],
  ['by Basic', '401', async () => asHeader(`Basic ${Buffer.from(`${await key()}:`).toString('base64')}`)],
  ['without a scheme', '401', async () => asHeader(await key())],
  ['with a tab for the space', '401', async () => asHeader(`Bearer\t${await key()}`)],
  [
    'in a header of another name',
    '401',
    async () => verdict.ask('GET /v1/authenticate/me', { key: null, headers: { 'x-api-key': await key() } }),
  ],
  ['in the query', '401', async () => verdict.ask(`GET /v1/authenticate/me?api_key=${await key()}`, { key: null })],
  [
    'one that was deleted',
    '401',
    async () => {
      const { id, key: text } = (await made()).body
      await me(text)
      await verdict.ask(`DELETE /v1/api-keys/${id}`)
      return me(text)
    },
  ],
  [
    'one that was replaced without an overlap',
    '401',
    async () => {
      const { id, key: text } = (await made()).body
      await verdict.ask(`POST /v1/api-keys/${id}/rotate`, { body: { overlap_s: 0 } })
      return me(text)
    },
  ],
  [
    'one whose subject was deleted',
    '401',
    async () => {
      const subject = { type: 'user', id: randomUUID() }
      await verdict.ask(`PUT /v1/entities/user/${subject.id}`, { body: {} })
      const { body } = await made({ subject })
      await verdict.ask(`DELETE /v1/entities/user/${subject.id}`)
      return me(body.key)
    },
  ],
  ['asked for with a role that is not Verdict’s', '422 /roles/0', () => made({ roles: ['editor'] })],
  ['asked for with the operator’s role', '422 /roles/0', () => made({ roles: ['pdp:operator'] })],
  ['asked for with what an acting operator holds', '422 /roles/0', () => made({ roles: ['pdp:acting_operator'] })],
  ['asked for with no roles at all', '400 /roles', () => made({ roles: [] })],
  [
    'asked for as one of Verdict’s own types',
    '422 /subject/type',
    () => made({ subject: { type: 'pdp:caller', id: 'x' } }),
  ],
  ['asked for with an end in the past', '422 /expires_at', () => made({ expires_at: '2001-01-01T00:00:00Z' })],
  ['asked for with an id of one’s own', '400 /id', () => made({ id: 'chosen0000' })],
  ['asked for with a secret of one’s own', '400 /key', () => made({ key: newKey() })],
  [
    'the secret of an answer that is given again',
    '201',
    async () => {
      const ask = {
        body: { name: 'k', subject: { type: 'service', id: 'twice' } },
        headers: { 'idempotency-key': randomUUID() },
      }
      await verdict.ask('POST /v1/api-keys', ask)
      const again = await verdict.ask('POST /v1/api-keys', ask)
      return 'key' in again.body ? 'the secret' : again
    },
  ],
  [
    'secrets in the list of keys',
    '200',
    async () => {
      const secret = secretOf(await key())
      const list = await verdict.ask('GET /v1/api-keys?limit=1000')
      return JSON.stringify(list.body).includes(secret) ? 'the secret' : list
    },
  ],
])

let people = 0
async function somebody(): Promise<string> {
  const id = `p${++people}-${randomUUID().slice(0, 8)}`
  await set(id, PASSWORD)
  return id
}
const set = (id: string, password: unknown, more: object = {}, by = verdict.adminKey) =>
  verdict.ask(`PUT /v1/credentials/user/${encodeURIComponent(id)}/password`, { key: by, body: { password, ...more } })
const logIn = (username: unknown, password: unknown = PASSWORD, more: object = {}) =>
  authenticate({ method: 'password', tenant: 'default', username, password, ...more })

attacks('passwords: set', [
  ['of eleven characters', '422 /password', () => set('x', 'elf chars??')],
  ['of eleven that take 22 units', '422 /password', () => set('x', '🐎🔋📎🌲🌧🎻🥁🎺🎷🪕🎸')],
  ['of twelve that are six when composed', '422 /password', () => set('x', 'éáíóúý'.normalize('NFD'))],
  ['of 1,001 characters', '422 /password', () => set('x', `${'ab cd '.repeat(166)}xyz!!`)],
  ['of 5,000 characters', '400 /password', () => set('x', 'ab cd '.repeat(850))],
  ['a common one', '422 /password', () => set('x', 'unbelievable')],
  ['a common one in full width', '422 /password', () => set('x', 'ｕｎｂｅｌｉｅｖａｂｌｅ')],
  ['a common one with signs around', '422 /password', () => set('x', '!!unbelievable!!')],
  ['the name of its owner', '422 /password', () => set('margaret-hamilton', 'Margaret-Hamilton1')],
  ['with NUL in it', '400', () => set('x', 'long enough\u0000 but cut off by others')],
  ['with half a surrogate', '400', () => set('x', 'long enough \ud800 and ill-formed')],
  ['that is a list', '400 /password', () => set('x', [PASSWORD])],
  ['that is a number', '400 /password', () => set('x', 123456789012)],
  [
    'for a name that another has, in full width',
    '409 /username',
    async () => {
      await set('ada', PASSWORD)
      return set('x', PASSWORD, { username: 'ＡＤＡ' })
    },
  ],
  [
    'for a name that another has, in another form',
    '409 /username',
    async () => {
      await set('josé'.normalize('NFC'), PASSWORD)
      return set('x', PASSWORD, { username: 'josé'.normalize('NFD') })
    },
  ],
  ['by a policy admin', '403', async () => set('x', PASSWORD, {}, await verdict.keyWith(['pdp:policy_admin']))],
  [
    'by a key of its owner',
    '403',
    async () => {
      const id = await somebody()
      const { body } = await made({ subject: { type: 'user', id }, roles: undefined })
      return set(id, PASSWORD, { current_password: PASSWORD }, body.key)
    },
  ],
  [
    'by its owner without the present one',
    '422 /current_password',
    async () => {
      const id = await somebody()
      return set(id, 'nine green bottles on a wall', {}, (await logIn(id)).body.access_token)
    },
  ],
  [
    'by its owner with another name',
    '422 /username',
    async () => {
      const id = await somebody()
      const by = (await logIn(id)).body.access_token
      return set(id, 'nine green bottles on a wall', { username: 'root', current_password: PASSWORD }, by)
    },
  ],
  [
    'of somebody else by who is logged in',
    '403',
    async () => {
      const by = (await logIn(await somebody())).body.access_token
      return set('ada', PASSWORD, { current_password: PASSWORD }, by)
    },
  ],
  [
    'of Verdict’s own',
    '422 /type',
    () => verdict.ask('PUT /v1/credentials/pdp:process/x/password', { body: { password: PASSWORD } }),
  ],
])

const LONG = `${'long words and more '.repeat(49)}to the end of it`
attacks('passwords: log in', [
  [
    'the first 72 bytes of a long one',
    '401',
    async () => {
      await set('long', LONG)
      return logIn('long', LONG.slice(0, 72))
    },
  ],
  [
    'a long one with another last character',
    '401',
    async () => {
      await set('long', LONG)
      return logIn('long', `${LONG.slice(0, -1)}!`)
    },
  ],
  [
    'a long one and more',
    '401',
    async () => {
      await set('long', LONG)
      return logIn('long', `${LONG} `)
    },
  ],
  ['in another case', '401', async () => logIn(await somebody(), PASSWORD.toUpperCase())],
  ['with a blank around', '401', async () => logIn(await somebody(), ` ${PASSWORD}`)],
  ['with NUL and something after it', '400', async () => logIn(await somebody(), `${PASSWORD}\u0000x`)],
  [
    'the hash',
    '401',
    async () => {
      const id = await somebody()
      const { rows } = await sql<{ hash: string }>`select hash from passwords where subject_id = ${id}`.execute(
        verdict.database.db,
      )
      return logIn(id, rows[0]?.hash)
    },
  ],
  ['nothing', '400 /password', async () => logIn(await somebody(), '')],
  ['a list with the right one', '400 /password', async () => logIn(await somebody(), [PASSWORD])],
  ['true', '400 /password', async () => logIn(await somebody(), true)],
  ['an object that asks for any', '400 /password', async () => logIn(await somebody(), { $ne: '' })],
  ['a name that is an object', '400 /username', () => logIn({ $gt: '' })],
  ['a name that is SQL', '401', () => logIn("' or 1=1 --")],
  ['a name with a wildcard', '401', () => logIn('%')],
  ['a name with a blank behind', '401', async () => logIn(`${await somebody()} `)],
  [
    'a name that looks the same',
    '401',
    async () => {
      await set('ada-look', PASSWORD)
      return logIn('аda-look')
    },
  ],
  [
    'in another tenant',
    '401',
    async () => authenticate({ method: 'password', tenant: 'system', username: await somebody(), password: PASSWORD }),
  ],
  [
    'in a tenant that is not there',
    '401',
    async () => authenticate({ method: 'password', tenant: 'nobody', username: await somebody(), password: PASSWORD }),
  ],
  ['an API key for a password', '401', async () => logIn(await somebody(), verdict.adminKey)],
  [
    'a member that turns the second factor off',
    '400 /otp_verified',
    async () => logIn(await somebody(), PASSWORD, { otp_verified: true }),
  ],
  [
    'of who is disabled',
    '401',
    async () => {
      const id = await somebody()
      await verdict.ask(`PUT /v1/entities/user/${id}`, { body: { disabled: true } })
      return logIn(id)
    },
  ],
  [
    'the right one, after five wrong ones',
    '429',
    async () => {
      const id = await somebody()
      for (let n = 0; n < 5; n++) await logIn(id, `wrong password ${n}`)
      return logIn(id)
    },
  ],
])

const codeAt = (secret: string, ms = Date.now()) =>
  new TOTP({ secret: Secret.fromBase32(secret), period: 30 }).generate({ timestamp: ms })
async function withSecondFactor() {
  const id = await somebody()
  const path = `PUT /v1/credentials/user/${id}/totp`
  const { secret } = (await verdict.ask(path)).body
  const { body } = await at(Date.now(), () =>
    verdict.ask(path, { body: { code: codeAt(secret, Date.now() - 30_000) } }),
  )
  return { id, secret, recovery: body.recovery_codes as string[] }
}
const withOtp = (otp: (of: Awaited<ReturnType<typeof withSecondFactor>>) => unknown) => async () => {
  const of = await withSecondFactor()
  return logIn(of.id, PASSWORD, { otp: otp(of) })
}
attacks('second factors', [
  ['a right code, so that the others mean something', '200', withOtp(({ secret }) => codeAt(secret))],
  ['none', '401', async () => logIn((await withSecondFactor()).id)],
  ['nothing', '400 /otp', withOtp(() => '')],
  ['null', '400 /otp', withOtp(() => null)],
  ['true', '400 /otp', withOtp(() => true)],
  ['a list of codes', '400 /otp', withOtp(({ secret }) => [codeAt(secret)])],
  ['many codes in one text', '401', withOtp(({ secret }) => `000000 ${codeAt(secret)}`)],
  ['a code of five minutes ago', '401', withOtp(({ secret }) => codeAt(secret, Date.now() - 300_000))],
  ['a code of in five minutes', '401', withOtp(({ secret }) => codeAt(secret, Date.now() + 300_000))],
  ['the code that confirmed it', '401', withOtp(({ secret }) => codeAt(secret, Date.now() - 30_000))],
  ['the secret', '401', withOtp(({ secret }) => secret)],
  [
    'a code twice',
    '401',
    async () => {
      const { id, secret } = await withSecondFactor()
      const otp = codeAt(secret)
      const first = await logIn(id, PASSWORD, { otp })
      return first.status === 200 ? logIn(id, PASSWORD, { otp }) : first
    },
  ],
  [
    'a recovery code twice',
    '401',
    async () => {
      const { id, recovery } = await withSecondFactor()
      const first = await logIn(id, PASSWORD, { otp: recovery[0] })
      return first.status === 200 ? logIn(id, PASSWORD, { otp: recovery[0] }) : first
    },
  ],
  [
    'the recovery code of somebody else',
    '401',
    async () => {
      const [one, other] = [await withSecondFactor(), await withSecondFactor()]
      return logIn(one.id, PASSWORD, { otp: other.recovery[0] })
    },
  ],
  [
    'removed by a stolen session',
    '422 /current_password',
    async () => {
      const { id, secret } = await withSecondFactor()
      const by = (await logIn(id, PASSWORD, { otp: codeAt(secret) })).body.access_token
      return verdict.ask(`DELETE /v1/credentials/user/${id}/totp`, { key: by, body: {} })
    },
  ],
  [
    'replaced by a stolen session',
    '422 /current_password',
    async () => {
      const { id, secret } = await withSecondFactor()
      const by = (await logIn(id, PASSWORD, { otp: codeAt(secret) })).body.access_token
      return verdict.ask(`PUT /v1/credentials/user/${id}/totp`, { key: by, body: {} })
    },
  ],
  ['of who has no password', '409', () => verdict.ask('PUT /v1/credentials/user/nobody-at-all/totp')],
])

const refresh = (refresh_token: unknown) => authenticate({ method: 'refresh_token', refresh_token })
const opened = async () => (await logIn(await somebody())).body
attacks('refresh tokens', [
  ['one, so that the others mean something', '200', async () => refresh((await opened()).refresh_token)],
  [
    'one twice',
    '401',
    async () => {
      const { refresh_token } = await opened()
      await refresh(refresh_token)
      return refresh(refresh_token)
    },
  ],
  [
    'the successor of one that was shown twice',
    '401',
    async () => {
      const { refresh_token } = await opened()
      const next = (await refresh(refresh_token)).body.refresh_token
      await refresh(refresh_token)
      return refresh(next)
    },
  ],
  [
    'the access token of a family of which one was shown twice',
    '401',
    async () => {
      const { refresh_token } = await opened()
      const { access_token } = (await refresh(refresh_token)).body
      await refresh(refresh_token)
      return me(access_token)
    },
  ],
  [
    'one twenty times at once: one success',
    '200',
    async () => {
      const { refresh_token } = await opened()
      const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refresh_token)))
      const good = answers.filter(({ status }) => status === 200)
      return good.length === 1 ? '200' : `${good.length} successes`
    },
  ],
  [
    'in the name of another tenant',
    '401',
    async () => refresh((await opened()).refresh_token.replace('default', 'system')),
  ],
  ['in the name of no tenant', '401', async () => refresh((await opened()).refresh_token.replace('default', 'nobody'))],
  ['cut short', '401', async () => refresh((await opened()).refresh_token.slice(0, -1))],
  ['with something behind', '401', async () => refresh(`${(await opened()).refresh_token}A`)],
  ['in another case', '401', async () => refresh((await opened()).refresh_token.toUpperCase())],
  ['of 10,000 characters', '400 /refresh_token', async () => refresh('x'.repeat(10_000))],
  ['that is a list', '400 /refresh_token', async () => refresh([(await opened()).refresh_token])],
  ['as an access token', '401', async () => me((await opened()).refresh_token)],
  [
    'of a session that was ended',
    '401',
    async () => {
      const { access_token, refresh_token } = await opened()
      await verdict.ask('POST /v1/authenticate/revoke', { key: access_token, body: {} })
      return refresh(refresh_token)
    },
  ],
  [
    'of who is disabled',
    '401',
    async () => {
      const { subject, refresh_token } = await opened()
      await verdict.ask(`PUT /v1/entities/user/${subject.id}`, { body: { disabled: true } })
      return refresh(refresh_token)
    },
  ],
  [
    'of who was deleted, and is there again',
    '401',
    async () => {
      const { subject, refresh_token } = await opened()
      for (const method of ['PUT', 'DELETE', 'PUT'])
        await verdict.ask(`${method} /v1/entities/user/${subject.id}`, method === 'PUT' ? { body: {} } : {})
      return refresh(refresh_token)
    },
  ],
])
