import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { validate } from 'uuid'
import { acquireLock } from '../audit/lock.ts'
import { type Progress, type RecoveredLog, recoverJournals } from '../audit/recovery.ts'
import type { Log } from '../audit/shipper.ts'
import { readShipConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { openSealing } from '../serve/sealing.ts'
import { presentWriters } from '../store/audit-log.ts'
import { checkConnection, type OpenDatabase, openDatabase } from '../store/database.ts'
import { openDeploymentKey } from '../store/deployment-key.ts'
import { EXIT, type Io } from './io.ts'

export interface ShipOptions {
  readonly json?: true
}

const QUERY_MS = 30_000
/** Enough to find the one record of a batch that the database refuses, and to try it once more. */
const REFUSALS = 14

/** Where writers' folders lie, which of them is meant, and which folder a process would hold while it writes there. */
interface Place {
  readonly root: string
  readonly only: string | undefined
  readonly dataDir: string
}

/** Ships what a process left behind, each record once. */
export async function shipJournal(dir: string, { json }: ShipOptions, io: Io): Promise<number> {
  const { databaseUrl, masterKeys } = readShipConfig(io.env)
  const place = await placeOf(resolve(dir))
  const lock = await acquireLock(place.dataDir)
  const database = openDatabase({ url: databaseUrl, name: 'verdict journal', size: 2, queryTimeout: QUERY_MS })
  try {
    await checkConnection(database.db)
    const logs = await ship(place, database, await openDeploymentKey(database.db, masterKeys), io)
    io.stdout.write(json === true ? `${JSON.stringify({ logs })}\n` : logs.map(told).join(''))
    if (logs.length === 0 && json !== true) io.stdout.write('There is nothing to ship.\n')
    return logs.every(({ complete }) => complete) ? EXIT.ok : EXIT.error
  } finally {
    await database.close()
    await lock.release()
  }
}

async function ship(
  { root, only, dataDir }: Place,
  { db }: OpenDatabase,
  masterKey: Buffer,
  io: Io,
): Promise<RecoveredLog[]> {
  const present = await presentWriters(db)
  const alive = (await readdir(root)).filter((name) => present.has(name) && (only === undefined || name === only))
  if (alive.length > 0) {
    throw new Failure('conflict', 'the process that writes this journal lives: it ships its records itself', {
      problems: alive.map((writer) => ({ pointer: '', detail: `${writer} is connected to the database` })),
    })
  }
  const log = logTo(io)
  const sealing = await openSealing({ db, masterKey, dataDir, log })
  try {
    return await recoverJournals(
      {
        root,
        self: undefined,
        store: sealing.store,
        log,
        shipped: 'left',
        refusals: REFUSALS,
        onProgress: (progress) => showProgress(progress, io),
        ...(only !== undefined && { only }),
      },
      Number.POSITIVE_INFINITY,
    )
  } finally {
    await sealing.stop()
  }
}

async function placeOf(dir: string): Promise<Place> {
  const isFolder = (path: string) =>
    stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    )
  if (!(await isFolder(dir))) throw new Failure('invalid_request', `${dir} is no folder`)
  if (validate(basename(dir))) return { root: dirname(dir), only: basename(dir), dataDir: dirname(dirname(dir)) }
  if (await isFolder(join(dir, 'journal'))) return { root: join(dir, 'journal'), only: undefined, dataDir: dir }
  if ((await readdir(dir)).some((name) => validate(name))) return { root: dir, only: undefined, dataDir: dirname(dir) }
  throw new Failure('invalid_request', `${dir} holds no journal`)
}

function showProgress({ writer, shipped, records }: Progress, { stderr }: Io): void {
  if (stderr.isTTY !== true) return
  stderr.write(`\r\u001b[K${writer}: ${shipped} of ${records} records${shipped === records ? '\r\u001b[K' : ''}`)
}

function told({ writer, records, shipped, complete, damage }: RecoveredLog): string {
  if (complete)
    return `${writer}: ${records} of ${records} records are in the database, ${shipped} of them by this run\n`
  if (damage !== undefined) {
    const lost = `records ${damage.from} to ${damage.to - 1} can't be read in ${damage.path}`
    return `${writer}: damaged: ${shipped} records were shipped, ${lost}; what stands after them is not shipped\n`
  }
  return `${writer}: not all records are in the database; ${shipped} were shipped by this run\n`
}

/** What hinders it; how it went is told at the end. */
function logTo({ stderr }: Io): Log {
  const tell = (facts: object, message: string) => {
    const cause = 'err' in facts && facts.err instanceof Error ? `: ${facts.err.message}` : ''
    stderr.write(`verdict: ${message}${cause}\n`)
  }
  return { info: () => undefined, warn: tell, error: tell }
}
