import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { v7 } from 'uuid'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import type { Sealing } from '../../src/audit/seal/sealing.ts'
import { journalRoot } from '../../src/serve/keys.ts'
import { openSealing } from '../../src/serve/sealing.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { type EmbeddedDatabase, startEmbedded } from '../../src/store/embedded.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { Database } from '../../src/store/schema.ts'
import { Recorder, type Tenants } from './records.ts'
import type { Room } from './room.ts'

const MIGRATIONS = new URL('../../../migrations/', import.meta.url)
/** As the shipper's. */
const BATCH = 2000
/** The migrations make this month and two more; older records need older months. */
const DAYS = 60
const DAY = 86_400_000
const TENTHS = 10
/** A bench on a busy machine is slow, and no failure. */
export const PATIENT = { queryTimeout: 10 * 60_000, connectTimeout: 60_000 }

export interface Fill {
  readonly rows: number
  readonly writers: number
  readonly tenants: readonly Tenants[]
}

export interface Filled {
  readonly seconds: number
  readonly per_second: number
  /** Of each tenth of the rows. */
  readonly tenths: readonly number[]
}

/** A database with a trail in it, of which nothing but the bench writes. */
export class Trail {
  readonly masterKey = randomBytes(32)
  /** Where the checkpoints are kept, too. */
  readonly dataDir: string
  readonly database: EmbeddedDatabase
  readonly from = Date.now() - DAYS * DAY
  readonly to = Date.now()
  readonly #owner: OpenDatabase

  private constructor(dataDir: string, database: EmbeddedDatabase, owner: OpenDatabase) {
    this.dataDir = dataDir
    this.database = database
    this.#owner = owner
  }

  static async start(room: Room): Promise<Trail> {
    const dataDir = join(room.folder, 'trail')
    await mkdir(dataDir, { mode: 0o711 })
    const database = await startEmbedded(dataDir)
    room.add(() => database.stop())
    await migrate(database.ownerUrl, new URL(database.url).username, MIGRATIONS)
    const owner = openDatabase({ url: database.ownerUrl, size: 1, ...PATIENT })
    room.add(() => owner.close())
    const trail = new Trail(dataDir, database, owner)
    await sql`select ensure_audit_partitions(${new Date(trail.from)})`.execute(owner.db)
    return trail
  }

  /** As the owner of the tables. */
  get db(): Kysely<Database> {
    return this.#owner.db
  }

  /** The same, with the rows of all tenants. */
  get across(): Kysely<Database> {
    return this.#owner.db.across
  }

  /** The environment of a service or a command over it. */
  get env(): Readonly<Record<string, string>> {
    return { DATABASE_URL: this.database.url, VERDICT_MASTER_KEY: this.masterKey.toString('base64') }
  }

  /** What a process leaves that was killed before it shipped anything: a journal in a service's data directory. */
  async leave(dataDir: string, records: number, tenants: readonly Tenants[]): Promise<string> {
    const root = journalRoot(dataDir)
    await mkdir(root, { recursive: true })
    const journal = await Journal.open({ root, fsync: 'off' })
    const recorder = new Recorder(tenants, 99, () => this.to)
    for (let left = records; left > 0; left -= BATCH) {
      const events = Array.from({ length: Math.min(BATCH, left) }, () => recorder.event(1))
      await Promise.all(events.map((event) => journal.append(event.tenant, encodeEvent(event))))
    }
    await journal.close()
    return journal.writer
  }

  /** By writer, how much of its log is in the database. */
  async position(writer: string): Promise<number> {
    const { rows } = await sql<{ position: number }>`
      select position from audit_writers where writer = ${writer}`.execute(this.#owner.db)
    return rows[0]?.position ?? 0
  }

  /**
   * By the way that a shipper's batches take (one statement each, hashed and sealed), with the rights of the service, by
   * several writers at once, each over a connection of its own. Only the journals are left out.
   */
  async fill({ rows, writers, tenants }: Fill): Promise<Filled> {
    const log = { info: () => undefined, warn: complain, error: complain }
    const { db, close } = openDatabase({ url: this.database.url, size: writers + 1, ...PATIENT })
    const sealing = await openSealing({ db, masterKey: this.masterKey, dataDir: this.dataDir, log })
    const progress = new Progress(rows)
    try {
      let left = Math.ceil(rows / BATCH)
      const total = left
      const between = (share: number) => this.from + (this.to - this.from) * share
      const write = async (seed: number) => {
        const [writer, recorder] = [v7(), new Recorder(tenants, seed, between)]
        await sealing.store.position(writer)
        while (left > 0) {
          const at = total - left--
          const count = Math.min(BATCH, rows - at * BATCH)
          await insert(sealing, writer, recorder.batch(count, at / total, (at + 1) / total))
          progress.add(count)
        }
        await sealing.store.close(writer, recorder.next)
      }
      await Promise.all(Array.from({ length: writers }, (_, seed) => write(seed + 1)))
    } finally {
      await sealing.stop()
      await close()
    }
    return progress.end()
  }
}

async function insert({ store }: Sealing, writer: string, batch: ReturnType<Recorder['batch']>): Promise<void> {
  if (!(await store.insert(writer, batch.first, batch))) throw new Error('another has moved the position')
}

function complain(facts: { readonly err?: unknown }, message: string): void {
  console.error(facts.err instanceof Error ? `${message}: ${facts.err.message}` : message)
}

class Progress {
  readonly #rows: number
  readonly #began = performance.now()
  readonly #tenths: number[] = []
  #tenthBegan = performance.now()
  #tenthFrom = 0
  #done = 0

  constructor(rows: number) {
    this.#rows = rows
  }

  add(count: number): void {
    this.#done += count
    if (this.#done - this.#tenthFrom < this.#rows / TENTHS && this.#done < this.#rows) return
    const now = performance.now()
    const rate = ((this.#done - this.#tenthFrom) / (now - this.#tenthBegan)) * 1000
    console.error(`${this.#done.toLocaleString('en')} rows, ${Math.round(rate).toLocaleString('en')} a second`)
    this.#tenths.push(rate)
    this.#tenthBegan = now
    this.#tenthFrom = this.#done
  }

  end(): Filled {
    const seconds = (performance.now() - this.#began) / 1000
    return { seconds, per_second: this.#rows / seconds, tenths: this.#tenths }
  }
}
