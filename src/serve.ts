import cluster from 'node:cluster'
import { setTimeout as pause } from 'node:timers/promises'
import { v7 } from 'uuid'
import { contextAdministration } from './administration/contexts.ts'
import { type Administration, type CredentialParts, createAdministration } from './administration.ts'
import { acquireLock } from './audit/lock.ts'
import { Redactor } from './audit/redactor.ts'
import { copiesFile, notesInFile } from './audit/seal/copies.ts'
import { AuditTrail } from './audit/trail.ts'
import { contextTokens } from './authn/context/tokens.ts'
import { TrustedTokens } from './authn/issuer/trusted-tokens.ts'
import { KeyUse } from './authn/key-use.ts'
import { passwordLogin } from './authn/login.ts'
import { passwordHasher } from './authn/password/hasher.ts'
import type { Config } from './config.ts'
import { Failure } from './failure.ts'
import { VERIFICATIONS, type Verify, verification } from './http/audit-proof.ts'
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
import { CLOSE_MS, Opened } from './serve/closing.ts'
import { databaseUrl } from './serve/database-url.ts'
import { showFigures } from './serve/figures.ts'
import { journalRoot, keysFor, type Screen } from './serve/keys.ts'
import { fillWithPreset } from './serve/preset.ts'
import { openQuotas } from './serve/quotas.ts'
import { readinessOf } from './serve/readiness.ts'
import { openSealing } from './serve/sealing.ts'
import { mismatchEvent } from './serve/security.ts'
import { warnOfJournalsLeft } from './serve/workers.ts'
import { RevokedTokens } from './snapshot/revoked-tokens.ts'
import { Snapshots } from './snapshot/snapshots.ts'
import { noteUse } from './store/api-keys.ts'
import { presenceOf } from './store/audit-log.ts'
import { bootstrap } from './store/bootstrap.ts'
import { clockSkew } from './store/clock.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { checkConnection, type DatabaseOptions, isWalled, type OpenDatabase, openDatabase } from './store/database.ts'
import { openDeploymentKey } from './store/deployment-key.ts'
import { Hints } from './store/hints.ts'
import { loginStore } from './store/logins.ts'
import { mayMigrate, migrate, pendingMigrations } from './store/migrate.ts'
import { outboxStore } from './store/outbox.ts'
import { pruneRevocations, revocationSource, sessionStore } from './store/sessions.ts'
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
const SHIP_MS = 2_500
/** A batch takes a fraction of it; a connection that hangs is given up after it, and shipping goes on. */
const SHIPPING_QUERY_MS = 5_000
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
  const database = openPool('verdict', url, config.poolSize, logger, opened)
  // Writers of a busy tenant wait for each other with a connection in hand: what decisions need does not queue there.
  const facts = openPool('verdict facts', url, FACT_CONNECTIONS, logger, opened)
  const reading = openPool('verdict reading', url, READING_CONNECTIONS, logger, opened, {
    queryTimeout: READING_QUERY_MS,
  })
  await checkConnection(database.db)
  await bringSchemaUpToDate(database, url)
  if (!(await isWalled(database.db))) {
    logger.warn('the role of DATABASE_URL passes row-level security: only one wall stands between tenants')
  }
  await bootstrap(database.db, keys, () => new Date(clock()))
  const masterKeys = { current: keys.masterKey, previous: keys.previousMasterKey }
  const deploymentKey = await openDeploymentKey(database.db, masterKeys)

  const trail = await openTrail(config, dataDir, url, deploymentKey, logger, opened)
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
  snapshots.start()
  opened.add('snapshots', () => snapshots.stop())
  const revoked = await openRevoked(config, facts, logger, opened)
  const hints = listenForHints(config.listenDatabaseUrl ?? url, snapshots, revoked, logger)
  opened.add('hints', () => hints.stop())
  const hasher = passwordHasher()
  opened.add('password threads', () => hasher.close())
  showFigures(metrics, snapshots, trail, hints, database)

  const redactor = new Redactor(deploymentKey)
  const people = { hasher, masterKey: deploymentKey }
  // Refused credentials are recorded there, also while the database is away.
  await snapshots.tenant('system')
  const administration = administer(database, trail, snapshots, revoked, people, redactor, logger)
  if (config.preset !== undefined) await fillWithPreset(administration, config.preset)
  const state = { isClosing: false, skew: await skewOf(database, clock) }
  every(MINUTE, opened, async () => {
    state.skew = await skewOf(database, clock)
  })

  const signingKeys = await openSigningKeys(facts.db, deploymentKey)
  // Which keys there are is known everywhere within a second, as is what else is revoked.
  every(SECOND, opened, () => signingKeys.poll())
  const keyUse = new KeyUse((tenant, uses) => noteUse(database.db.of(tenant), tenant, uses))
  opened.add('use of keys', () => keyUse.drain())
  every(MINUTE, opened, () => keyUse.drain())
  const trustedTokens = new TrustedTokens({
    parseJson,
    fetchJson: jsonFetcher({
      destinations: destinations(config.outgoingAllow),
      httpToLoopback: config.outgoingHttp === 'loopback',
    }),
    warn: (error, issuer) => logger.warn({ err: error, issuer }, 'the keys of a trusted issuer could not be had'),
  })
  const { quotas, prune } = openQuotas(
    openPool('verdict quotas', url, QUOTA_CONNECTIONS, logger, opened).db,
    deploymentKey,
    clock,
  )
  opened.add('quotas', () => quotas.close())
  every(SECOND, opened, () => quotas.sweep())
  every(MINUTE, opened, prune)
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
    verify: openVerification(url, dataDir, logger, opened),
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
  every(MINUTE, opened, () => authenticator.drain('past'))
  every(MINUTE, opened, () => pruneThrottles(database.db))
  every(MINUTE, opened, () => pruneRevocations(database.db))
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

function openPool(
  name: string,
  url: string,
  size: number,
  logger: Logger,
  opened: Opened,
  timing: Pick<DatabaseOptions, 'queryTimeout'> = {},
): OpenDatabase {
  const onIdleError = (error: Error) => logger.warn({ err: error }, 'a connection to Postgres was lost')
  const database = openDatabase({ url, name, size, onIdleError, ...timing })
  opened.add(name, () => database.close())
  return database
}

/** Runs what is pending as the service's own role, where that role may; a restricted one says who must. */
async function bringSchemaUpToDate({ db }: OpenDatabase, url: string): Promise<void> {
  const pending = await pendingMigrations(db)
  if (pending.length === 0) return
  if (await mayMigrate(db)) {
    await migrate(url)
    return
  }
  throw new Failure(
    'unsafe_configuration',
    'the schema is older than this version: run `verdict migrate` as the owner of the tables, or give VERDICT_MIGRATE_DATABASE_URL',
    { problems: pending.map((name) => ({ pointer: '', detail: `${name} has not run` })) },
  )
}

/** The audit's own connections: shipping must not wait behind decisions, and a batch takes its time. */
async function openTrail(
  config: Config,
  dataDir: string,
  url: string,
  masterKey: Buffer,
  logger: Logger,
  opened: Opened,
): Promise<AuditTrail> {
  const writer = v7()
  const name = presenceOf(writer)
  const { db, close } = openDatabase({ url, name, size: 2, queryTimeout: SHIPPING_QUERY_MS, isPresent: true })
  opened.add('audit database', close)
  const sealing = await openSealing({ db, masterKey, dataDir, log: logger })
  opened.add('sealing', () => sealing.stop())
  const trail = await AuditTrail.open({
    root: journalRoot(dataDir),
    writer,
    fsync: config.journalFsync,
    maxBytes: config.journalMaxBytes,
    store: { ...sealing.store, ...outboxStore(db) },
    log: logger,
  })
  opened.add('audit trail', (ms) => trail.stop(Math.min(ms, SHIP_MS)))
  return trail
}

/** Connections of its own: a verification holds one for as long as it takes. */
function openVerification(url: string, dataDir: string, logger: Logger, opened: Opened): Verify {
  const { db } = openPool('verdict verify', url, VERIFICATIONS, logger, opened, { queryTimeout: VERIFY_QUERY_MS })
  return verification(db, () => notesInFile(copiesFile(dataDir)))
}

/** Which sessions were ended, known from the start on. */
async function openRevoked(
  { maxStalenessMs: maxStaleness }: Config,
  { db }: OpenDatabase,
  logger: Logger,
  opened: Opened,
): Promise<RevokedTokens> {
  const onError = (error: unknown) => logger.warn({ err: error }, 'it could not be asked which sessions were ended')
  const revoked = new RevokedTokens({ source: revocationSource(db), maxStaleness, onError })
  await revoked.start()
  opened.add('ended sessions', () => revoked.stop())
  return revoked
}

/** What is committed elsewhere is in force here as soon as it is told; without being told, with the next poll. */
function listenForHints(url: string, snapshots: Snapshots, revoked: RevokedTokens, logger: Logger): Hints {
  const failed = (error: unknown) => logger.warn({ err: error }, 'a change that was told of could not be read')
  const hints = new Hints({
    url,
    listener: {
      changed: (tenant, revision) => void snapshots.hint(tenant, revision).catch(failed),
      revoked: () => void revoked.poll().catch(failed),
      listening: () => void Promise.all([snapshots.poll(), revoked.poll()]).catch(failed),
      lost: (error) => logger.warn({ err: error }, 'changes are not told of any more; the poll goes on'),
    },
  })
  hints.start()
  return hints
}

function administer(
  { db }: OpenDatabase,
  trail: AuditTrail,
  snapshots: Snapshots,
  revoked: RevokedTokens,
  people: CredentialParts,
  redactor: Redactor,
  logger: Logger,
): Administration {
  return createAdministration({
    ...people,
    db,
    writer: trail.journal.writer,
    announce: async (tenant, id, event) => {
      await trail.outbox.announce(tenant, id, event)
    },
    applied: async (tenant, revision, changes) => {
      // A write may have ended sessions: of whoever was deleted, or has a new password.
      const ended = revoked.poll().then(
        () => true,
        () => false,
      )
      return (await snapshots.applied(tenant, revision, changes)) && ended
    },
    vagueRules: (tenant, revision) => snapshots.vagueRules(tenant, revision),
    faultOf: (tenant, kind, name) => snapshots.faultOf(tenant, kind, name),
    clock: () => new Date(),
    redactor,
    warn: (error) => logger.warn({ err: error }, 'the record of a change waits in the outbox'),
  })
}

async function skewOf({ db }: OpenDatabase, clock: () => number): Promise<number | undefined> {
  return clockSkew(db, clock).catch(() => undefined)
}

function every(ms: number, opened: Opened, work: () => Promise<void>): void {
  // What it does is tried again the next time; who must know of a failure is told by the part that failed.
  const timer = setInterval(() => void work().catch(() => undefined), ms).unref()
  opened.add('timer', () => clearInterval(timer))
}

async function listen(app: { listen(options: object): Promise<string> }, config: Config): Promise<string> {
  const { host, port, edge } = config
  // Fastify knows of no TLS but its own.
  const url = (address: string) => (edge.tls === undefined ? address : address.replace(/^http:/, 'https:'))
  try {
    return url(
      await app.listen({ host, port, listenTextResolver: (address: string) => `Verdict answers at ${url(address)}` }),
    )
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    const why = code === 'EADDRINUSE' ? 'the port is in use' : code
    throw new Failure('unsafe_configuration', `can't listen on ${host}:${port}: ${why}`, { cause })
  }
}
