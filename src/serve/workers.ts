import cluster, { type Address, type Worker } from 'node:cluster'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { atMost } from '../audit/limit.ts'
import { acquireLock } from '../audit/lock.ts'
import type { Config } from '../config.ts'
import { Failure } from '../failure.ts'
import { openDataDirectory } from '../store/data-directory.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'
import { answerForAll } from '../telemetry/worker-metrics.ts'
import { CLOSE_MS, Opened } from './closing.ts'
import { databaseUrl } from './database-url.ts'
import { journalRoot, keysFor, type Screen } from './keys.ts'

/** How long after its end a worker is started anew; one that keeps ending waits longer each time. */
const RESTART_MS = { first: 250, longest: 30_000 } as const
/** A worker that has lived for so long begins anew with its waiting. */
const SETTLED_MS = 60_000
/** What is left of the time for a close when a worker that has not ended by itself is made to. */
const KILL_MS = 100
/** Each part gets half of what is left: so much that the first, the workers, get what a close of theirs may take. */
const WORKERS_CLOSE_MS = 2 * CLOSE_MS

export interface WorkersIo {
  readonly env: NodeJS.ProcessEnv
  readonly stdout: Screen
}

/**
 * Several processes behind one port. Each is a whole service, with a journal and a log of its own; this one starts the
 * embedded database, shares out connections, adds the metrics up, and starts a worker anew that has ended. A worker's
 * journal is its place's: who comes next into the place ships what is left in it.
 */
export async function serveWithWorkers(
  config: Config,
  io: WorkersIo,
): Promise<{ url: string; close(): Promise<void> }> {
  const logger = createLogger(config.logLevel)
  const opened = new Opened(logger)
  try {
    const env = await environment(config, io, logger, opened)
    const crew = new Crew(config.workers, env, logger)
    opened.add('workers', (ms) => crew.stop(ms - KILL_MS))
    const address = await crew.start()
    const scheme = config.edge.tls === undefined ? 'http' : 'https'
    const host = address.address.includes(':') ? `[${address.address}]` : address.address
    return { url: `${scheme}://${host}:${address.port}`, close: () => opened.close(WORKERS_CLOSE_MS) }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** Where workers but the first keep what is theirs. */
const placesIn = (dataDir: string) => join(dataDir, 'workers')

/** The folder of a place. The first has that of a process without workers, and finds what one left. */
function folderOf(dataDir: string, place: number): string {
  return place === 1 ? dataDir : join(placesIn(dataDir), String(place))
}

type EnvironmentOf = (place: number) => NodeJS.ProcessEnv

/** What each worker is told: its own folder, and the database and the keys that this process may have made. */
async function environment(
  config: Config,
  { env, stdout }: WorkersIo,
  logger: Logger,
  opened: Opened,
): Promise<EnvironmentOf> {
  const dataDir = await openDataDirectory(config.dataDir)
  const lock = await acquireLock(placesIn(dataDir))
  opened.add('lock', () => lock.release())
  // A process without workers holds the folder itself, as the first worker will.
  await (await acquireLock(dataDir)).release()
  await warnOfJournalsLeft(dataDir, config.workers, logger)
  const given: NodeJS.ProcessEnv = {
    ...env,
    VERDICT_WORKERS: '1',
    VERDICT_JOURNAL_MAX_BYTES: String(Math.max(1024 ** 2, Math.floor(config.journalMaxBytes / config.workers))),
  }
  const made = config.databaseUrl === undefined ? await ownDatabase(config, dataDir, stdout, logger, opened) : {}
  for (const name of Object.keys(made)) delete given[`${name}_FILE`]
  return (place) => ({
    ...given,
    ...made,
    // The first starts alone, and fills an empty database.
    VERDICT_PRESET: (place === 1 ? config.preset : undefined) ?? 'none',
    VERDICT_DATA_DIR: folderOf(dataDir, place),
  })
}

async function ownDatabase(
  config: Config,
  dataDir: string,
  screen: Screen,
  logger: Logger,
  opened: Opened,
): Promise<Record<string, string>> {
  const { rootKey, adminKey, masterKey } = await keysFor(config, dataDir, screen)
  return {
    DATABASE_URL: await databaseUrl(config, dataDir, logger, opened),
    VERDICT_ROOT_KEY: rootKey,
    VERDICT_MASTER_KEY: masterKey.toString('base64'),
    ...(adminKey !== undefined && { VERDICT_ADMIN_KEY: adminKey }),
  }
}

/** Fewer workers than before leave journals that nobody ships by itself. */
export async function warnOfJournalsLeft(dataDir: string, workers: number, logger: Logger): Promise<void> {
  for (const name of await namesIn(placesIn(dataDir))) {
    if (Number(name) <= workers) continue
    const folder = join(placesIn(dataDir), name)
    if ((await namesIn(journalRoot(folder))).length === 0) continue
    logger.error({ folder }, 'a worker that is no more has left a journal: run `verdict journal ship` with this folder')
  }
}

function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}

class Crew {
  readonly #size: number
  readonly #env: EnvironmentOf
  readonly #logger: Logger
  readonly #members = new Map<number, Worker>()
  #started = false
  #stopping = false

  constructor(size: number, env: EnvironmentOf, logger: Logger) {
    this.#size = size
    this.#env = env
    this.#logger = logger
  }

  /** The first worker alone, which may have an empty database to fill, then the others. Comes back when all answer. */
  async start(): Promise<Address> {
    // Each takes its connections from the kernel: one that this process had handed to a worker in the moment of its death
    // would stay open here, and be answered by nobody.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({ exec: process.argv[1] ?? '', args: ['serve'] })
    answerForAll(cluster)
    const address = await this.#begin(1)
    await Promise.all(Array.from({ length: this.#size - 1 }, (_, n) => this.#begin(n + 2)))
    this.#started = true
    return address
  }

  async stop(ms: number): Promise<void> {
    this.#stopping = true
    const ends = [...this.#members.values()].map(async (worker) => {
      const ended = once(worker, 'exit')
      worker.process.kill('SIGTERM')
      if ((await atMost(ms, ended)) === undefined) worker.process.kill('SIGKILL')
    })
    await Promise.all(ends)
  }

  async #begin(place: number): Promise<Address> {
    const worker = this.#fork(place, RESTART_MS.first)
    const ended = once(worker, 'exit').then(([status]) => {
      throw new Failure('unsafe_configuration', `a worker ended with status ${status} before it answered`)
    })
    ended.catch(() => undefined)
    const [address] = (await Promise.race([once(worker, 'listening'), ended])) as [Address]
    return address
  }

  #fork(place: number, wait: number): Worker {
    const began = performance.now()
    const worker = cluster.fork(this.#env(place))
    this.#members.set(place, worker)
    let hasAnswered = false
    worker.once('listening', () => {
      hasAnswered = true
      this.#logger.info({ worker: place, pid: worker.process.pid }, 'a worker answers')
    })
    worker.once('exit', (status, signal) => {
      this.#members.delete(place)
      // One that never came to answer while all are started fails the start.
      if (this.#stopping || !(this.#started || hasAnswered)) return
      const next = performance.now() - began > SETTLED_MS ? RESTART_MS.first : Math.min(wait * 2, RESTART_MS.longest)
      this.#logger.error({ worker: place, status, signal, restart_ms: wait }, 'a worker has ended; it is started anew')
      setTimeout(() => this.#stopping || this.#fork(place, next), wait)
    })
    return worker
  }
}
