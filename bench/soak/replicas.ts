import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findBinaries, findRunner } from '../../src/store/binaries.ts'
import { Cluster, type ClusterOptions, initialise, SUPERUSER } from '../../src/store/cluster.ts'
import { newKey, PROJECT, type Program, startProgram, stopProgram } from './program.ts'

/** Two processes over one database, as two replicas are, and who may do everything there. */
export interface Replicas {
  readonly one: string
  readonly other: string
  readonly adminKey: string
  /** As a kernel does it that is out of memory. */
  readonly killOther: () => Promise<unknown>
}

/**
 * A Postgres for as long as `work` lasts, and what services over it have to be started with.
 * @param project whose migrations it has.
 */
export async function withDatabase<T>(
  work: (database: SharedDatabase) => Promise<T>,
  project: string = PROJECT,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'verdict-soak-replicas-'))
  await chmod(folder, 0o711)
  const open: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    const { url, ownerUrl, stop } = await postgres(folder, project)
    open.push(stop)
    const adminKey = newKey('admin')
    const env = {
      DATABASE_URL: url,
      VERDICT_ROOT_KEY: newKey('root'),
      VERDICT_ADMIN_KEY: adminKey,
      VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
      VERDICT_PUBLIC_URL: 'https://verdict.test',
      // All callers are at one address here, and in a hurry.
      VERDICT_ADMIN_PER_MINUTE: '1000000000',
      VERDICT_AUTHENTICATE_PER_MINUTE: '1000000000',
    }
    return await work({ folder, env, adminKey, ownerUrl })
  } finally {
    for (const close of open.reverse()) await close()
  }
}

export interface SharedDatabase {
  /** Of the run: data directories go there. */
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  readonly adminKey: string
  /** As the superuser. */
  readonly ownerUrl: string
}

/** A Postgres and two services of their own for as long as `work` lasts. */
export async function withReplicas<T>(
  work: (replicas: Replicas) => Promise<T>,
  more: Readonly<Record<string, string>> = {},
): Promise<T> {
  return withDatabase(async ({ folder, env, adminKey }) => {
    const running: Program[] = []
    const start = async (name: string): Promise<Program> => {
      const program = await startProgram(PROJECT, { ...env, ...more, VERDICT_DATA_DIR: join(folder, name) })
      running.push(program)
      return program
    }
    try {
      const one = await start('one')
      const other = await start('other')
      const killOther = () => {
        other.child.kill('SIGKILL')
        return other.ended
      }
      return await work({ one: one.url, other: other.url, adminKey, killOther })
    } finally {
      for (const program of running.reverse()) await stopProgram(program)
    }
  })
}

async function postgres(
  folder: string,
  project: string,
): Promise<{ url: string; ownerUrl: string; stop: () => Promise<unknown> }> {
  const runner = await findRunner()
  const binaries = await findBinaries(runner, folder, () => undefined)
  const password = randomBytes(18).toString('hex')
  const options: ClusterOptions = { binaries, runner, directory: join(folder, 'postgres'), password, settings: {} }
  await initialise(options)
  const cluster = await Cluster.start(options)
  const [url = '', ownerUrl = ''] = ['verdict', SUPERUSER].map((user) => cluster.url(user, password, 'postgres'))
  try {
    migrated(project, url, ownerUrl)
  } catch (error) {
    await cluster.stop('immediate')
    throw error
  }
  return { url, ownerUrl, stop: () => cluster.stop('immediate') }
}

/** Brings the schema to where a version has it, by that version itself. */
export function migrated(project: string, url: string, ownerUrl: string): void {
  const env = { PATH: process.env['PATH'] ?? '', DATABASE_URL: url, VERDICT_MIGRATE_DATABASE_URL: ownerUrl }
  const args = [join(project, 'dist/main.js'), 'migrate']
  execFileSync(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
}

export interface Reply {
  readonly status: number
  /** A member of the answer's body, where there is a text of this name. */
  text(member: string): string
  is(member: string, value: unknown): boolean
}

export async function call(url: string, method: string, path: string, key: string, body?: object): Promise<Reply> {
  const headers = {
    ...(key !== '' && { authorization: `Bearer ${key}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  }
  const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const said = await response.text()
  return {
    status: response.status,
    text(member) {
      const value: unknown = JSON.parse(said)[member]
      if (typeof value !== 'string') throw new Error(`${method} ${path}: ${response.status} without ${member}: ${said}`)
      return value
    },
    is: (member, value) => JSON.parse(said)[member] === value,
  }
}
