import cluster from 'node:cluster'
import { setTimeout as pause } from 'node:timers/promises'
import { contextAdministration } from './administration/contexts.ts'
import type { CredentialParts } from './administration.ts'
import { acquireLock } from './audit/lock.ts'
import { Redactor } from './audit/redactor.ts'
import { copiesFile, notesInFile } from './audit/seal/copies.ts'
import type { AuditTrail } from './audit/trail.ts'
import { type ContextTokens, contextTokens } from './authn/context/tokens.ts'
import type { TrustedTokens } from './authn/issuer/trusted-tokens.ts'
import { passwordLogin } from './authn/login.ts'
import { passwordHasher } from './authn/password/hasher.ts'
import type { Config } from './config.ts'
import { VERIFICATIONS, type Verify, verification } from './http/audit-proof.ts'
import { Door } from './http/door.ts'
import { addRoutes, type RouteParts } from './http/routes.ts'
import { createServer } from './http/server.ts'
import { createMask, maskingHashes } from './pdp/mask.ts'
import { createOperation } from './pdp/operation.ts'
import { createSearch } from './pdp/search.ts'
import { createPdp } from './pdp.ts'
import { administer } from './serve/administer.ts'
import { watchClockSkew } from './serve/clock-skew.ts'
import { CLOSE_MS, Opened } from './serve/closing.ts'
import { openCredentials } from './serve/credentials.ts'
import { type Opening, openPool, openStored, type Stored } from './serve/database.ts'
import { databaseUrl } from './serve/database-url.ts'
import { showFigures } from './serve/figures.ts'
import { type Followed, follow } from './serve/following.ts'
import { keysFor, type Screen } from './serve/keys.ts'
import { listen } from './serve/listen.ts'
import { fillWithPreset } from './serve/preset.ts'
import { openQuotas } from './serve/quotas.ts'
import { readinessOf, vitalsOf } from './serve/readiness.ts'
import { MINUTE, roundsOf } from './serve/rounds.ts'
import { openTrail } from './serve/trail.ts'
import { warnOfJournalsLeft } from './serve/workers.ts'
import { openDataDirectory } from './store/data-directory.ts'
import { loginStore } from './store/logins.ts'
import { pruneRevocations, sessionStore } from './store/sessions.ts'
import { pruneThrottles } from './store/throttles.ts'
import { createLogger, type Logger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'

export interface Service {
  /** Where it listens. */
  readonly url: string
  /** Answers what is under way, writes the audit out, and lets go of everything. */
  close(): Promise<void>
}

/** What every use case stands on. */
interface Ground extends Stored, Followed {
  readonly dataDir: string
  readonly trail: AuditTrail
  readonly metrics: Metrics
  readonly redactor: Redactor
}

const DOOR_MS = 3_000
/** A page of a verification; also the count of what stands after a tenant's last record. */
const VERIFY_QUERY_MS = 60_000

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
  const state = { isClosing: false }
  const isClosing = () => state.isClosing
  const dataDir = await ownDataDirectory(config, logger, opened)
  const keys = await keysFor(config, dataDir, screen)
  const database = await databaseUrl(config, dataDir, logger, opened)
  const opening = { url: database, logger, opened, clock: () => Date.now(), ...roundsOf(opened, logger) }
  const stored = await openStored(opening, config.poolSize, keys)
  const trail = await openTrail(opening, config, dataDir, stored.deploymentKey)
  const followed = await follow(opening, config, stored.facts, trail)
  const ground = {
    ...stored,
    ...followed,
    dataDir,
    trail,
    metrics: new Metrics(),
    redactor: new Redactor(stored.deploymentKey),
  }
  const url = await openDoor(opening, config, await openUseCases(opening, config, ground, isClosing), isClosing)
  return {
    url,
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

/** It is ours alone until the service closes: two would write one journal. */
async function ownDataDirectory(config: Config, logger: Logger, opened: Opened): Promise<string> {
  const dataDir = await openDataDirectory(config.dataDir)
  const lock = await acquireLock(dataDir)
  opened.add('lock', () => lock.release())
  if (!cluster.isWorker) await warnOfJournalsLeft(dataDir, config.workers, logger)
  return dataDir
}

/** Everything that a route asks. */
async function openUseCases(
  opening: Opening,
  config: Config,
  ground: Ground,
  isClosing: () => boolean,
): Promise<RouteParts> {
  const { database, metrics, snapshots, revoked, redactor, trail, hints } = ground
  const { db } = database
  const { clock } = opening
  const people = openPeople(opening, ground)
  showFigures(metrics, snapshots, trail, hints, database)
  // Refused credentials are recorded there, also while the database is away.
  await snapshots.tenant('system')
  const administration = administer(database, trail, snapshots, revoked, people, redactor, opening.logger)
  if (config.preset !== undefined) await fillWithPreset(administration, config.preset, opening.logger)
  const clockSkew = await watchClockSkew(opening, database)
  const credentials = await openCredentials(opening, config, ground)
  const tokens = contextTokens(credentials.signingKeys, config.publicUrl, (id) => revoked.isRevoked(id))
  const learnRevoked = () => revoked.poll()
  const asking = openAsking(opening, ground, credentials.trustedTokens, tokens)
  const verify = openVerification(opening, ground.dataDir)
  return {
    ...asking,
    ...credentials,
    administration,
    contexts: contextAdministration({ db, tokens, snapshots, learnRevoked, clock }),
    logIn: passwordLogin({ store: loginStore(db), ...people, clock }),
    sessions: sessionStore(db),
    verify,
    snapshots,
    revoked,
    metrics,
    redactor,
    db,
    reading: ground.reading.db,
    publicUrl: config.publicUrl,
    limits: config.edge,
    clock,
    readiness: () => readinessOf(vitalsOf(isClosing(), config.maxStalenessMs, clockSkew(), snapshots, trail)),
  }
}

/** Passwords are hashed in threads of their own. */
function openPeople({ opened }: Opening, { deploymentKey: masterKey }: Ground): CredentialParts {
  const hasher = passwordHasher()
  opened.add('password threads', () => hasher.close())
  return { hasher, masterKey }
}

/** The use cases that decide. */
function openAsking(
  opening: Opening,
  { deploymentKey, snapshots, trail, metrics, redactor }: Ground,
  tokens: TrustedTokens,
  contexts: ContextTokens,
): Pick<RouteParts, 'pdp' | 'operation' | 'mask' | 'search' | 'quotas'> {
  const { clock } = opening
  const quotas = openQuotas(opening, deploymentKey)
  const pdp = createPdp({ snapshots, tokens, contexts, trail, clock, metrics, redactor, quotas })
  return {
    pdp,
    operation: createOperation({ pdp, snapshots }),
    mask: createMask(pdp, maskingHashes(deploymentKey)),
    search: createSearch({ snapshots, trail, clock, redactor }),
    quotas,
  }
}

/** A verification holds a connection for as long as it takes. */
function openVerification(opening: Opening, dataDir: string): Verify {
  const { db } = openPool(opening, 'verdict verify', VERIFICATIONS, { queryTimeout: VERIFY_QUERY_MS })
  return verification(db, () => notesInFile(copiesFile(dataDir)))
}

/** Takes the routes, and lets callers in. @returns where it answers. */
async function openDoor(
  { logger, opened, every }: Opening,
  config: Config,
  parts: RouteParts,
  isClosing: () => boolean,
): Promise<string> {
  const app = await createServer({ logger, metrics: parts.metrics, ...config.edge, isClosing })
  const door = new Door(app)
  const authenticator = await addRoutes(app, parts)
  opened.add('failed authentications', () => authenticator.drain('all'))
  every(MINUTE, 'counting failed authentications', () => authenticator.drain('past'))
  every(MINUTE, 'pruning throttles', () => pruneThrottles(parts.db))
  every(MINUTE, 'pruning revocations', () => pruneRevocations(parts.db))
  opened.add('door', (ms) => door.close(Math.min(ms, DOOR_MS)))
  return listen(app, config)
}
