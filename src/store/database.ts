import { Socket } from 'node:net'
import {
  Kysely,
  type PostgresCursor,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
  sql,
  type Transaction,
} from 'kysely'
import { LRUCache } from 'lru-cache'
import pg from 'pg'
import { atMost } from '../audit/limit.ts'
import { Failure } from '../failure.ts'
import type { Database } from './schema.ts'
import { ACROSS, checkedScope, type Scope, scopedBegin, scopedQuery } from './tenant-query.ts'

export interface DatabaseOptions {
  readonly url: string
  /** What the connections are called in `pg_stat_activity`. */
  readonly name?: string
  /** Connections at most. */
  readonly size?: number
  /** Keeps a connection while there is nothing to do: others see by its name who is there. */
  readonly isPresent?: boolean
  /** How long a statement may take, in ms. Longer for migrations and bulk loads, never unbounded. */
  readonly queryTimeout?: number
  /** How long to wait for a connection, a free one or a new one, in ms. */
  readonly connectTimeout?: number
  /** How long a statement may wait for a lock, in ms. */
  readonly lockTimeout?: number
  /** Told of connections that died while nobody used them. */
  readonly onIdleError?: (error: Error) => void
}

export interface OpenDatabase {
  readonly db: TenantDatabase
  /** For figures about the pool; queries go through `db`, whose connections heal. */
  readonly pool: pg.Pool
  /** Says goodbye to the server; one that does not answer is left after a moment, with what it was asked. */
  close(): Promise<void>
}

/**
 * Opens no connection yet. A call on a database that is away or hangs fails with `store_unavailable` within
 * `connectTimeout` + `queryTimeout` (2 s by default), and costs the pool nothing but that one connection.
 */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  const { url, name = 'verdict', size = 10, queryTimeout = 950, connectTimeout = 950 } = options
  const sockets = new Set<Socket>()
  const pool = new pg.Pool({
    connectionString: url,
    stream: () => tracked(sockets),
    application_name: name,
    max: size,
    min: options.isPresent === true ? 1 : 0,
    connectionTimeoutMillis: connectTimeout,
    // The server gives up a little earlier than who waits for it, so that a slow statement costs no connection.
    statement_timeout: Math.ceil(queryTimeout * 0.9),
    // Else a replica that was cut off inside a transaction would keep its tenant's row locked.
    idle_in_transaction_session_timeout: Math.max(5_000, queryTimeout),
    ...(options.lockTimeout === undefined ? {} : { lock_timeout: options.lockTimeout }),
    keepAlive: true,
    idleTimeoutMillis: 30_000,
    types: typeParsers(),
  })
  // Without a listener, a database that restarts would end this process through its idle connections.
  // While it closes, that a server ends them as well is no news.
  pool.on('error', (error) => pool.ending || options.onIdleError?.(error))
  // Nor may one that is in use: its query fails, and besides the client emits what broke it.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const db = new TenantDatabase(new HealingPool(pool, queryTimeout))
  return {
    db,
    pool,
    async close() {
      const ending = end(db, pool)
      await atMost(GOODBYE_MS, ending)
      for (const socket of sockets) socket.destroy()
      await ending
    },
  }
}

/** Does one thing in another tenant than the transaction is for, and then goes on in its own. */
export async function inTenant<T>(
  trx: Transaction<Database>,
  tenant: string,
  own: string,
  work: () => Promise<T>,
): Promise<T> {
  if (tenant === own) return work()
  await sql`select set_config('verdict.tenant', ${checkedScope(tenant)}, true)`.execute(trx)
  const done = await work()
  await sql`select set_config('verdict.tenant', ${checkedScope(own)}, true)`.execute(trx)
  return done
}

const SCOPES_KEPT = 1_000

/**
 * The database, in which no row of any tenant is to be seen (row-level security, `migrations/0008_walls.sql`): only
 * tables that belong to the whole deployment. What is a tenant's is asked for `of` that tenant; a statement that forgets
 * to say which tenant's rows it means then finds no other's.
 */
export class TenantDatabase extends Kysely<Database> {
  readonly #pool: HealingPool
  readonly #scoped = new LRUCache<Scope, Kysely<Database>>({ max: SCOPES_KEPT })

  constructor(pool: HealingPool) {
    super({ dialect: new PostgresDialect({ pool }) })
    this.#pool = pool
  }

  /** With the rows of this tenant. */
  of(tenant: string): Kysely<Database> {
    return this.#of(tenant)
  }

  /** With the audit of all tenants, and nothing else of theirs: for what ships, seals, verifies and prunes it. */
  get across(): Kysely<Database> {
    return this.#of(ACROSS)
  }

  #of(scope: Scope): Kysely<Database> {
    const known = this.#scoped.get(scope)
    if (known !== undefined) return known
    const made = new Kysely<Database>({ dialect: new PostgresDialect({ pool: this.#pool.of(checkedScope(scope)) }) })
    this.#scoped.set(scope, made)
    return made
  }
}

/** A healthy server takes a few ms. */
const GOODBYE_MS = 300

async function end(db: Kysely<Database>, pool: pg.Pool): Promise<void> {
  await db.destroy()
  // Kysely leaves a pool alone that it never asked for a connection.
  if (!pool.ended) await pool.end()
}

/** The driver can't be made to let go of a connection that hangs: it waits for the other side to say goodbye. */
function tracked(sockets: Set<Socket>): Socket {
  const socket = new Socket()
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
  return socket
}

/** A database that is starting, or busy for a moment, may not answer the first time within the limit that calls have. */
const START_TRIES = 3

/**
 * For the start, whose reader can mend the configuration: what it fails with says why. Elsewhere what the driver says
 * is for the log alone.
 */
export async function checkConnection(db: Kysely<Database>, triesLeft = START_TRIES): Promise<void> {
  try {
    await sql`select 1`.execute(db)
  } catch (error) {
    const cause = error instanceof Failure ? error.cause : error
    if (triesLeft > 1 && /timeout/.test(reasonOf(cause))) return checkConnection(db, triesLeft - 1)
    throw new Failure('store_unavailable', `could not connect to the database: ${reasonOf(cause)}`, { cause })
  }
}

/** Whether row-level security holds for the role: not for superusers, nor for whom it was lifted. */
export async function isWalled(db: Kysely<Database>): Promise<boolean> {
  const { rows } = await sql<{ walled: boolean }>`
    select not (rolsuper or rolbypassrls) as walled from pg_roles where rolname = current_user`.execute(db)
  return rows[0]?.walled === true
}

function reasonOf(error: unknown): string {
  // A name with several addresses fails at each of them, and the whole then says nothing.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/**
 * Hands out connections that are thrown away once they failed. `pg` gives a connection whose query ran into its
 * time limit back to the pool as it is, with the hung query still at the head of its queue.
 */
class HealingPool implements PostgresPool {
  readonly #pool: pg.Pool
  readonly #queryTimeout: number
  readonly #scope: Scope | undefined

  constructor(pool: pg.Pool, queryTimeout: number, scope?: Scope) {
    this.#pool = pool
    this.#queryTimeout = queryTimeout
    this.#scope = scope
  }

  /** The same connections, for a tenant. */
  of(scope: Scope): HealingPool {
    return new HealingPool(this.#pool, this.#queryTimeout, scope)
  }

  async connect(): Promise<PostgresPoolClient> {
    try {
      return new Lease(await this.#pool.connect(), this.#queryTimeout, this.#scope)
    } catch (error) {
      throw new Failure('store_unavailable', 'could not connect to the database', { cause: error, retryAfter: 1 })
    }
  }

  end(): Promise<void> {
    return this.#pool.end()
  }
}

class Lease implements PostgresPoolClient {
  readonly #client: pg.PoolClient
  readonly #queryTimeout: number
  readonly #scope: Scope | undefined
  #inTransaction = false
  #broken: Failure | undefined

  constructor(client: pg.PoolClient, queryTimeout: number, scope: Scope | undefined) {
    this.#client = client
    this.#queryTimeout = queryTimeout
    this.#scope = scope
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query(text: unknown, values: readonly unknown[] = []): unknown {
    if (typeof text !== 'string') throw new TypeError('cursors are not supported')
    return this.#run(text, values)
  }

  async #run(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    if (this.#broken !== undefined) throw this.#broken
    try {
      return await inTime(this.#queryTimeout, this.#send(text, [...values]))
    } catch (cause) {
      if (!isOutage(cause)) throw cause
      const failure = new Failure('store_unavailable', 'the database did not answer', { cause, retryAfter: 1 })
      if (!STATEMENT_ONLY.has(sqlState(cause) ?? '')) this.#broken = failure
      throw failure
    }
  }

  /** A transaction is told at its beginning whom it is for, any other statement on its way. */
  async #send(text: string, values: unknown[]): Promise<pg.QueryResult> {
    if (this.#scope === undefined || this.#inTransaction) return this.#client.query(text, values)
    if (!BEGIN.test(text)) return scopedQuery(this.#client, this.#scope, text, values)
    this.#inTransaction = true
    return this.#client.query(scopedBegin(text, this.#scope))
  }

  release(): void {
    this.#client.release(this.#broken)
  }
}

const TOO_LATE = 'Query read timeout'

/**
 * The driver's own limit fails what was answered, with everything else that is under way, where this process stood still
 * for as long: its timers come before what has arrived. Here, that is read first.
 */
function inTime<T>(ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let turn: NodeJS.Immediate | undefined
    const timer = setTimeout(() => {
      turn = setImmediate(() => reject(new Error(TOO_LATE)))
    }, ms)
    const stop = () => {
      clearTimeout(timer)
      clearImmediate(turn)
    }
    answer.then(resolve, reject).finally(stop)
  })
}

// As Kysely begins one: a lease is taken for a transaction, or for a statement.
const BEGIN = /^(?:begin|start transaction)\b/

/** Whether it is the database that is away, hung or overloaded, and not the statement that is wrong. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Failure ? error.code === 'store_unavailable' : isOutage(error)
}

/** Whether a statement waited in vain for a row that another transaction holds. */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error instanceof Failure ? error.cause : error) === '55P03'
}

/** Whether a statement took longer than it may: a smaller one may come through. */
export function isTimeout(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error
  return sqlState(cause) === '57014' || (cause instanceof Error && cause.message === TOO_LATE)
}

/** The SQLSTATE of an error that Postgres answered with. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

// Statement timeout, lock timeout, serialization failure, deadlock: the server gave up the statement, and the
// connection is in order.
const STATEMENT_ONLY = new Set(['57014', '55P03', '40001', '40P01'])
// Connection exceptions; insufficient resources; operator intervention; system errors; a read-only standby.
const OUTAGE_CLASSES = new Set(['08', '53', '57', '58'])
const OUTAGE_STATES = new Set([...STATEMENT_ONLY, '25006', '25P03', '28000', '28P01', '3D000'])

function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof pg.DatabaseError) {
    const state = error.code ?? ''
    return OUTAGE_CLASSES.has(state.slice(0, 2)) || OUTAGE_STATES.has(state)
  }
  return ('syscall' in error && 'code' in error) || DRIVER_MESSAGES.some((message) => error.message.includes(message))
}

// The driver tells these by their text only.
const DRIVER_MESSAGES = [
  TOO_LATE,
  'timeout expired',
  'timeout exceeded when trying to connect',
  'Connection terminated',
  'not queryable',
  'read ECONNRESET',
]

const INT8 = 20

function typeParsers(): pg.CustomTypesConfig {
  const parsers = new pg.TypeOverrides()
  parsers.setTypeParser(INT8, parseInt8)
  return parsers
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`the database answered with ${text}, which no number holds exactly`)
  return value
}
