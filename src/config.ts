import { parseApiKey } from './authn/api-key.ts'
import { EDGE_VARIABLES, type EdgeConfig, readEdge } from './config/edge.ts'
import { Environment, type Variable } from './config/environment.ts'
import { presetNames } from './config/presets.ts'
import { Failure } from './failure.ts'
import { type Network, parseNetwork } from './outgoing/addresses.ts'
import type { MasterKeys } from './store/deployment-key.ts'
import { LOG_LEVELS, type LogLevel } from './telemetry/logger.ts'

export interface Config {
  /** undefined: the embedded database. */
  readonly databaseUrl: string | undefined
  /** The role that owns the tables; undefined: migrations run as the service's role, where it may. */
  readonly migrateDatabaseUrl: string | undefined
  /** A direct connection, where a pooler stands between. */
  readonly listenDatabaseUrl: string | undefined
  readonly poolSize: number
  readonly dataDir: string
  readonly host: string
  readonly port: number
  /** Without a slash at the end. */
  readonly publicUrl: string
  /** undefined: made by the first start with the embedded database. */
  readonly rootKey: string | undefined
  readonly adminKey: string | undefined
  /** 32 bytes. */
  readonly masterKey: Buffer | undefined
  /** The one that is being replaced. */
  readonly previousMasterKey: Buffer | undefined
  /** undefined: none. */
  readonly preset: string | undefined
  readonly journalFsync: 'batch' | 'off'
  readonly journalMaxBytes: number
  readonly maxStalenessMs: number
  /** Entities held in memory, over all tenants. */
  readonly entityCache: number
  /** Processes that answer. */
  readonly workers: number
  readonly drainDelayMs: number
  readonly edge: EdgeConfig
  /** Private networks to which requests to URLs may go that tenants have named. */
  readonly outgoingAllow: readonly Network[]
  readonly outgoingHttp: 'off' | 'loopback'
  readonly logLevel: LogLevel
}

/** What `verdict migrate` needs, and no more: a job that only migrates holds no keys. */
export type MigrateConfig = Pick<Config, 'databaseUrl' | 'migrateDatabaseUrl' | 'logLevel'> & {
  /** The role that prunes the audit, and nothing else. */
  readonly pruneDatabaseUrl: string | undefined
}

const GiB = 1024 ** 3

/** Every variable that Verdict reads, in the order in which `verdict serve --help` lists them. */
export const VARIABLES = [
  {
    name: 'DATABASE_URL',
    secret: true,
    description: 'Postgres 15 or newer; absent: an embedded one in VERDICT_DATA_DIR',
  },
  {
    name: 'VERDICT_MIGRATE_DATABASE_URL',
    secret: true,
    description: 'the same database as the owner of its tables, for migrations',
  },
  {
    name: 'VERDICT_LISTEN_DATABASE_URL',
    secret: true,
    description: 'the same database without the pooler that stands between',
  },
  {
    name: 'VERDICT_PRUNE_DATABASE_URL',
    secret: true,
    description: 'the same database as the role that may prune the audit, for verdict audit prune; serve ignores it',
  },
  { name: 'VERDICT_POOL_SIZE', default: '10', description: 'connections to Postgres at most' },
  { name: 'VERDICT_DATA_DIR', default: './data', description: 'embedded database, journal, generated keys' },
  { name: 'VERDICT_HOST', default: '127.0.0.1', description: 'the address to listen on' },
  { name: 'VERDICT_PORT', default: '8080', description: 'the port to listen on' },
  {
    name: 'VERDICT_PUBLIC_URL',
    description: 'where clients reach Verdict, the issuer of its tokens; absent: http://<host>:<port>',
  },
  {
    name: 'VERDICT_ROOT_KEY',
    secret: true,
    description: "the operator's API key (tenant system), vdt_<id>_<secret>; required with DATABASE_URL",
  },
  {
    name: 'VERDICT_ADMIN_KEY',
    secret: true,
    description: "the admin's API key of the tenant default, vdt_<id>_<secret>",
  },
  {
    name: 'VERDICT_MASTER_KEY',
    secret: true,
    description: '32 bytes in base64, seals secrets in the database; required with DATABASE_URL',
  },
  {
    name: 'VERDICT_MASTER_KEY_PREVIOUS',
    secret: true,
    description: 'the master key before, until verdict keys reseal has run',
  },
  {
    name: 'VERDICT_PRESET',
    description:
      'a policy to fill an empty tenant default with, or none; absent: quickstart with the embedded database, else none',
  },
  {
    name: 'VERDICT_JOURNAL_FSYNC',
    default: 'batch',
    description: 'batch: a record survives a power cut; off: only the end of the process',
  },
  {
    name: 'VERDICT_JOURNAL_MAX_BYTES',
    default: String(GiB),
    description: 'room for records that Postgres has not yet; full, decisions are refused',
  },
  {
    name: 'VERDICT_MAX_STALENESS',
    default: '300',
    description: 'seconds without news from Postgres after which decisions are refused',
  },
  { name: 'VERDICT_ENTITY_CACHE', default: '200000', description: 'entities held in memory' },
  {
    name: 'VERDICT_WORKERS',
    default: '1',
    description: 'processes behind the port, each with a journal, memory and connections of its own',
  },
  {
    name: 'VERDICT_DRAIN_DELAY',
    default: '3',
    description: 'seconds to go on accepting requests after SIGTERM; 0 without a balancer',
  },
  ...EDGE_VARIABLES,
  {
    name: 'VERDICT_OUTGOING_ALLOW',
    description: 'private networks in which trusted issuers may be, as 10.1.0.0/16,fd12::/16; absent: none',
  },
  {
    name: 'VERDICT_OUTGOING_HTTP',
    default: 'off',
    description: 'loopback: an issuer on this machine may speak plain http, for development',
  },
  { name: 'LOG_LEVEL', default: 'info', description: LOG_LEVELS.join(', ') },
] as const satisfies readonly Variable[]

/** @throws Failure `unsafe_configuration` with every complaint at once. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const read = new Environment(VARIABLES, env)
  const databaseUrl = readUrl(read, 'DATABASE_URL')
  const host = read.text('VERDICT_HOST')
  const port = read.integer('VERDICT_PORT', 0, 65_535)
  const config: Config = {
    databaseUrl,
    migrateDatabaseUrl: readUrl(read, 'VERDICT_MIGRATE_DATABASE_URL'),
    listenDatabaseUrl: readUrl(read, 'VERDICT_LISTEN_DATABASE_URL'),
    poolSize: read.integer('VERDICT_POOL_SIZE', 2, 1000),
    dataDir: read.text('VERDICT_DATA_DIR'),
    host,
    port,
    publicUrl:
      readPublicUrl(read) ?? `${read.isSet('VERDICT_TLS_CERT') ? 'https' : 'http'}://${reachable(host)}:${port}`,
    rootKey: readApiKey(read, 'VERDICT_ROOT_KEY'),
    adminKey: readApiKey(read, 'VERDICT_ADMIN_KEY'),
    masterKey: readMasterKey(read, 'VERDICT_MASTER_KEY'),
    previousMasterKey: readPreviousMasterKey(read),
    preset: readPreset(read, databaseUrl === undefined),
    journalFsync: read.oneOf('VERDICT_JOURNAL_FSYNC', ['batch', 'off']),
    journalMaxBytes: read.integer('VERDICT_JOURNAL_MAX_BYTES', 1024 ** 2, Number.MAX_SAFE_INTEGER),
    maxStalenessMs: read.seconds('VERDICT_MAX_STALENESS', 2, 86_400),
    entityCache: read.integer('VERDICT_ENTITY_CACHE', 1, 100_000_000),
    workers: read.integer('VERDICT_WORKERS', 1, 64),
    drainDelayMs: read.seconds('VERDICT_DRAIN_DELAY', 0, 8),
    edge: readEdge(read),
    outgoingAllow: readNetworks(read, 'VERDICT_OUTGOING_ALLOW'),
    outgoingHttp: read.oneOf('VERDICT_OUTGOING_HTTP', ['off', 'loopback']),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS),
  }
  complainOfCombinations(read, config)
  refuse(read)
  return Object.freeze(config)
}

export interface PruneConfig {
  /** The database as the role that prunes; its owner may, too. */
  readonly url: string
  readonly masterKeys: MasterKeys
}

/**
 * `generated` reads the master key of an embedded database, where none is given.
 * @throws Failure `unsafe_configuration` with every complaint at once.
 */
export async function readPruneConfig(
  env: NodeJS.ProcessEnv,
  generated: (dataDir: string) => Promise<Buffer | undefined>,
): Promise<PruneConfig> {
  const read = new Environment(VARIABLES, env)
  const isGenerated = readUrl(read, 'DATABASE_URL') === undefined && !read.isSet('VERDICT_MASTER_KEY')
  const made = isGenerated ? await generated(read.text('VERDICT_DATA_DIR')) : undefined
  const masterKeys =
    made === undefined ? masterKeysOf(read, orDataDirectory(read)) : { current: made, previous: undefined }
  const url = pruneUrlOf(read)
  refuse(read)
  return { url, masterKeys }
}

function pruneUrlOf(read: Environment): string {
  const own = readUrl(read, 'VERDICT_PRUNE_DATABASE_URL')
  const url = own ?? readUrl(read, 'VERDICT_MIGRATE_DATABASE_URL')
  if (url === undefined)
    read.complain('VERDICT_PRUNE_DATABASE_URL', 'is required: the role of the service may not prune')
  return url ?? ''
}

/** For who rotates keys, or seals anew. @throws Failure `unsafe_configuration`. */
export function readMasterKeys(env: NodeJS.ProcessEnv): MasterKeys {
  const read = new Environment(VARIABLES, env)
  const keys = masterKeysOf(read, orDataDirectory(read))
  refuse(read)
  return keys
}

/** What ships records that a process left: it seals them, in a database that others can reach. */
export interface ShipConfig {
  readonly databaseUrl: string
  readonly masterKeys: MasterKeys
}

/** @throws Failure `unsafe_configuration` with every complaint at once. */
export function readShipConfig(env: NodeJS.ProcessEnv): ShipConfig {
  const read = new Environment(VARIABLES, env)
  const databaseUrl = readUrl(read, 'DATABASE_URL')
  if (databaseUrl === undefined) {
    const embedded = 'what is left beside an embedded database is shipped when `verdict serve` starts there again'
    read.complain('DATABASE_URL', `is required: it names the database that the records go to (${embedded})`)
  }
  const masterKeys = masterKeysOf(read)
  refuse(read)
  return { databaseUrl: databaseUrl ?? '', masterKeys }
}

/** Where a master key that was generated is found, for commands that look for one. */
function orDataDirectory(read: Environment): string {
  if (read.isSet('DATABASE_URL')) return ''
  const dataDir = read.text('VERDICT_DATA_DIR')
  return `; or name the data directory of an embedded database in VERDICT_DATA_DIR: ${dataDir} holds no master.key`
}

function masterKeysOf(read: Environment, otherwise = ''): MasterKeys {
  const current = readMasterKey(read, 'VERDICT_MASTER_KEY')
  const previous = readPreviousMasterKey(read)
  if (current === undefined)
    read.complain('VERDICT_MASTER_KEY', `is required: it opens the key that seals what is secret${otherwise}`)
  return { current: current ?? Buffer.alloc(0), previous }
}

/** What looks at the audit needs: the database, and the data directory where one is meant. */
export interface AuditConfig {
  /** undefined: the embedded database of the data directory. */
  readonly databaseUrl: string | undefined
  readonly dataDir: string
  /** Whether the data directory is one that was named, or that of the database. */
  readonly isDataDirMeant: boolean
}

/** @throws Failure `unsafe_configuration` with every complaint at once. */
export function readAuditConfig(env: NodeJS.ProcessEnv): AuditConfig {
  const read = new Environment(VARIABLES, env)
  const databaseUrl = readUrl(read, 'DATABASE_URL')
  const dataDir = read.text('VERDICT_DATA_DIR')
  refuse(read)
  return { databaseUrl, dataDir, isDataDirMeant: databaseUrl === undefined || (env['VERDICT_DATA_DIR'] ?? '') !== '' }
}

/** @throws Failure `unsafe_configuration` with every complaint at once. */
export function readMigrateConfig(env: NodeJS.ProcessEnv): MigrateConfig {
  const read = new Environment(VARIABLES, env)
  const config = {
    databaseUrl: readUrl(read, 'DATABASE_URL'),
    migrateDatabaseUrl: readUrl(read, 'VERDICT_MIGRATE_DATABASE_URL'),
    pruneDatabaseUrl: readUrl(read, 'VERDICT_PRUNE_DATABASE_URL'),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS),
  }
  if (config.databaseUrl === undefined) {
    read.complain('DATABASE_URL', 'is required: the embedded database is migrated by `verdict serve`')
  }
  refuse(read)
  return Object.freeze(config)
}

function refuse(read: Environment): void {
  const { problems } = read
  if (problems.length === 0) return
  throw new Failure('unsafe_configuration', 'the configuration is refused', { problems })
}

function complainOfCombinations(read: Environment, config: Config): void {
  if (config.databaseUrl === undefined) {
    for (const name of ['VERDICT_MIGRATE_DATABASE_URL', 'VERDICT_LISTEN_DATABASE_URL']) {
      if (read.isSet(name)) read.complain(name, 'needs DATABASE_URL')
    }
  } else {
    for (const name of ['VERDICT_ROOT_KEY', 'VERDICT_MASTER_KEY']) {
      if (!read.isSet(name)) read.complain(name, 'is required with DATABASE_URL')
    }
  }
  const [root, admin] = [config.rootKey, config.adminKey].map((key) =>
    key === undefined ? undefined : parseApiKey(key),
  )
  if (root === undefined || admin === undefined) return
  if (root.id === admin.id) read.complain('VERDICT_ADMIN_KEY', 'has the id of VERDICT_ROOT_KEY: each needs its own')
  if (root.secret === admin.secret)
    read.complain('VERDICT_ADMIN_KEY', 'has the secret of VERDICT_ROOT_KEY: each needs its own')
}

const SAMPLE = /change.?me|example|sample|placeholder|replace|your.?(key|secret)|secret.?here/i

/** Whether it stands in documentation somewhere, or was typed rather than drawn. */
function isSample(secret: string): boolean {
  return SAMPLE.test(secret) || (secret.length >= 24 && new Set(secret).size < 8)
}

function readUrl(read: Environment, name: string): string | undefined {
  const text = read.optional(name)
  if (text === undefined) return undefined
  const password = passwordIn(text)
  if (password === undefined) {
    read.complain(name, 'is no URL of a Postgres database: postgres://user:password@host:5432/database')
  } else if (isSample(password)) {
    read.complain(name, 'holds a sample password')
  }
  if (!isSslMode(text)) read.complain(name, `has an sslmode that is none of ${SSL_MODES.join(', ')}`)
  return text
}

const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']

/** The driver takes whatever it does not know for a wish to encrypt. */
function isSslMode(text: string): boolean {
  const mode = URL.canParse(text) ? new URL(text).searchParams.get('sslmode') : null
  return mode === null || SSL_MODES.includes(mode)
}

/** undefined: not in the URL of a Postgres database. */
function passwordIn(text: string): string | undefined {
  try {
    const { protocol, password, username } = new URL(text)
    decodeURIComponent(username)
    return ['postgres:', 'postgresql:'].includes(protocol) ? decodeURIComponent(password) : undefined
  } catch {
    return undefined
  }
}

function readPublicUrl(read: Environment): string | undefined {
  const text = read.optional('VERDICT_PUBLIC_URL')
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  ) {
    read.complain('VERDICT_PUBLIC_URL', 'is no URL of the form https://host or https://host/path')
  }
  return text.replace(/\/+$/, '')
}

/** Nobody can visit a wildcard address. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function readApiKey(read: Environment, name: string): string | undefined {
  const text = read.optional(name)
  if (text === undefined) return undefined
  const key = parseApiKey(text)
  if (key === undefined) {
    const form = 'vdt_, an id of 4 to 32 of a-z and 0-9, _, a secret of 32 to 128 of A-Z, a-z, 0-9, - and _'
    read.complain(name, `does not have the form of an API key: ${form}`)
  } else if (isSample(key.secret)) {
    read.complain(name, `is a sample: make one with: echo "vdt_${key.id}_$(openssl rand -hex 32)"`)
  }
  return text
}

function readMasterKey(
  read: Environment,
  name: 'VERDICT_MASTER_KEY' | 'VERDICT_MASTER_KEY_PREVIOUS',
): Buffer | undefined {
  const text = read.optional(name)
  if (text === undefined) return undefined
  const key = Buffer.from(text, 'base64')
  // Node's decoder skips what is not base64; only a text that comes out again as it went in is one.
  if (key.length !== 32 || key.toString('base64') !== text) {
    read.complain(name, 'is not 32 bytes in base64: make them with: openssl rand -base64 32')
  } else if (isSample(key.toString('latin1')) || isSample(text)) {
    read.complain(name, 'is a sample: make one with: openssl rand -base64 32')
  }
  return key
}

function readPreviousMasterKey(read: Environment): Buffer | undefined {
  const name = 'VERDICT_MASTER_KEY_PREVIOUS'
  if (read.isSet(name) && !read.isSet('VERDICT_MASTER_KEY')) read.complain(name, 'needs VERDICT_MASTER_KEY')
  if (read.isSet(name) && read.text(name) === read.text('VERDICT_MASTER_KEY'))
    read.complain(name, 'is VERDICT_MASTER_KEY: the two are one key')
  return readMasterKey(read, name)
}

function readNetworks(read: Environment, name: string): Network[] {
  const texts = (read.optional(name) ?? '').split(',').map((text) => text.trim())
  return texts.filter(Boolean).flatMap((text) => {
    const network = parseNetwork(text)
    if (network === undefined) read.complain(name, `holds what is no network, as 10.1.0.0/16 is: ${text}`)
    return network ?? []
  })
}

function readPreset(read: Environment, embedded: boolean): string | undefined {
  const name = read.optional('VERDICT_PRESET') ?? (embedded ? 'quickstart' : 'none')
  if (name === 'none') return undefined
  const names = presetNames()
  if (!names.includes(name)) read.complain('VERDICT_PRESET', `is none of ${names.join(', ')}, none`)
  return name
}
