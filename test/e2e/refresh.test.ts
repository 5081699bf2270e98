import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Running, startProcess, stopProcess } from '../support/process.ts'
import { askAt, eventually, newKey } from '../support/service.ts'

const PASSWORD = 'a horse, a battery and a staple'
const AT_ONCE = 20
const ROUNDS = 20

let database: FreshDatabase
const directories: string[] = []
const replicas: Running[] = []
const adminKey = newKey()

beforeAll(async () => {
  database = await freshDatabase()
  const shared = {
    DATABASE_URL: database.url,
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: adminKey,
    VERDICT_PUBLIC_URL: 'https://verdict.test',
    VERDICT_AUTHENTICATE_PER_MINUTE: '100000',
  }
  for (let n = 0; n < 2; n++) {
    const directory = await mkdtemp(join(tmpdir(), 'verdict-refresh-'))
    directories.push(directory)
    replicas.push(await startProcess({ ...shared, VERDICT_DATA_DIR: directory }))
  }
  const path = 'PUT /v1/credentials/user/ada/password'
  await askAt(urlOf(0), path, adminKey, { password: PASSWORD })
})

afterAll(async () => {
  await Promise.all(replicas.map(stopProcess))
  await Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true })))
  await database.close()
})

const urlOf = (n: number) => replicas[n % replicas.length]?.url ?? ''
const exchange = (n: number, body: object) => askAt(urlOf(n), 'POST /v1/authenticate', null, body)
const logIn = (n: number) => exchange(n, { method: 'password', tenant: 'default', username: 'ada', password: PASSWORD })
const me = (n: number, key: string) => askAt(urlOf(n), 'GET /v1/authenticate/me', key)

test('a refresh token that is shown many times at once, to two processes, is good for once, and its session ends', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { refresh_token } = (await logIn(round)).body
    const body = { method: 'refresh_token', refresh_token }
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => exchange(n, body)))
    const good = answers.filter(({ status }) => status === 200)
    expect(good.length).toBe(1)
    expect(answers.filter(({ status }) => status === 401).length).toBe(AT_ONCE - 1)
    expect((await exchange(0, { method: 'refresh_token', refresh_token: good[0]?.body.refresh_token })).status).toBe(
      401,
    )
  }
})

test('a session that is ended in one process is refused in another, within the time of a poll', async () => {
  const { access_token } = (await logIn(0)).body
  expect((await me(1, access_token)).status).toBe(200)
  expect((await askAt(urlOf(0), 'POST /v1/authenticate/revoke', access_token)).status).toBe(204)
  expect((await me(0, access_token)).status).toBe(401)
  await eventually(
    async () => (await me(1, access_token)).status,
    (status) => status === 401,
  )
})

test('failures are counted by all processes together', async () => {
  const wrong = { method: 'password', tenant: 'default', username: 'nobody', password: 'wrong' }
  const statuses = []
  for (let n = 0; n < 6; n++) statuses.push((await exchange(n, wrong)).status)
  expect(statuses).toEqual([401, 401, 401, 401, 401, 429])
})
