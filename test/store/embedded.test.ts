import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findRunner } from '../../src/store/binaries.ts'
import { Cluster, childOptions } from '../../src/store/cluster.ts'
import { EMBEDDED_SERVICE, type EmbeddedDatabase, startEmbedded } from '../../src/store/embedded.ts'
import { place } from '../../src/store/embedded-place.ts'
import { migrate } from '../../src/store/migrate.ts'
import { MIGRATIONS } from '../support/migrations.ts'

const isRoot = process.getuid?.() === 0
const fast = { settings: { fsync: 'off' } }

let home: string
let stage: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'verdict-embedded-'))
  await chmod(home, 0o711)
  stage = join(home, 'stage')
})
afterAll(() => rm(home, { recursive: true }))

async function start(dataDir: string, log: (line: string) => void = () => undefined): Promise<EmbeddedDatabase> {
  const database = await startEmbedded(dataDir, { ...fast, stage, log })
  onTestFinished(() => database.stop())
  return database
}

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query({ text, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

async function eventually(url: string, text: string): Promise<unknown[]> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      return await ask(url, text)
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(50)
    }
  }
}

/** A server that nobody looks after any more, as a killed process leaves it. */
async function orphan(dataDir: string): Promise<Cluster> {
  const { cluster, passwords } = await place(dataDir, stage, () => undefined)
  const server = await Cluster.start({ ...cluster, ...fast })
  onTestFinished(() => server.stop('immediate'))
  await ask(server.url('postgres', passwords.superuser, 'verdict'), 'create table if not exists kept as select 42 as n')
  return server
}

async function somebodyElse(): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'], { ...childOptions(await findRunner()), stdio: 'ignore' })
  onTestFinished(() => void child.kill())
  return child
}

describe('the embedded database', () => {
  let dataDir: string
  beforeAll(async () => {
    dataDir = join(home, 'data')
    await (await startEmbedded(dataDir, { ...fast, stage })).stop()
  })

  test('is a Postgres that the owner can migrate and the service can use', async () => {
    const { url, ownerUrl } = await start(dataDir)
    expect(await migrate(ownerUrl, EMBEDDED_SERVICE)).toEqual(MIGRATIONS)
    expect(await ask(url, 'select count(*)::int from tenants')).toEqual([0])
    await expect(ask(url, 'create table mine ()')).rejects.toMatchObject({ code: '42501' })
    expect(await ask(ownerUrl, 'select rolsuper from pg_roles where rolname = current_user')).toEqual([false])
  })

  test('keeps what was written over a stop and a start, and where it is when its directory is moved', async () => {
    const moved = join(home, 'moved')
    const first = await startEmbedded(moved, { ...fast, stage })
    await ask(first.ownerUrl, 'create table kept as select 42 as n')
    await first.stop()
    await mkdir(join(home, 'elsewhere'))
    await rename(moved, join(home, 'elsewhere', 'data'))
    const second = await start(join(home, 'elsewhere', 'data'))
    expect(await ask(second.ownerUrl, 'select n from kept')).toEqual([42])
  })

  test('listens on loopback only, and lets nobody in without the password', async () => {
    const { url } = await start(dataDir)
    expect(await ask(url, 'show listen_addresses')).toEqual(['127.0.0.1'])
    const stranger = new URL(url)
    stranger.password = 'guessed'
    await expect(ask(stranger.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
    expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600)
  })

  test('leaves signals to the service: it takes over none, and an interrupt from the terminal does not reach it', async () => {
    const listeners = () => ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal))
    const before = listeners()
    const { pid } = await start(dataDir)
    expect(listeners()).toEqual(before)
    if (process.platform !== 'linux') return
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')
    expect(Number(fields[4])).toBe(pid)
  })

  test('is started again under the same address when it is killed', async () => {
    const { url, pid = 0 } = await start(dataDir)
    process.kill(pid, 'SIGKILL')
    expect(await eventually(url, 'select 1')).toEqual([1])
  })

  test('takes over from a server that a killed process left running', async () => {
    const left = await orphan(dataDir)
    const lines: string[] = []
    const { ownerUrl } = await start(dataDir, (line) => lines.push(line))
    expect(lines).toEqual(['stopped the embedded database of a process that was killed'])
    expect(await ask(ownerUrl, 'select 1')).toEqual([1])
    await left.exited
  })

  test('recovers what was committed when service and server were killed together', async () => {
    const left = await orphan(dataDir)
    process.kill(left.pid ?? 0, 'SIGKILL')
    await left.exited
    const { url } = await start(dataDir)
    expect(await ask(url, "select count(*)::int from pg_class where relname = 'kept'")).toEqual([1])
  })

  test('starts although the number of a killed server belongs to another process now', async () => {
    const left = await orphan(dataDir)
    process.kill(left.pid ?? 0, 'SIGKILL')
    await left.exited
    const other = await somebodyElse()
    const file = join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^\d+/, String(other.pid)))
    const { url } = await start(dataDir)
    expect(await ask(url, 'select 1')).toEqual([1])
    expect(other.exitCode ?? other.signalCode).toBeNull()
  })

  test('starts over where an earlier first start ended in the middle', async () => {
    const half = join(home, 'half')
    await mkdir(join(half, 'postgres.new', 'base'), { recursive: true })
    await chmod(half, 0o711)
    expect(await ask((await start(half)).url, 'select 1')).toEqual([1])
  })

  test('that has no password any more says so', async () => {
    const damaged = join(home, 'damaged')
    await mkdir(damaged, { mode: 0o711 })
    await writeFile(join(damaged, 'postgres.json'), '{}')
    await expect(startEmbedded(damaged, { stage })).rejects.toMatchObject({ code: 'unsafe_configuration' })
  })

  test('refuses a data directory that can not be made', async () => {
    const file = join(home, 'file')
    await writeFile(file, '')
    await expect(startEmbedded(join(file, 'data'), { stage })).rejects.toMatchObject({
      code: 'unsafe_configuration',
      message: `the data directory ${join(file, 'data')} can't be used (ENOTDIR)`,
    })
  })
})

describe.runIf(isRoot)('as root', () => {
  test('it runs as another user, in the data directory where that user can reach it', async () => {
    const dataDir = join(home, 'reachable')
    const lines: string[] = []
    const { pid } = await start(dataDir, (line) => lines.push(line))
    expect((await stat(`/proc/${pid}`)).uid).not.toBe(0)
    expect((await stat(join(dataDir, 'postgres'))).uid).not.toBe(0)
    expect(lines).toEqual([])
  })

  test('it stands elsewhere, and says where, when its user can not reach the data directory', async () => {
    const closed = join(home, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const dataDir = join(closed, 'data')
    const lines: string[] = []
    const first = await startEmbedded(dataDir, { ...fast, stage, log: (line) => lines.push(line) })
    await ask(first.ownerUrl, 'create table kept as select 42 as n')
    await first.stop()
    expect(lines).toEqual([expect.stringContaining(`can't reach ${dataDir}: the database is in ${stage}`)])
    const again = await start(dataDir)
    expect(await ask(again.ownerUrl, 'select n from kept')).toEqual([42])
  })
})
