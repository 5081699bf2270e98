import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { findBinaries, findRunner } from '../../src/store/binaries.ts'
import { Cluster, type ClusterOptions, initialise, SUPERUSER } from '../../src/store/cluster.ts'
import { migrate } from '../../src/store/migrate.ts'
import { FaultyProxy } from '../../test/support/proxy.ts'
import { ask, compare, noAnswers } from './asking.ts'
import { metricOf, PROJECT, type Program, startProgram, statusOf, stopProgram } from './program.ts'

const FAULTS = ['stopped', 'killed', 'hung', 'full'] as const
type Fault = (typeof FAULTS)[number]

const SMALL_DISK_MIB = 400

/**
 * `postgres [--seconds 60] [--how stopped --how killed …] [--rate 500] [--connections 32]`: Postgres away under load,
 * in each way; says what was answered meanwhile, what was lost, how long Postgres took to come back, and how long, from
 * then on and under the same load, until all that had waited was in it. Its full disk is a tmpfs, which only root can
 * mount: skipped elsewhere. Status 1 if a decision was lost or doubled.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '60' },
      how: { type: 'string', multiple: true, default: [...FAULTS] },
      rate: { type: 'string', default: '500' },
      connections: { type: 'string', default: '32' },
    },
  })
  for (const fault of FAULTS.filter((one) => values.how.includes(one))) {
    const outcome = await soak(fault, Number(values.seconds), Number(values.rate), Number(values.connections))
    console.log(JSON.stringify({ fault, ...outcome }))
    if ('lost' in outcome && (outcome.lost > 0 || outcome.doubled > 0)) process.exitCode = 1
  }
}

async function soak(fault: Fault, seconds: number, rate: number, connections: number) {
  const folder = await mkdtemp(join(tmpdir(), 'verdict-soak-postgres-'))
  await chmod(folder, 0o711)
  const disk = join(folder, 'disk')
  await mkdir(disk, { mode: 0o755 })
  if (fault === 'full' && !mounted(disk)) {
    await rm(folder, { recursive: true, force: true })
    return { skipped: 'a small file system can be mounted by root alone' }
  }
  const postgres = await Postgres.start(folder, disk)
  try {
    return await underLoad(postgres, fault, seconds, rate, connections, join(folder, 'data'))
  } finally {
    await postgres.end()
    if (fault === 'full') execFileSync('umount', [disk])
    await rm(folder, { recursive: true, force: true })
  }
}

async function underLoad(
  postgres: Postgres,
  fault: Fault,
  seconds: number,
  rate: number,
  connections: number,
  dataDir: string,
) {
  const key = newKey()
  const program = await startProgram(PROJECT, {
    DATABASE_URL: postgres.serviceUrl,
    VERDICT_DATA_DIR: dataDir,
    VERDICT_ROOT_KEY: newKey(),
    VERDICT_ADMIN_KEY: key,
    VERDICT_MASTER_KEY: randomBytes(32).toString('base64'),
  })
  try {
    const asking = { url: program.url, key, connections, rate, signal: new AbortController().signal }
    const [before, during, after] = [noAnswers(), noAnswers(), noAnswers()]
    await askFor(2, asking, before)
    await postgres.away(fault)
    await askFor(seconds, asking, during)
    const readyz = await statusOf(`${program.url}/readyz`)
    const backlog = await metricOf(program, 'verdict_audit_backlog_records')
    const waiting = (await metricOf(program, 'verdict_audit_shipped_total')) + backlog
    const loaded = new AbortController()
    const still = ask({ ...asking, signal: loaded.signal }, after)
    const back_seconds = await timed(() => postgres.back(fault))
    const drain_seconds = await timed(() => shipped(program, waiting))
    loaded.abort()
    await still
    await shipped(program, waiting + after.decided.length)
    const decided = [before, during, after].flatMap((answers) => answers.decided)
    return {
      seconds,
      answers_meanwhile: Object.fromEntries(during.statuses),
      slowest_ms: Math.round(during.slowest),
      readyz,
      backlog,
      back_seconds,
      drain_seconds,
      ...compare(decided, await postgres.decisions()),
    }
  } finally {
    await stopProgram(program)
  }
}

async function askFor(seconds: number, asking: Parameters<typeof ask>[0], answers: ReturnType<typeof noAnswers>) {
  await ask({ ...asking, signal: AbortSignal.timeout(seconds * 1000) }, answers)
}

/** Until so many records are in Postgres: of those that come meanwhile, under load, there are always some on their way. */
async function shipped(program: Program, records: number): Promise<void> {
  for (let attempt = 0; attempt < 12_000; attempt++) {
    if ((await metricOf(program, 'verdict_audit_shipped_total')) >= records) return
    await pause(50)
  }
  throw new Error('the backlog did not drain within ten minutes')
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return Math.round((performance.now() - began) / 100) / 10
}

/** A server of its own, behind a proxy, that can be sent away and brought back. */
class Postgres {
  readonly serviceUrl: string
  readonly #options: ClusterOptions
  readonly #url: string
  readonly #disk: string
  readonly #proxy: FaultyProxy
  #cluster: Cluster

  private constructor(options: ClusterOptions, cluster: Cluster, proxy: FaultyProxy, disk: string, service: string) {
    this.#options = options
    this.#cluster = cluster
    this.#proxy = proxy
    this.#disk = disk
    this.#url = cluster.url(SUPERUSER, options.password, 'postgres')
    this.serviceUrl = service
  }

  static async start(folder: string, disk: string): Promise<Postgres> {
    const runner = await findRunner()
    const binaries = await findBinaries(runner, folder, () => undefined)
    const password = randomBytes(18).toString('hex')
    const directory = join(disk, 'postgres')
    const settings = { max_wal_size: '96MB', min_wal_size: '32MB' }
    const options: ClusterOptions = { binaries, runner, directory, password, settings }
    await initialise(options)
    const cluster = await Cluster.start(options)
    const migrations = pathToFileURL(join(PROJECT, 'migrations/'))
    await migrate(cluster.url(SUPERUSER, password, 'postgres'), { user: 'verdict', password }, migrations)
    const { proxy, url } = await FaultyProxy.before(cluster.url('verdict', password, 'postgres'))
    return new Postgres(options, cluster, proxy, disk, url)
  }

  async away(fault: Fault): Promise<void> {
    if (fault === 'hung') this.#proxy.mode = 'hang'
    if (fault === 'stopped') await this.#cluster.stop('fast')
    if (fault === 'killed') {
      process.kill(this.#cluster.pid ?? 0, 'SIGKILL')
      await this.#cluster.exited
    }
    if (fault === 'full') await fill(join(this.#disk, 'filler'))
  }

  async back(fault: Fault): Promise<void> {
    this.#proxy.mode = 'pass'
    if (fault === 'full') await rm(join(this.#disk, 'filler'))
    // A full disk may have ended the server, too.
    const isUp = fault !== 'stopped' && fault !== 'killed' && (await this.#answers())
    if (!isUp) {
      await this.#cluster.stop('immediate')
      this.#cluster = await Cluster.start(this.#options, this.#cluster.port)
    }
  }

  async decisions(): Promise<string[]> {
    return this.#asked(async (client) => {
      const { rows } = await client.query<{ id: string }>("select id from audit where type = 'decision'")
      return rows.map(({ id }) => id)
    })
  }

  async end(): Promise<void> {
    await this.#proxy.close()
    await this.#cluster.stop('immediate')
  }

  async #answers(): Promise<boolean> {
    for (let attempt = 0; attempt < 50; attempt++) {
      const up = await this.#asked((client) => client.query('select 1')).then(
        () => true,
        () => false,
      )
      if (up) return true
      await pause(100)
    }
    return false
  }

  async #asked<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: 2000 })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }
}

function mounted(disk: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK_MIB}m,mode=755`, 'tmpfs', disk], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Takes all the room that there is, and what comes free for a moment: for Postgres there is none. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let size = 1024 * 1024; size >= 512; size >>= 1) {
      const block = Buffer.alloc(size)
      while (
        await file.write(block).then(
          ({ bytesWritten }) => bytesWritten === size,
          () => false,
        )
      );
    }
  } finally {
    await file.close()
  }
}

function newKey(): string {
  return `vdt_s${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`
}
