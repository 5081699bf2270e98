import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chown, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Failure } from '../failure.ts'
import type { Binaries, Runner } from './binaries.ts'

const run = promisify(execFile)

export const SUPERUSER = 'postgres'

export interface ClusterOptions {
  readonly binaries: Binaries
  /** Whom Postgres runs as: it refuses to be root. */
  readonly runner: Runner
  /** The cluster's own directory, made if it is absent; the runner can reach it. */
  readonly directory: string
  /** The superuser's. Read when the cluster is made. */
  readonly password: string
  /** Server settings over our own. */
  readonly settings?: Readonly<Record<string, string>>
}

// Loopback only, no socket file (its path would be too long in many a directory), and nothing of a statement in the
// server's log: it may hold what must not be kept in clear.
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  jit: 'off',
  log_checkpoints: 'off',
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
  log_timezone: 'UTC',
  timezone: 'UTC',
}

/** Makes the cluster where there is none. A half-made one never stands under its final name. */
export async function initialise(options: ClusterOptions): Promise<void> {
  const { binaries, runner, directory } = options
  if (await exists(join(directory, 'PG_VERSION'))) return
  const draft = `${directory}.new`
  const passwordFile = `${directory}.password`
  await rm(draft, { recursive: true, force: true })
  await rm(passwordFile, { force: true })
  await mkdir(draft, { mode: 0o700, recursive: true })
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600, flag: 'wx' })
  await own(runner, draft, passwordFile)
  const flags = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale-provider=libc', '--locale=C', '--data-checksums']
  if (options.settings?.['fsync'] === 'off') flags.push('--no-sync')
  try {
    await run(
      binaries.initdb,
      ['-D', draft, `--username=${SUPERUSER}`, `--pwfile=${passwordFile}`, ...flags],
      childOptions(runner),
    )
    await rename(draft, directory)
  } catch (error) {
    throw new Failure('store_unavailable', `could not make the embedded database: ${messageOf(error)}`, {
      cause: error,
    })
  } finally {
    await rm(passwordFile, { force: true })
    await rm(draft, { recursive: true, force: true })
  }
}

/** A running server of a cluster. */
export class Cluster {
  readonly port: number
  readonly #options: ClusterOptions
  readonly #child: ChildProcess
  readonly exited: Promise<void>
  readonly #atExit: () => void

  private constructor(options: ClusterOptions, port: number, child: ChildProcess) {
    this.port = port
    this.#options = options
    this.#child = child
    this.#atExit = () => child.kill('SIGINT')
    process.once('exit', this.#atExit)
    this.exited = new Promise((resolve) => {
      child.once('exit', () => {
        process.off('exit', this.#atExit)
        resolve()
      })
    })
  }

  /** Answers once the server takes connections. Nobody else may be using the directory: see `evict`. */
  static async start(options: ClusterOptions, wantedPort?: number): Promise<Cluster> {
    for (let attempt = 1; ; attempt++) {
      const port = wantedPort ?? (await freePort())
      const cluster = new Cluster(options, port, await spawnServer(options, port))
      if (await cluster.#ready()) return cluster
      // Somebody took the port in between, or children of a killed server still hold its memory.
      if (attempt === 5)
        throw new Failure(
          'store_unavailable',
          `the embedded database does not start: ${await lastLog(options.directory)}`,
        )
      await sleep(200 * attempt)
    }
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  url(user: string, password: string, database: string): string {
    return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${this.port}/${database}`
  }

  /** `fast` writes a checkpoint, `immediate` leaves that to the next start. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    const patience = setTimeout(() => this.#child.kill('SIGQUIT'), 5_000)
    await this.exited
    clearTimeout(patience)
  }

  async #ready(): Promise<boolean> {
    const deadline = Date.now() + 60_000
    while (this.#child.exitCode === null && this.#child.signalCode === null && Date.now() < deadline) {
      const lock = await readLock(this.#options.directory)
      if (lock?.pid === this.#child.pid && lock?.ready) return true
      await sleep(10)
    }
    await this.stop('immediate')
    return false
  }
}

async function spawnServer(options: ClusterOptions, port: number): Promise<ChildProcess> {
  const log = join(options.directory, 'server.log')
  await rename(log, `${log}.1`).catch(() => undefined)
  const file = await open(log, 'w', 0o600)
  try {
    await own(options.runner, log)
    const settings = { ...SETTINGS, ...options.settings, port: String(port) }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // A session of its own: an interrupt from the terminal is the service's to handle, which needs the database
    // until its last request is done. The log is a file, since a pipe would break when the service is killed.
    return await spawned(
      spawn(options.binaries.postgres, ['-D', options.directory, ...flags], {
        ...childOptions(options.runner),
        detached: true,
        stdio: ['ignore', file.fd, file.fd],
      }),
    )
  } finally {
    await file.close()
  }
}

function spawned(child: ChildProcess): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child))
    child.once('error', (cause) => {
      reject(new Failure('store_unavailable', `could not run the embedded database: ${cause.message}`, { cause }))
    })
  })
}

/**
 * Ends what an earlier, killed process left in the directory. Only for the holder of the data directory's lock: a
 * server found there then belongs to nobody.
 */
export async function evict(directory: string): Promise<'nothing' | 'stopped'> {
  const lock = await readLock(directory)
  if (lock === undefined || !isAlive(lock.pid)) return 'nothing'
  if (!(await isServerOf(lock.pid, directory))) {
    // The number belongs to another process now (in a container they come round quickly), and Postgres would refuse
    // to start. A lock with its parent's number it takes for stale, yet still looks for the memory of the dead
    // server's children, which it would not if the file were deleted.
    const text = await readFile(join(directory, 'postmaster.pid'), 'utf8')
    await writeFile(join(directory, 'postmaster.pid'), text.replace(/^-?\d+/, String(process.pid)))
    return 'nothing'
  }
  for (const [signal, patience] of [
    ['SIGINT', 5_000],
    ['SIGQUIT', 2_000],
    ['SIGKILL', 2_000],
  ] as const) {
    process.kill(lock.pid, signal)
    const deadline = Date.now() + patience
    while (Date.now() < deadline) {
      // What has ended may keep its number for long where nobody collects it, but no command line.
      if (!isAlive(lock.pid) || !(await isServerOf(lock.pid, directory))) return 'stopped'
      await sleep(10)
    }
  }
  throw new Failure('store_unavailable', `an earlier embedded database (process ${lock.pid}) does not end`)
}

/** The port of the server that runs in the directory; undefined: none does. */
export async function runningPort(directory: string): Promise<number | undefined> {
  const lock = await readLock(directory)
  return lock?.ready === true && isAlive(lock.pid) && (await isServerOf(lock.pid, directory)) ? lock.port : undefined
}

async function readLock(directory: string): Promise<{ pid: number; port: number; ready: boolean } | undefined> {
  const text = await readFile(join(directory, 'postmaster.pid'), 'utf8').catch(() => undefined)
  const lines = text?.split('\n')
  // Lines: pid, data directory, start time, port, socket directory, address, shared memory, state.
  const pid = Math.abs(Number.parseInt(lines?.[0] ?? '', 10))
  return Number.isNaN(pid) ? undefined : { pid, port: Number(lines?.[3]), ready: lines?.[7]?.trim() === 'ready' }
}

/** A server's command line names its directory. */
async function isServerOf(pid: number, directory: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(async () => {
    const listed = await run('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
    return listed.stdout
  })
  return command.includes(directory)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Nothing of our environment (secrets, PG* variables) reaches the server; and a working directory that it can read. */
export function childOptions(runner: Runner) {
  return { ...runner, cwd: '/', env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '' } }
}

export async function own(runner: Runner, ...paths: string[]): Promise<void> {
  const { uid, gid } = runner
  if (uid === undefined || gid === undefined) return
  await Promise.all(paths.map((path) => chown(path, uid, gid)))
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function lastLog(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-3).join(' | ')
}

function messageOf(error: unknown): string {
  if (error instanceof Error && 'stderr' in error && typeof error.stderr === 'string' && error.stderr !== '') {
    return error.stderr.trim()
  }
  return error instanceof Error ? error.message : String(error)
}
