import { Redactor } from '../../src/audit/redactor.ts'
import { type AuditFilter, listAudit } from '../../src/store/audit.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import type { Row } from '../section.ts'
import { rounded } from './callers.ts'
import { RESOURCES, randomFrom, rank, resourceAt, SUBJECTS, subjectAt } from './records.ts'
import type { Trail } from './trail.ts'

const LIMIT = 50
const STRIDE = 1000
const DEEP_PAGE = 1000
/** So many questions share the samples of the deep pages. */
const DEEP = 4

interface Question {
  readonly name: string
  readonly first: () => AuditFilter
  /** The n-th of those that find the most. */
  readonly deep: (rank: number) => AuditFilter
}

/** How long pages of `GET /v1/audit` take. */
export class Pages {
  readonly #database: OpenDatabase
  readonly #hash: (text: string) => string
  readonly #tenant: string
  readonly #questions: readonly Question[]

  constructor(trail: Trail, tenant: string) {
    this.#database = openDatabase({ url: trail.database.url, size: 1, queryTimeout: 60_000 })
    this.#hash = new Redactor(trail.masterKey).hashIn(tenant)
    this.#tenant = tenant
    const random = randomFrom(7)
    const instant = (share: number) => new Date(trail.from + (trail.to - trail.from) * share).toISOString()
    this.#questions = [
      {
        name: 'subject',
        first: () => ({ subject_id: subjectAt(rank(random(), SUBJECTS)) }),
        deep: (n) => ({ subject_id: subjectAt(n) }),
      },
      {
        name: 'resource',
        first: () => ({ resource_id: resourceAt(rank(random(), RESOURCES)) }),
        deep: (n) => ({ resource_id: resourceAt(n) }),
      },
      {
        name: 'denied',
        first: () => ({ decision: false, to: instant(random()) }),
        deep: (n) => ({ decision: false, to: instant(1 - n / 100) }),
      },
      { name: 'time', first: () => ({ to: instant(random()) }), deep: (n) => ({ to: instant(1 - n / 100) }) },
    ]
  }

  async measure(samples: number): Promise<Row[]> {
    const rows: Row[] = []
    for (const question of this.#questions) {
      rows.push(await this.#first(question, samples), await this.#deep(question, samples))
      console.error(`pages by ${question.name}: measured`)
    }
    return rows
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  async #first({ name, first }: Question, samples: number): Promise<Row> {
    const times: number[] = []
    for (let sample = 0; sample < samples; sample++) times.push((await this.#page(first(), null)).ms)
    return row(name, 1, times)
  }

  async #deep({ name, deep }: Question, samples: number): Promise<Row> {
    const times: number[] = []
    let shallowest = DEEP_PAGE
    let rows = 0
    for (let n = 0; n < DEEP; n++) {
      const filter = deep(n)
      const wanted = Math.ceil(samples / DEEP)
      const found = await this.#walk(filter, (DEEP_PAGE + wanted) * LIMIT)
      rows += found.read
      const before = Math.max(0, Math.min(DEEP_PAGE - 1, Math.floor(found.read / LIMIT) - wanted))
      shallowest = Math.min(shallowest, before + 1)
      let { cursor } = await this.#walk(filter, before * LIMIT)
      for (let sample = 0; sample < wanted; sample++) {
        const page = await this.#page(filter, cursor)
        times.push(page.ms)
        cursor = page.next
        if (cursor === null) break
      }
    }
    // Pages of nothing are soon read, and say nothing.
    if (rows === 0) throw new Error(`nothing was found by ${name}`)
    return row(name, shallowest, times)
  }

  /** Over so many rows, or all there are, in long pages. @returns the cursor behind them. */
  async #walk(filter: AuditFilter, rows: number): Promise<{ cursor: string | null; read: number }> {
    let [cursor, read]: [string | null, number] = [null, 0]
    while (read < rows) {
      const { next_cursor, items } = await this.#list(filter, Math.min(STRIDE, rows - read), cursor)
      read += items.length
      cursor = next_cursor
      if (cursor === null) break
    }
    return { cursor, read }
  }

  async #page(filter: AuditFilter, cursor: string | null): Promise<{ ms: number; next: string | null }> {
    const began = performance.now()
    const { next_cursor, items } = await this.#list(filter, LIMIT, cursor)
    const ms = performance.now() - began
    for (const item of items)
      if (!fits(item, filter)) throw new Error(`${item.id} does not fit ${JSON.stringify(filter)}`)
    return { ms, next: next_cursor }
  }

  #list(filter: AuditFilter, limit: number, cursor: string | null) {
    return listAudit(this.#database.db.of(this.#tenant), this.#tenant, filter, { limit, cursor }, this.#hash)
  }
}

type Item = Awaited<ReturnType<typeof listAudit>>['items'][number]

function fits(item: Item, { subject_id, resource_id, decision, to }: AuditFilter): boolean {
  return (
    (subject_id === undefined || item.subject?.id === subject_id) &&
    (resource_id === undefined || item.resource?.id === resource_id) &&
    (decision === undefined || item.decision === decision) &&
    (to === undefined || item.at < to)
  )
}

function row(filter: string, page: number, times: readonly number[]): Row {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => rounded(sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN)
  return { filter, page, pages_read: times.length, p50_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1) }
}
