import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../failure.ts'
import { findBinaries, findRunner, type Runner } from './binaries.ts'
import { type ClusterOptions, childOptions } from './cluster.ts'
import { writeSecret } from './secret-file.ts'

const run = promisify(execFile)

const INSIDE = 'postgres'
const FILE = 'postgres.json'

/** Of the three roles, one string each. */
export interface Passwords {
  readonly superuser: string
  readonly owner: string
  readonly service: string
}

/** What a data directory says of its database. */
interface Place extends Passwords {
  /** Within the data directory (relative, so that it may move), or elsewhere. */
  readonly directory: string
}

/** Whether a database was ever made for this data directory. */
export async function hasPlace(dataDir: string): Promise<boolean> {
  return (await readPlace(join(dataDir, FILE))) !== undefined
}

/** Where the database stands or shall stand, and whom it runs as. */
export async function place(dataDir: string, stage: string, log: (line: string) => void) {
  const file = join(dataDir, FILE)
  const known = await readPlace(file)
  const runner = await runnerOf(resolve(dataDir, known?.directory ?? INSIDE))
  const { directory: where, ...passwords } = known ?? (await choose(file, dataDir, stage, runner))
  const directory = resolve(dataDir, where)
  if (where !== INSIDE) {
    log(`Postgres does not run as root, and its user can't reach ${dataDir}: the database is in ${directory}`)
  }
  const binaries = await findBinaries(runner, stage, log)
  const cluster: ClusterOptions = { binaries, runner, directory, password: passwords.superuser }
  return { cluster, passwords }
}

/** As root, a database that is there runs as whoever owns it: it may have been made by an ordinary user. */
async function runnerOf(directory: string): Promise<Runner> {
  const owner = await stat(directory).catch(() => undefined)
  return owner !== undefined && owner.uid !== 0 && process.getuid?.() === 0
    ? { uid: owner.uid, gid: owner.gid }
    : findRunner()
}

async function choose(file: string, dataDir: string, stage: string, runner: Runner): Promise<Place> {
  const inside = await canEnter(dataDir, runner)
  const directory = inside ? INSIDE : join(stage, `data-${randomBytes(8).toString('hex')}`)
  if (!inside) await mkdir(stage, { recursive: true, mode: 0o755 })
  const chosen = { directory, superuser: password(), owner: password(), service: password() }
  // Written before the database is made: without it nobody could enter that again.
  await writeSecret(file, `${JSON.stringify(chosen, null, 2)}\n`)
  return chosen
}

const password = () => randomBytes(24).toString('base64url')

async function canEnter(directory: string, runner: Runner): Promise<boolean> {
  if (runner.uid === undefined) return true
  return run('sh', ['-c', 'cd "$1"', 'sh', directory], childOptions(runner)).then(
    () => true,
    () => false,
  )
}

async function readPlace(file: string): Promise<Place | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new Failure('unsafe_configuration', `${file} can't be read (${error.code})`, { cause: error })
  })
  if (text === undefined) return undefined
  const { directory, superuser, owner, service } = JSON.parse(text) as Partial<Place>
  if (directory === undefined || superuser === undefined || owner === undefined || service === undefined) {
    throw new Failure(
      'unsafe_configuration',
      `${file} is damaged: it holds the embedded database's place and passwords`,
    )
  }
  return { directory, superuser, owner, service }
}
