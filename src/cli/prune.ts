import { type Checkpoints, type PruneOutcome, pruneAudit } from '../audit/prune.ts'
import { readPruneConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { signedCheckpoints } from '../store/audit-covered.ts'
import { checkConnection, type OpenDatabase, openDatabase, sqlState } from '../store/database.ts'
import { findDeploymentKey, type MasterKeys } from '../store/deployment-key.ts'
import { pruneStore } from '../store/prune.ts'
import { instantOf } from './instant.ts'
import { EXIT, type Io } from './io.ts'
import { generatedMasterKey } from './master-key.ts'
import { withProgress } from './progress.ts'

export interface PruneCommand {
  readonly before: string
  readonly dryRun?: true
  readonly default?: true
  readonly json?: true
}

const QUERY_MS = 10 * 60_000

/** Drops what is old enough; see the command's help. */
export async function prune(options: PruneCommand, io: Io, given?: Checkpoints): Promise<number> {
  const before = readBefore(options.before)
  const { url, masterKeys } = await readPruneConfig(io.env, generatedMasterKey)
  const database = openDatabase({ url, name: 'verdict prune', size: 2, queryTimeout: QUERY_MS })
  try {
    await checkConnection(database.db)
    const checkpoints = given ?? (await signedCheckpoints(database.db, await keyFor(database, masterKeys)))
    const outcomes = await withProgress(io, `pruning before ${before.toISOString()}`, () =>
      pruneAudit({
        store: pruneStore(database.db),
        checkpoints,
        before,
        withDefault: options.default === true,
        dryRun: options.dryRun === true,
        clock: () => Date.now(),
      }),
    )
    io.stdout.write(options.json === true ? `${JSON.stringify({ before, partitions: outcomes })}\n` : told(outcomes))
    return outcomes.some(({ outcome }) => outcome === 'uncovered') ? EXIT.error : EXIT.ok
  } catch (error) {
    if (sqlState(error) !== '42501') throw error
    throw new Failure('forbidden', "this role may not prune: run verdict migrate with it, or use the owner's", {
      cause: error,
    })
  } finally {
    await database.close()
  }
}

async function keyFor({ db }: OpenDatabase, keys: MasterKeys): Promise<Buffer> {
  // Before a start has made that key, what is sealed is sealed under the master key itself.
  return (await findDeploymentKey(db, keys)) ?? keys.previous ?? keys.current
}

function readBefore(text: string): Date {
  const isMonth = /^\d{4}-(0[1-9]|1[0-2])$/.test(text)
  const instant = instantOf('--before', isMonth ? `${text}-01T00:00:00Z` : text, ' or a month (2030-01)')
  if (instant > Date.now()) throw new Failure('invalid_request', `--before ${text} lies in the future`)
  return new Date(instant)
}

const VERBS = { pruned: 'dropped', would: 'would drop', uncovered: 'kept' } as const

function told(outcomes: readonly PruneOutcome[]): string {
  if (outcomes.length === 0) return 'There is nothing that old.\n'
  return outcomes
    .map(({ partition, writers, outcome, uncovered }) => {
      const records = writers.reduce((sum, range) => sum + range.records, 0)
      const why = uncovered.length === 0 ? '' : `: no signed checkpoint covers all records of ${uncovered.join(', ')}`
      return `${partition}  ${VERBS[outcome]} ${records} records of ${writers.length} writers${why}\n`
    })
    .join('')
}
