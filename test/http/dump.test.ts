import { createPrivateKey, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDeploymentKey } from '../../src/store/deployment-key.ts'
import { openSigningKeys } from '../../src/store/signing-keys.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

// What somebody can do who has a copy of the whole database, and nothing else.

let verdict: TestService
let dump: string
const secrets = new Map<string, Buffer>()

beforeAll(async () => {
  verdict = await startService()
  const { adminKey, rootKey, database, env } = verdict
  const subject = { type: 'service', id: 'gateway' }
  const made = await verdict.ask('POST /v1/api-keys', {
    headers: { 'idempotency-key': 'once' },
    body: { name: 'k', subject, roles: ['pdp:admin'] },
  })
  const rotated = await verdict.ask(`POST /v1/api-keys/${made.body.id}/rotate`, {
    headers: { 'idempotency-key': 'twice' },
    body: {},
  })
  const login = { method: 'api_key', api_key: made.body.key }
  const { body: session } = await verdict.ask('POST /v1/authenticate', { key: null, body: login })
  await verdict.ask('GET /v1/roles', { key: session.access_token })
  // In places where a caller should not put it.
  await verdict.ask(`GET /v1/roles/${made.body.key}`, {})
  await verdict.ask('GET /v1/roles', { key: null, headers: { authorization: `Bearer ${made.body.key}x` } })
  await eventually(
    () => verdict.ask('GET /v1/audit?type=authentication'),
    ({ body }) => body.items.length >= 2,
  )

  const secretOf = (key: string) => key.split('_').slice(2).join('_')
  for (const [name, key] of Object.entries({ rootKey, adminKey, made: made.body.key, rotated: rotated.body.key }))
    secrets.set(name, Buffer.from(secretOf(key)))
  secrets.set('access token', Buffer.from(session.access_token.split('.')[2] ?? ''))
  const master = Buffer.from(env['VERDICT_MASTER_KEY'] ?? '', 'base64')
  secrets.set('master key', master)
  const keys = { current: master, previous: undefined }
  const deployment = await openDeploymentKey(database.db, keys)
  secrets.set('deployment key', deployment)
  const signing = (await openSigningKeys(database.db, deployment)).current()
  secrets.set(
    'signing key',
    Buffer.from(createPrivateKey(signing.private_pem).export({ format: 'jwk' }).d ?? '', 'base64url'),
  )
  dump = await dumpOf(verdict)
})
afterAll(() => verdict.close())

/** Every row of every table, as text. */
async function dumpOf({ database: { db } }: TestService): Promise<string> {
  const { rows: tables } = await sql<{ name: string }>`
    select c.oid::regclass::text as name from pg_class c
    where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`.execute(db)
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const { rows } = await sql<{ all: string | null }>`
        select string_agg(t::text, E'\n') as all from ${sql.raw(name)} t`.execute(db)
      return `${name}\n${rows[0]?.all ?? ''}`
    }),
  )
  return texts.join('\n')
}

/** Bytes as the dump shows them, with the records of the audit read. */
function readable(text: string): string {
  const bytes = [...text.matchAll(/\\\\x([0-9a-f]{16,})|\\x([0-9a-f]{16,})/g)].map(
    ([, one, other]) => one ?? other ?? '',
  )
  return `${text}\n${bytes.map((hex) => Buffer.from(hex, 'hex').toString('latin1')).join('\n')}`
}

describe('a copy of the database', () => {
  test('holds what this test looks for in it', () => {
    expect(dump).toContain('api_keys')
    expect(readable(dump)).toContain('gateway')
    expect([...secrets.values()].every((secret) => secret.length >= 32)).toBe(true)
  })

  test.each(['rootKey', 'adminKey', 'made', 'rotated', 'access token', 'master key', 'deployment key', 'signing key'])(
    'does not hold %s, in any spelling',
    (name) => {
      const secret = secrets.get(name) ?? Buffer.alloc(0)
      const text = readable(dump)
      for (const encoding of ['latin1', 'base64', 'base64url', 'hex'] as const)
        expect(text.includes(secret.toString(encoding).replace(/=+$/, ''))).toBe(false)
    },
  )

  test('authenticates nobody: no hash in it is good as a secret', async () => {
    const { rows } = await sql<{ id: string; hash: Buffer }>`
      select id, secret_sha256 as hash from api_keys`.execute(verdict.database.db)
    expect(rows.length).toBeGreaterThan(3)
    for (const { id, hash } of rows) {
      for (const encoding of ['hex', 'base64url'] as const) {
        const { status } = await verdict.ask('GET /v1/authenticate/me', { key: `vdt_${id}_${hash.toString(encoding)}` })
        expect(status).toBe(401)
      }
    }
  })

  test('opens nothing: a service over it that has another master key does not start', async () => {
    const VERDICT_MASTER_KEY = randomBytes(32).toString('base64')
    await expect(startService({ database: verdict.database, env: { VERDICT_MASTER_KEY } })).rejects.toMatchObject({
      code: 'unsafe_configuration',
    })
  })
})
