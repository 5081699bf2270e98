import cluster from 'node:cluster'
import { setTimeout as pause } from 'node:timers/promises'
import { contextAdministration } from './administration/contexts.ts'
import { acquireLock } from './audit/lock.ts'
import { Redactor } from './audit/redactor.ts'
import { copiesFile, notesInFile } from './audit/seal/copies.ts'
import { contextTokens } from './authn/context/tokens.ts'
import { TrustedTokens } from './authn/issuer/trusted-tokens.ts'
import { KeyUse } from './authn/key-use.ts'
import { passwordLogin } from './authn/login.ts'
import { passwordHasher } from './authn/password/hasher.ts'
import type { Config } from './config.ts'
import { VERIFICATIONS, verification } from './http/audit-proof.ts'
import { Door } from './http/door.ts'
import { parseJson } from './http/json.ts'
import { addRoutes } from './http/routes.ts'
import { createServer } from './http/server.ts'
import { destinations } from './outgoing/addresses.ts'
import { jsonFetcher } from './outgoing/fetch-json.ts'
import { createMask, maskingHashes } from './pdp/mask.ts'
import { createOperation } from './pdp/operation.ts'
import { createSearch } from './pdp/search.ts'
import { createPdp } from './pdp.ts'
import { administer } from './serve/administer.ts'
import { CLOSE_MS, Opened } from './serve/closing.ts'
import { bringSchemaUpToDate, openPool } from './serve/database.ts'
import { databaseUrl } from './serve/database-url.ts'
import { showFigures } from './serve/figures.ts'
import { listenForHints, openRevoked } from './serve/following.ts'
import { keysFor, type Screen } from './serve/keys.ts'
import { listen } from './serve/listen.ts'
import { fillWithPreset } from './serve/preset.ts'
import { openQuotas } from './serve/quotas.ts'
import { readinessOf } from './serve/readiness.ts'
import { roundsOf } from './serve/rounds.ts'
import { mismatchEvent } from './serve/security.ts'
import { openTrail } from './serve/trail.ts'
import { warnOfJournalsLeft } from './serve/workers.ts'
import { Snapshots } from './snapshot/snapshots.ts'
import { noteUse } from './store/api-keys.ts'
import { bootstrap } from './store/bootstrap.ts'
import { clockSkew } from './store/clock.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { checkConnection, isWalled, type OpenDatabase } from './store/database.ts'
import { openDeploymentKey } from './store/deployment-key.ts'
import { loginStore } from './store/logins.ts'
import { pruneRevocations, sessionStore } from './store/sessions.ts'
import { openSigningKeys } from './store/signing-keys.ts'
import { snapshotSource } from './store/snapshot.ts'
import { pruneThrottles } from './store/throttles.ts'
import { createLogger, type Logger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'

export interface Service {
  /** Where it listens. */
  readonly url: string
  /** Answers what is under way, writes the audit out, and lets go of everything. */
  close(): Promise<void>
}

const FACT_CONNECTIONS = 4
const QUOTA_CONNECTIONS = 3
const DOOR_MS = 3_000
const READING_CONNECTIONS = 3
/** What may be asked of the audit at once: counting a day of a busy tenant. */
const READING_QUERY_MS = 10_000
/** A page of a verification; also the count of what stands after a tenant's last record. */
const VERIFY_QUERY_MS = 60_000
const SECOND = 1_000
const MINUTE = 60_000

/** Wires all parts, from the disk to the door, and starts answering. What fails on the way closes what was opened. */
export async function serve(config: Config, io: { readonly stdout: Screen }): Promise<Service> {
  const logger = createLogger(config.logLevel)
  const opened = new Opened(logger)
  try {
    return await open(config, io.stdout, logger, opened)
  } catch (error) {
    await opened.close()
    throw error
  }
}

async function open(config: Config, screen: Screen, logger: Logger, opened: Opened): Promise<Service> {
  const clock = () => Date.now()
  const dataDir = await openDataDirectory(config.dataDir)
  const lock = await acquireLock(dataDir)
  opened.add('lock', () => lock.release())
  if (!cluster.isWorker) await warnOfJournalsLeft(dataDir, config.workers, logger)
  const keys = await keysFor(config, dataDir, screen)
  const url = await databaseUrl(config, dataDir, logger, opened)
  const opening = { url, logger, opened }
  const { every } = roundsOf(opened, logger)
  const database = openPool(opening, 'verdict', config.poolSize)
  // Writers of a busy tenant wait for each other with a connection in hand: what decisions need does not queue there.
  const facts = openPool(opening, 'verdict facts', FACT_CONNECTIONS)
  const reading = openPool(opening, 'verdict reading', READING_CONNECTIONS, { queryTimeout: READING_QUERY_MS })
  await checkConnection(database.db)
  await bringSchemaUpToDate(database, url)
  if (!(await isWalled(database.db))) {
    logger.warn('the role of DATABASE_URL passes row-level security: only one wall stands between tenants')
  }
  await bootstrap(database.db, keys, () => new Date(clock()))
  const masterKeys = { current: keys.masterKey, previous: keys.previousMasterKey }
  const deploymentKey = await openDeploymentKey(database.db, masterKeys)

  const trail = await openTrail(opening, config, dataDir, deploymentKey)
  const metrics = new Metrics()
  const snapshots = new Snapshots({
    source: snapshotSource(facts.db),
    entities: config.entityCache,
    maxStaleness: config.maxStalenessMs,
    onError: (error) => logger.warn({ err: error }, 'the policy in memory could not be brought up to date'),
    onFault: (fault) => logger.warn(fault, 'a stored document is quarantined: it is not what it should be'),
    onMismatch: (mismatch) => {
      logger.error(mismatch, 'the database has another history than memory; the tenant is loaded anew')
      trail.record(mismatchEvent(mismatch, clock())).catch((error) => logger.error({ err: error }, 'not recorded'))
    },
  })
  trail.isAwaited = () => snapshots.hasCommitting
  snapshots.start()
  opened.add('snapshots', () => snapshots.stop())
  const revoked = await openRevoked(opening, config, facts)
  const hints = listenForHints(opening, config, snapshots, revoked)
  const hasher = passwordHasher()
  opened.add('password threads', () => hasher.close())
  showFigures(metrics, snapshots, trail, hints, database)

  const redactor = new Redactor(deploymentKey)
  const people = { hasher, masterKey: deploymentKey }
  // Refused credentials are recorded there, also while the database is away.
  await snapshots.tenant('system')
  const administration = administer(database, trail, snapshots, revoked, people, redactor, logger)
  if (config.preset !== undefined) await fillWithPreset(administration, config.preset, logger)
  const state = { isClosing: false, skew: await skewOf(database, clock) }
  every(MINUTE, 'clock skew', async () => {
    state.skew = await skewOf(database, clock)
  })

  const signingKeys = await openSigningKeys(facts.db, deploymentKey)
  // Which keys there are is known everywhere within a second, as is what else is revoked.
  every(SECOND, 'signing keys', () => signingKeys.poll())
  const keyUse = new KeyUse((tenant, uses) => noteUse(database.db.of(tenant), tenant, uses))
  opened.add('use of keys', () => keyUse.drain())
  every(MINUTE, 'noting use of keys', () => keyUse.drain())
  const trustedTokens = new TrustedTokens({
    parseJson,
    fetchJson: jsonFetcher({
      destinations: destinations(config.outgoingAllow),
      httpToLoopback: config.outgoingHttp === 'loopback',
    }),
    warn: (error, issuer) => logger.warn({ err: error, issuer }, 'the keys of a trusted issuer could not be had'),
  })
  const counting = openPool(opening, 'verdict quotas', QUOTA_CONNECTIONS)
  const { quotas, prune } = openQuotas(counting.db, deploymentKey, clock)
  opened.add('quotas', () => quotas.close())
  every(SECOND, 'sweeping quotas', () => quotas.sweep())
  every(MINUTE, 'pruning counters', prune)
  // A verification holds a connection for as long as it takes.
  const verifying = openPool(opening, 'verdict verify', VERIFICATIONS, { queryTimeout: VERIFY_QUERY_MS })
  const contexts = contextTokens(signingKeys, config.publicUrl, (id) => revoked.isRevoked(id))
  const app = await createServer({ logger, metrics, ...config.edge, isClosing: () => state.isClosing })
  const door = new Door(app)
  const pdp = createPdp({ snapshots, tokens: trustedTokens, contexts, trail, clock, metrics, redactor, quotas })
  const authenticator = await addRoutes(app, {
    pdp,
    operation: createOperation({ pdp, snapshots }),
    mask: createMask(pdp, maskingHashes(deploymentKey)),
    search: createSearch({ snapshots, trail, clock, redactor }),
    snapshots,
    quotas,
    administration,
    contexts: contextAdministration({
      db: database.db,
      tokens: contexts,
      snapshots,
      learnRevoked: () => revoked.poll(),
      clock,
    }),
    metrics,
    db: database.db,
    verify: verification(verifying.db, () => notesInFile(copiesFile(dataDir))),
    reading: reading.db,
    redactor,
    logIn: passwordLogin({ store: loginStore(database.db), ...people, clock }),
    sessions: sessionStore(database.db),
    revoked,
    signingKeys,
    keyUse,
    trustedTokens,
    publicUrl: config.publicUrl,
    limits: config.edge,
    clock,
    readiness: () =>
      readinessOf({
        isClosing: state.isClosing,
        staleness: snapshots.staleness,
        maxStaleness: config.maxStalenessMs,
        clockSkew: state.skew,
        isAuditKept: trail.isKeeping,
        auditBacklog: trail.backlog,
        auditBacklogAge: trail.journal.backlog.age,
        tenantsRefused: trail.journal.tenantsRefused,
        quarantinedRules: snapshots.quarantined,
      }),
  })
  opened.add('failed authentications', () => authenticator.drain('all'))
  every(MINUTE, 'counting failed authentications', () => authenticator.drain('past'))
  every(MINUTE, 'pruning throttles', () => pruneThrottles(database.db))
  every(MINUTE, 'pruning revocations', () => pruneRevocations(database.db))
  opened.add('door', (ms) => door.close(Math.min(ms, DOOR_MS)))
  const address = await listen(app, config)
  return {
    url: address,
    async close() {
      const until = Date.now() + CLOSE_MS
      state.isClosing = true
      logger.info('stopping')
      await pause(config.drainDelayMs)
      await opened.close(until - Date.now())
      logger.info('stopped')
    },
  }
}

async function skewOf({ db }: OpenDatabase, clock: () => number): Promise<number | undefined> {
  return clockSkew(db, clock).catch(() => undefined)
}
