import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { freePort } from '../support/process.ts'
import { eventually, newKey } from '../support/service.ts'
import { verdict } from './run.ts'

// `npm test` has built it.
const MAIN = new URL('../../dist/main.js', import.meta.url).pathname

let database: FreshDatabase
let folder: string
let env: Record<string, string>

beforeAll(async () => {
  database = await freshDatabase()
  folder = await mkdtemp(join(tmpdir(), 'verdict-cli-'))
  env = {
    DATABASE_URL: database.url,
    VERDICT_DATA_DIR: join(folder, 'data'),
    VERDICT_PORT: '0',
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: newKey(),
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
    VERDICT_DRAIN_DELAY: '0',
  }
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await database.close()
})

test.each<readonly [string, () => Record<string, string>, RegExp]>([
  [
    'a database that does not answer',
    () => ({ DATABASE_URL: 'postgres://u:p@127.0.0.1:1/x' }),
    /could not connect to the database: connect ECONNREFUSED 127\.0\.0\.1:1$/m,
  ],
  [
    'a database on a host that is not there',
    () => ({ DATABASE_URL: 'postgres://u:p@nowhere.invalid/x' }),
    /could not connect to the database: getaddrinfo \w+ nowhere\.invalid$/m,
  ],
  [
    'a database that refuses the password',
    () => ({ DATABASE_URL: changed(database.url, { password: 'another' }) }),
    /could not connect to the database: password authentication failed for user "\w+"$/m,
  ],
  [
    'a database that the server does not have',
    () => ({ DATABASE_URL: changed(database.url, { pathname: '/nowhere' }) }),
    /could not connect to the database: database "nowhere" does not exist$/m,
  ],
  [
    'a database that does not encrypt',
    () => ({ DATABASE_URL: changed(database.url, { search: '?sslmode=verify-full' }) }),
    /could not connect to the database: The server does not support SSL connections$/m,
  ],
  [
    'a data directory that cannot be made',
    () => ({ VERDICT_DATA_DIR: '/dev/null/data' }),
    /\/dev\/null\/data can't be used/,
  ],
  // Where there is no /proc, it can't be made either.
  ['a data directory in /proc', () => ({ VERDICT_DATA_DIR: '/proc/nope' }), /\/proc\/nope can't be used \(E[A-Z]+\)/],
])('%s is told in one line, with status 1', async (_title, given, message) => {
  const { status, stdout, stderr } = await verdict(['serve'], { env: { ...env, LOG_LEVEL: 'silent', ...given() } })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(message)
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(stderr).not.toContain('another')
})

function changed(url: string, parts: { password?: string; pathname?: string; search?: string }): string {
  return Object.assign(new URL(url), parts).href
}

test('a port in use is told in one line, with status 1', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { status, stderr } = await verdict(['serve'], { env: { ...env, LOG_LEVEL: 'silent', VERDICT_PORT: `${port}` } })
  server.close()
  expect(status).toBe(1)
  expect(stderr).toBe(`verdict: can't listen on 127.0.0.1:${port}: the port is in use\n`)
})

interface Started {
  readonly process: ChildProcess
  readonly url: string
  readonly output: () => string
}

async function started(changed: Record<string, string> = {}): Promise<Started> {
  const port = await freePort()
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: { ...env, ...changed, VERDICT_PORT: `${port}`, PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const url = `http://127.0.0.1:${port}`
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => child.exitCode !== null,
    )
  await eventually(isReady, Boolean)
  return { process: child, url, output: () => output }
}

test('a preset that comes too late for the tenant is told of, once, and changes nothing', async () => {
  const said = 'the tenant default has a policy already: it stays, and the preset is not loaded'
  const run = async (preset: string) => {
    const { process: child, output } = await started({ VERDICT_PRESET: preset })
    child.kill('SIGTERM')
    await once(child, 'exit')
    return output()
      .split('\n')
      .filter((line) => line.includes(said))
      .map((line) => JSON.parse(line))
  }
  expect(await run('quickstart')).toEqual([])
  expect(await run('workflow')).toMatchObject([{ level: 'info', preset: 'workflow' }])
})

// Under `npm start`, one Ctrl-C arrives twice: from the terminal, and from npm.
test('a stop signal that comes twice changes nothing: it stops in good order, with status 0', async () => {
  const service = await started({ VERDICT_DRAIN_DELAY: '1' })
  const ended = once(service.process, 'exit')
  service.process.kill('SIGINT')
  await eventually(
    async () => service.output(),
    (output) => output.includes('"msg":"stopping"'),
  )
  service.process.kill('SIGINT')
  expect(await ended).toEqual([0, null])
  expect(service.output()).toContain('"msg":"stopped"')
  await expect(fetch(`${service.url}/livez`)).rejects.toThrow()
})

test('no secret is in what it prints where nobody looks', async () => {
  const service = await started()
  const answer = await fetch(`${service.url}/v1/audit`, {
    headers: { authorization: `Bearer ${env['VERDICT_ADMIN_KEY']}` },
  })
  expect(answer.status).toBe(200)
  const ended = once(service.process, 'exit')
  service.process.kill('SIGTERM')
  await ended
  for (const name of ['VERDICT_ROOT_KEY', 'VERDICT_ADMIN_KEY', 'VERDICT_MASTER_KEY', 'DATABASE_URL']) {
    expect(service.output()).not.toContain(env[name])
  }
})

test('openapi.yaml is what the routes say: npm run openapi', async () => {
  const { status, stdout } = await verdict(['openapi'])
  expect(status).toBe(0)
  expect(await readFile(new URL('../../openapi.yaml', import.meta.url), 'utf8')).toBe(stdout)
})
