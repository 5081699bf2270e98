import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig, readMasterKeys, readMigrateConfig, readShipConfig, VARIABLES } from '../src/config.ts'
import { Failure } from '../src/failure.ts'

const KEY = 'vdt_root_0123456789abcdef0123456789abcdef'
const ADMIN = 'vdt_admin_fedcba9876543210fedcba9876543210'
const MASTER = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7)).toString('base64')
const URL = 'postgres://verdict:Zm9v@db:5432/verdict'
const POSTGRES = { DATABASE_URL: URL, VERDICT_ROOT_KEY: KEY, VERDICT_MASTER_KEY: MASTER }

function complaints(env: NodeJS.ProcessEnv, read: (env: NodeJS.ProcessEnv) => unknown = readConfig): string[] {
  try {
    read(env)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    expect(error.code).toBe('unsafe_configuration')
    return error.problems.map((problem) => problem.detail)
  }
  return []
}

function file(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'verdict-config-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'secret'), text)
  return join(directory, 'secret')
}

test('an empty environment is the embedded database with every default', () => {
  expect(readConfig({})).toEqual({
    databaseUrl: undefined,
    migrateDatabaseUrl: undefined,
    listenDatabaseUrl: undefined,
    poolSize: 10,
    dataDir: './data',
    host: '127.0.0.1',
    port: 8080,
    publicUrl: 'http://127.0.0.1:8080',
    rootKey: undefined,
    adminKey: undefined,
    masterKey: undefined,
    previousMasterKey: undefined,
    preset: 'quickstart',
    journalFsync: 'batch',
    journalMaxBytes: 1024 ** 3,
    maxStalenessMs: 300_000,
    entityCache: 200_000,
    workers: 1,
    drainDelayMs: 3_000,
    edge: {
      trustedProxies: [],
      corsOrigins: [],
      tls: undefined,
      administrationPerMinute: 6000,
      authenticationPerMinute: 60,
    },
    outgoingAllow: [],
    outgoingHttp: 'off',
    logLevel: 'info',
  })
})

test('a variable that is empty counts as absent', () => {
  expect(readConfig(Object.fromEntries(VARIABLES.map(({ name }) => [name, ''])))).toEqual(readConfig({}))
})

test('what was read can not be changed', () => {
  expect(Object.isFrozen(readConfig({}))).toBe(true)
})

test('every complaint is made at once', () => {
  const env = { ...POSTGRES, VERDICT_ROOT_KEY: 'short', VERDICT_PORT: '70000', LOG_LEVEL: 'loud', VERDICT_PROT: '1' }
  expect(complaints(env)).toEqual([
    'VERDICT_PROT is no variable of Verdict: see verdict serve --help',
    'VERDICT_PORT is no whole number from 0 to 65535',
    expect.stringContaining('VERDICT_ROOT_KEY does not have the form of an API key'),
    expect.stringContaining('LOG_LEVEL is none of'),
  ])
})

test('no complaint repeats the secret that it is about', () => {
  const env = {
    DATABASE_URL: 'mysql://u:TOPSECRET@h/d',
    VERDICT_ROOT_KEY: 'TOPSECRET',
    VERDICT_MASTER_KEY: 'TOPSECRET',
  }
  const made = complaints(env)
  expect(made).toHaveLength(3)
  expect(made.join()).not.toContain('TOPSECRET')
})

describe('refused is', () => {
  test.each([
    [{ ...POSTGRES, DATABASE_URL: 'postgres://u:Zm9v@h/d?sslmode=on' }, 'DATABASE_URL has an sslmode that is none of'],
    [{ VERDICT_PORT: '80.5' }, 'VERDICT_PORT'],
    [{ VERDICT_PORT: '0x50' }, 'VERDICT_PORT'],
    [{ VERDICT_PORT: ' 80' }, 'VERDICT_PORT'],
    [{ VERDICT_WORKERS: '0' }, 'VERDICT_WORKERS'],
    [{ VERDICT_WORKERS: '65' }, 'VERDICT_WORKERS'],
    [{ VERDICT_POOL_SIZE: '1' }, 'VERDICT_POOL_SIZE'],
    [{ VERDICT_DRAIN_DELAY: '9' }, 'VERDICT_DRAIN_DELAY'],
    [{ VERDICT_DRAIN_DELAY: '-1' }, 'VERDICT_DRAIN_DELAY'],
    [{ VERDICT_MAX_STALENESS: 'Infinity' }, 'VERDICT_MAX_STALENESS'],
    [{ VERDICT_ENTITY_CACHE: '0' }, 'VERDICT_ENTITY_CACHE'],
    [{ VERDICT_JOURNAL_FSYNC: 'on' }, 'VERDICT_JOURNAL_FSYNC'],
    [{ VERDICT_JOURNAL_MAX_BYTES: '1000' }, 'VERDICT_JOURNAL_MAX_BYTES'],
    [{ VERDICT_PUBLIC_URL: 'verdict.example.com' }, 'VERDICT_PUBLIC_URL'],
    [{ VERDICT_PUBLIC_URL: 'https://verdict.internal/?a=1' }, 'VERDICT_PUBLIC_URL'],
    [{ VERDICT_PRESET: '../../etc/passwd' }, 'VERDICT_PRESET'],
    [
      { VERDICT_PRESET: 'nowhere' },
      'VERDICT_PRESET is none of os-operations, plugin-platform, plugin-web, quickstart, task-runtime, workflow, none',
    ],
    [{ VERDICT_OUTGOING_ALLOW: '10.0.0.0/8,10.0.0.1' }, 'VERDICT_OUTGOING_ALLOW holds what is no network'],
    [{ VERDICT_OUTGOING_ALLOW: 'any' }, 'VERDICT_OUTGOING_ALLOW'],
    [{ VERDICT_OUTGOING_HTTP: 'on' }, 'VERDICT_OUTGOING_HTTP'],
    [{ VERDICT_MASTER_KEY: MASTER.slice(0, 40) }, 'VERDICT_MASTER_KEY'],
    [{ VERDICT_MASTER_KEY: `${MASTER.slice(0, 20)} ${MASTER.slice(20)}` }, 'VERDICT_MASTER_KEY'],
    [{ VERDICT_MASTER_KEY: Buffer.alloc(32).toString('base64') }, 'VERDICT_MASTER_KEY is a sample'],
    [
      { VERDICT_MASTER_KEY: Buffer.from('change-me-change-me-change-me-32').toString('base64') },
      'VERDICT_MASTER_KEY is a sample',
    ],
    [{ VERDICT_ROOT_KEY: `vdt_root_${'a'.repeat(40)}` }, 'VERDICT_ROOT_KEY is a sample'],
    [{ VERDICT_ADMIN_KEY: 'vdt_admin_example-example-0123456789abcdef' }, 'VERDICT_ADMIN_KEY is a sample'],
    [{ VERDICT_ROOT_KEY: KEY, VERDICT_ADMIN_KEY: `vdt_root_${ADMIN.slice(10)}` }, 'VERDICT_ADMIN_KEY has the id'],
    [{ VERDICT_ROOT_KEY: KEY, VERDICT_ADMIN_KEY: `vdt_admin_${KEY.slice(9)}` }, 'VERDICT_ADMIN_KEY has the secret'],
    [{ VERDICT_LISTEN_DATABASE_URL: URL }, 'VERDICT_LISTEN_DATABASE_URL needs DATABASE_URL'],
    [{ VERDICT_MIGRATE_DATABASE_URL: URL }, 'VERDICT_MIGRATE_DATABASE_URL needs DATABASE_URL'],
    [{ ...POSTGRES, DATABASE_URL: 'http://db/verdict' }, 'DATABASE_URL is no URL'],
    [{ ...POSTGRES, DATABASE_URL: 'postgres://verdict:change-me@db/verdict' }, 'DATABASE_URL holds a sample password'],
    [{ ...POSTGRES, DATABASE_URL: 'postgres://verdict:50%@db/verdict' }, 'DATABASE_URL is no URL'],
    [{ ...POSTGRES, VERDICT_ROOT_KEY: undefined }, 'VERDICT_ROOT_KEY is required with DATABASE_URL'],
    [{ ...POSTGRES, VERDICT_MASTER_KEY: undefined }, 'VERDICT_MASTER_KEY is required with DATABASE_URL'],
    [
      { VERDICT_ROOT_KEY_FILE: '/nonexistent/secret' },
      "VERDICT_ROOT_KEY_FILE names a file that can't be read (ENOENT)",
    ],
    [{ VERDICT_PORT_FILE: '/nonexistent/secret' }, 'VERDICT_PORT_FILE is no variable'],
  ])('%j', (env: NodeJS.ProcessEnv, complaint) => {
    expect(complaints(env)).toEqual([expect.stringContaining(complaint)])
  })
})

test('a secret can stand in a file, with or without a line end', () => {
  const config = readConfig({
    DATABASE_URL_FILE: file(`${URL}\n`),
    VERDICT_ROOT_KEY_FILE: file(`${KEY}\n`),
    VERDICT_MASTER_KEY_FILE: file(MASTER),
  })
  expect(config).toMatchObject({ databaseUrl: URL, rootKey: KEY, masterKey: Buffer.from(MASTER, 'base64') })
})

test('a secret that is given twice is refused, and so is an empty file', () => {
  expect(complaints({ VERDICT_ROOT_KEY: KEY, VERDICT_ROOT_KEY_FILE: file(KEY) })).toEqual([
    'VERDICT_ROOT_KEY_FILE is set, and so is VERDICT_ROOT_KEY: one of the two',
  ])
  expect(complaints({ VERDICT_ROOT_KEY_FILE: file('\n') })).toEqual(['VERDICT_ROOT_KEY_FILE names an empty file'])
})

test('what Kubernetes says of a service called verdict is no configuration', () => {
  const env = {
    VERDICT_SERVICE_HOST: '10.0.0.1',
    VERDICT_SERVICE_PORT: '8080',
    VERDICT_SERVICE_PORT_HTTP: '8080',
    VERDICT_PORT: 'tcp://10.0.0.1:8080',
    VERDICT_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
    VERDICT_PORT_8080_TCP_ADDR: '10.0.0.1',
  }
  expect(readConfig(env)).toEqual(readConfig({}))
})

test('the public URL follows host and port where it is not given', () => {
  expect(readConfig({ VERDICT_HOST: '0.0.0.0' }).publicUrl).toBe('http://localhost:8080')
  expect(readConfig({ VERDICT_HOST: '::1', VERDICT_PORT: '81' }).publicUrl).toBe('http://[::1]:81')
  expect(readConfig({ VERDICT_PUBLIC_URL: 'https://pdp.internal/verdict/' }).publicUrl).toBe(
    'https://pdp.internal/verdict',
  )
})

test('no preset is loaded into a Postgres that somebody gave, unless it is asked for', () => {
  expect(readConfig(POSTGRES).preset).toBeUndefined()
  expect(readConfig({ ...POSTGRES, VERDICT_PRESET: 'quickstart' }).preset).toBe('quickstart')
  expect(readConfig({ VERDICT_PRESET: 'none' }).preset).toBeUndefined()
})

test('migrating needs the database and no keys', () => {
  expect(readMigrateConfig({ DATABASE_URL: URL, VERDICT_MIGRATE_DATABASE_URL: URL })).toEqual({
    databaseUrl: URL,
    migrateDatabaseUrl: URL,
    logLevel: 'info',
  })
  expect(complaints({}, readMigrateConfig)).toEqual([expect.stringContaining('DATABASE_URL is required')])
})

test('every secret can come from a file', () => {
  const secrets = VARIABLES.filter((variable) => 'secret' in variable).map(({ name }) => name)
  expect(secrets).toEqual(expect.arrayContaining(['DATABASE_URL', 'VERDICT_MASTER_KEY', 'VERDICT_MASTER_KEY_PREVIOUS']))
  const OTHER = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 5 + 1)).toString('base64')
  const values: Record<string, string> = {
    VERDICT_ROOT_KEY: KEY,
    VERDICT_ADMIN_KEY: ADMIN,
    VERDICT_MASTER_KEY: MASTER,
    VERDICT_MASTER_KEY_PREVIOUS: OTHER,
  }
  const direct = Object.fromEntries(secrets.map((name) => [name, values[name] ?? URL]))
  const files = Object.fromEntries(secrets.map((name) => [`${name}_FILE`, file(`${values[name] ?? URL}\n`)]))
  expect(readConfig(files)).toEqual(readConfig(direct))
})

test('what stands before the service is written out, or refused', () => {
  const edge = (env: NodeJS.ProcessEnv) => complaints(env).map((detail) => detail.split(' ')[0])
  expect(readConfig({ VERDICT_TRUSTED_PROXIES: '10.0.0.7, fd12::/16' }).edge.trustedProxies).toEqual([
    '10.0.0.7',
    'fd12::/16',
  ])
  for (const wrong of ['*', 'true', 'loopback', '0.0.0.0/0', '::/0', 'proxy.internal', '10.0.0.0/33', '10.0.0.0/8/8'])
    expect(edge({ VERDICT_TRUSTED_PROXIES: wrong })).toEqual(['VERDICT_TRUSTED_PROXIES'])
  for (const wrong of ['*', 'null', 'admin.example.com', 'https://admin.example.com/', 'https://*.example.com/x'])
    expect(edge({ VERDICT_CORS_ORIGINS: wrong })).toEqual(['VERDICT_CORS_ORIGINS'])
  expect(edge({ VERDICT_TLS_CERT: file('x') })).toEqual(['VERDICT_TLS_KEY'])
  expect(edge({ VERDICT_TLS_CERT: file('x'), VERDICT_TLS_KEY: file('y') })).toEqual(['VERDICT_TLS_CERT'])
  expect(edge({ VERDICT_ADMIN_PER_MINUTE: '0' })).toEqual(['VERDICT_ADMIN_PER_MINUTE'])
})

test('what ships a journal says all that it needs, and where else records are shipped', () => {
  expect(readShipConfig({ DATABASE_URL: URL, VERDICT_MASTER_KEY: MASTER }).databaseUrl).toBe(URL)
  expect(complaints({}, readShipConfig)).toEqual([
    'DATABASE_URL is required: it names the database that the records go to (what is left beside an embedded database is shipped when `verdict serve` starts there again)',
    'VERDICT_MASTER_KEY is required: it opens the key that seals what is secret',
  ])
})

test('who looks for a master key is told of the data directory, where that may be the embedded database', () => {
  expect(complaints({ VERDICT_DATA_DIR: '/elsewhere' }, readMasterKeys)).toEqual([
    'VERDICT_MASTER_KEY is required: it opens the key that seals what is secret; or name the data directory of an embedded database in VERDICT_DATA_DIR: /elsewhere holds no master.key',
  ])
  expect(complaints({ DATABASE_URL: URL }, readMasterKeys)).toEqual([
    'VERDICT_MASTER_KEY is required: it opens the key that seals what is secret',
  ])
})

test('a previous master key is another one than the present, and needs it', () => {
  expect(complaints({ ...POSTGRES, VERDICT_MASTER_KEY_PREVIOUS: MASTER })).toEqual([
    'VERDICT_MASTER_KEY_PREVIOUS is VERDICT_MASTER_KEY: the two are one key',
  ])
  expect(complaints({ VERDICT_MASTER_KEY_PREVIOUS: MASTER })).toEqual([
    'VERDICT_MASTER_KEY_PREVIOUS needs VERDICT_MASTER_KEY',
  ])
})
