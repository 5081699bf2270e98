import { type Kysely, sql } from 'kysely'
import { parseInstant } from '../policy/instant.ts'
import type { AuditRow } from './audit.ts'
import type { AuditCursor } from './audit-cursor.ts'
import { type AuditFilter, bounded, type Condition, conditionsOf, type Hash } from './audit-filter.ts'
import type { Database } from './schema.ts'

/** Where a writer's log stands: all its records before `position` can be seen, and no other will come before it. */
export interface WriterHorizon {
  readonly writer: string
  readonly position: number
  /** ms; null: it may take more records. */
  readonly closed_at: number | null
}

export interface AuditQuestion {
  readonly tenant: string
  readonly filter: AuditFilter
  readonly hash: Hash
}

// What begins to close before this long ago has closed: it takes one statement.
const SETTLING_MS = 60_000
/** Rows of a page. The memory of an export is two pages, whatever its length. */
const PAGE = 200
/** How far one statement looks for what matches the filter. */
const WINDOW = 20_000

/**
 * A tenant's records in the order of the logs, from a cursor on. A record that is shipped late, by a replica that was
 * cut off, say, comes at the end of its writer's log: no cursor has passed it, whatever its time is. No connection is
 * held between two pages.
 */
export class AuditReading {
  readonly #db: Kysely<Database>
  readonly #question: AuditQuestion
  /** By writer, how far its log has been read. */
  readonly #next: Map<string, number>
  /** Writers with nothing of the tenant's before this number: a cursor need not tell of them. */
  readonly #empty = new Map<string, number>()
  #settled: number
  #writers: readonly WriterHorizon[] = []

  constructor(db: Kysely<Database>, question: AuditQuestion, cursor: AuditCursor | undefined) {
    this.#db = db
    this.#question = question
    // A filter that can't be meant is refused before anything is sent.
    conditionsOf(question.filter, question.hash)
    this.#next = new Map(cursor?.next)
    this.#settled = cursor?.settled ?? 0
  }

  get tenant(): string {
    return this.#question.tenant
  }

  /** Where a reader goes on who has read everything until now. */
  get cursor(): AuditCursor {
    const next = [...this.#next].filter(([writer]) => !this.#isSettled(this.#horizonOf(writer)))
    return { tenant: this.#question.tenant, settled: this.#settled, next: new Map(next) }
  }

  /** Of each writer with records of the tenant, how far its log is known to be complete. */
  get complete(): readonly { readonly writer: string; readonly position: number; readonly closed: boolean }[] {
    return this.#writers
      .filter(({ writer }) => this.#next.has(writer))
      .map(({ writer, position, closed_at }) => ({ writer, position, closed: closed_at !== null }))
  }

  /** Goes to the end without reading: what comes from now on is unread. */
  async skip(): Promise<void> {
    const horizon = await this.#look()
    for (const { writer, position } of this.#writers) {
      if ((await this.#first(writer, 0, position, [])) === undefined) this.#empty.set(writer, position)
      else this.#next.set(writer, position)
    }
    this.#settled = horizon
  }

  /** Everything that was not read and that there is when it begins, page by page. */
  async *unread(): AsyncGenerator<readonly AuditRow[]> {
    const horizon = await this.#look()
    const stretches = this.#writers.filter((one) => this.#standsAt(one) < one.position)
    const [closed, open] = [
      stretches.filter(isClosedBefore(horizon)),
      stretches.filter((one) => !isClosedBefore(horizon)(one)),
    ]
    // In the order in which they were closed: one instant then tells of all that are read.
    for (const one of closed.sort((a, b) => (a.closed_at ?? 0) - (b.closed_at ?? 0))) {
      this.#settled = Math.max(this.#settled, one.closed_at ?? 0)
      yield* this.#pages(one)
    }
    this.#settled = horizon
    for (const one of open) yield* this.#pages(one)
  }

  async #look(): Promise<number> {
    const { rows } = await sql<{ writer: string; position: number; closed_at: Date | null; now: Date }>`
      select writer, position, closed_at, now() from audit_writers order by writer`.execute(this.#db)
    this.#writers = rows.map(({ writer, position, closed_at }) => {
      return { writer, position, closed_at: closed_at?.getTime() ?? null }
    })
    return Math.max(this.#settled, (rows[0]?.now.getTime() ?? 0) - SETTLING_MS)
  }

  #horizonOf(writer: string): WriterHorizon | undefined {
    return this.#writers.find((one) => one.writer === writer)
  }

  #isSettled(one: WriterHorizon | undefined): boolean {
    return one !== undefined && isClosedBefore(this.#settled)(one)
  }

  #standsAt(one: WriterHorizon): number {
    const next = this.#next.get(one.writer) ?? this.#empty.get(one.writer)
    return next ?? (this.#isSettled(one) ? one.position : 0)
  }

  async *#pages(one: WriterHorizon): AsyncGenerator<readonly AuditRow[]> {
    const { writer, position } = one
    let from = this.#standsAt(one)
    let isFull = false
    while (from < position) {
      // Behind a full page there is more at once; else the next record may stand far away.
      const first = isFull ? from : await this.#first(writer, from, position, this.#months())
      if (first === undefined) break
      const to = Math.min(position, first + WINDOW)
      const rows = await this.#page(writer, first, to)
      isFull = rows.length === PAGE
      from = isFull ? Number(rows.at(-1)?.seq) + 1 : to
      this.#next.set(writer, from)
      if (rows.length > 0) yield rows
    }
    if (this.#next.has(writer)) this.#next.set(writer, position)
    else this.#empty.set(writer, position)
  }

  /** The tenant's first record there, by the index alone. */
  async #first(writer: string, from: number, to: number, also: readonly Condition[]): Promise<number | undefined> {
    const place = [...this.#place(writer, from, to), ...also]
    const { rows } = await sql<{ seq: number }>`
      select seq from audit where ${sql.join(place, sql` and `)} order by seq limit 1`.execute(this.#db)
    return rows[0]?.seq
  }

  async #page(writer: string, from: number, to: number): Promise<readonly AuditRow[]> {
    const { filter, hash } = this.#question
    const wanted = [...this.#place(writer, from, to), ...conditionsOf(filter, hash)]
    const page = sql<AuditRow>`
      select id, writer, seq, record from audit where ${sql.join(wanted, sql` and `)} order by seq limit ${PAGE}`
    return (await bounded(page.execute(this.#db))).rows
  }

  #place(writer: string, from: number, to: number): Condition[] {
    const { tenant } = this.#question
    return [
      sql`tenant_id = ${tenant}`,
      sql`writer = ${writer}::uuid`,
      sql`seq >= ${from}::bigint`,
      sql`seq < ${to}::bigint`,
    ]
  }

  /** The months that the filter's range touches: they are the partitions to look into. */
  #months(): Condition[] {
    const { from, to } = this.#question.filter
    return [
      ...(from === undefined ? [] : [sql<boolean>`at >= ${monthOf(from, 0)}`]),
      ...(to === undefined ? [] : [sql<boolean>`at < ${monthOf(to, 1)}`]),
    ]
  }
}

function isClosedBefore(instant: number): (one: WriterHorizon) => boolean {
  return ({ closed_at }) => closed_at !== null && closed_at < instant
}

function monthOf(instant: string, later: number): Date {
  const at = new Date(parseInstant(instant))
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later))
}
