import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { serve } from '../../src/serve.ts'
import { assertContract } from './contract.ts'
import { type FreshDatabase, freshDatabase } from './database.ts'

export interface Reply {
  readonly status: number
  readonly headers: Headers
  // What an answer holds is each test's to say; that it has its route's shape is checked for all of them.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly body: any
}

export interface Ask {
  readonly key?: string | null
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** A running Verdict, and how a test talks to it: `ask('PUT /v1/roles/editor', { body })`, as the admin unless said. */
export interface TestService {
  readonly url: string
  readonly rootKey: string
  readonly adminKey: string
  readonly database: FreshDatabase
  readonly dataDir: string
  readonly env: Readonly<Record<string, string>>
  ask(route: string, ask?: Ask): Promise<Reply>
  /** An API key with these built-in roles. */
  keyWith(roles: readonly string[]): Promise<string>
  close(): Promise<void>
}

export function newKey(): string {
  return `vdt_t${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`
}

/** In this process, on a free port, over a database of its own or one that is given. */
export async function startService(
  given: { database?: FreshDatabase; env?: Readonly<Record<string, string>> } = {},
): Promise<TestService> {
  const database = given.database ?? (await freshDatabase())
  const dataDir = await mkdtemp(join(tmpdir(), 'verdict-service-'))
  const rootKey = given.env?.['VERDICT_ROOT_KEY'] ?? newKey()
  const adminKey = given.env?.['VERDICT_ADMIN_KEY'] ?? newKey()
  const env = {
    DATABASE_URL: database.url,
    VERDICT_DATA_DIR: dataDir,
    VERDICT_PORT: '0',
    VERDICT_PUBLIC_URL: 'https://verdict.test',
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
    VERDICT_ROOT_KEY: rootKey,
    VERDICT_ADMIN_KEY: adminKey,
    VERDICT_DRAIN_DELAY: '0',
    LOG_LEVEL: 'fatal',
    // Tests come from one address, and in a hurry.
    VERDICT_ADMIN_PER_MINUTE: '1000000',
    VERDICT_AUTHENTICATE_PER_MINUTE: '1000000',
    ...given.env,
  }
  const service = await serve(readConfig(env), { stdout: { write: () => true } })
  const ask = (route: string, { key = adminKey, body, headers = {} }: Ask = {}) =>
    askAt(service.url, route, key, body, headers)
  return {
    url: service.url,
    rootKey,
    adminKey,
    database,
    dataDir,
    env,
    ask,
    async keyWith(roles) {
      const subject = { type: 'service', id: `key-${randomBytes(4).toString('hex')}` }
      const { body } = await ask('POST /v1/api-keys', { body: { name: 'test', subject, roles } })
      return body.key
    },
    async close() {
      await service.close()
      await rm(dataDir, { recursive: true, force: true })
      if (given.database === undefined) await database.close()
    },
  }
}

/** Asks a server that is already there. */
export async function askAt(
  url: string,
  route: string,
  key: string | null,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const [method = 'GET', path = '/'] = route.split(' ')
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(key !== null && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '')
  const answer = { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  assertContract(method, path, answer)
  return answer
}

/**
 * Asks again until the answer satisfies: for what becomes true by itself, like a shipped record. `ms` is for what never
 * does; how soon it is to be so, `timed` says.
 */
export async function eventually<T>(get: () => Promise<T>, satisfies: (value: T) => boolean, ms = 60_000): Promise<T> {
  const until = Date.now() + ms
  for (;;) {
    const value = await get()
    if (satisfies(value)) return value
    if (Date.now() > until) throw new Error(`still not so after ${ms} ms: ${JSON.stringify(value).slice(0, 2000)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
