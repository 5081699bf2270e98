import { createHash } from 'node:crypto'
import { type Kysely, type Selectable, sql } from 'kysely'
import Type from 'typebox'
import { validate, version } from 'uuid'
import type { AuditEvent } from '../audit/event.ts'
import { instantIn } from '../audit/event-id.ts'
import { EventTypes } from '../contract/audit-reading.ts'
import { Failure } from '../failure.ts'
import { type AuditFilter, alternativesOf, bounded, type Condition, type Hash } from './audit-filter.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Database } from './schema.ts'

export type { AuditFilter } from './audit-filter.ts'

export interface AuditPage extends Page {
  /** `desc` (newest first) where none is given. */
  readonly order?: 'asc' | 'desc' | undefined
}

/** The event as it was recorded, and where it stands. */
export type AuditItem = Partial<AuditEvent> & {
  readonly id: string
  readonly at: string
  readonly tenant: string
  readonly tenant_seq?: number
  /** What is stored is no event any more: of it is told where it stands, and no more. */
  readonly unreadable?: true
  readonly writer: string
  readonly seq: number
  /** RFC 6962's leaf hash of the recorded bytes, in hex. */
  readonly hash: string
}

export type AuditRow = Pick<Selectable<Database['audit']>, 'id' | 'writer' | 'seq' | 'record'>

const AuditCursor = Type.Tuple([Type.String(), Type.String({ format: 'uuid' })])

/** Events of a tenant, by time. A cursor goes with the filter and the order that it was given out for. */
export async function listAudit(
  db: Kysely<Database>,
  tenant: string,
  filter: AuditFilter,
  page: AuditPage,
  hash?: Hash,
): Promise<Listed<AuditItem>> {
  const order = page.order ?? 'desc'
  const question = fingerprint(filter, order)
  const after = readCursor(page.cursor, question)
  const beginning = after === undefined ? [] : [beyond(after, order)]
  const inOrder = order === 'desc' ? sql`order by at desc, id desc` : sql`order by at, id`
  const first = sql`${inOrder} limit ${page.limit + 1}`
  const found = alternativesOf(filter, hash).map((alternative) => {
    const wanted = sql.join([sql`tenant_id = ${tenant}`, ...alternative, ...beginning], sql` and `)
    return sql`(select at, id, writer, seq, record from audit where ${wanted} ${first})`
  })
  const all = sql<AuditRow>`select * from (${sql.join(found, sql` union all `)}) found ${first}`
  const { rows } = await bounded(all.execute(db))
  return paged(
    rows,
    page.limit,
    (row) => [question, row.id],
    (row) => itemOf(row, tenant),
  )
}

/** One event of a tenant; undefined if there is none with this id. */
export async function getAudit(db: Kysely<Database>, tenant: string, id: string): Promise<AuditItem | undefined> {
  const row = await findAuditRecord(db, tenant, id)
  return row === undefined ? undefined : itemOf(row, tenant)
}

/** The exact bytes of one event of a tenant, and where they stand; undefined if there is none with this id. */
export async function findAuditRecord(db: Kysely<Database>, tenant: string, id: string): Promise<AuditRow | undefined> {
  if (!isEventId(id)) return undefined
  return db
    .selectFrom('audit')
    .select(['id', 'writer', 'seq', 'record'])
    .where('tenant_id', '=', tenant)
    .where('at', '=', new Date(instantIn(id)))
    .where('id', '=', id)
    .executeTakeFirst()
}

/** Past the event `id` in this order. */
function beyond(id: string, order: 'asc' | 'desc'): Condition {
  const at = new Date(instantIn(id))
  return order === 'desc' ? sql`(at, id) < (${at}, ${id}::uuid)` : sql`(at, id) > (${at}, ${id}::uuid)`
}

function readCursor(cursor: string | null | undefined, question: string): string | undefined {
  const keys = decodeCursor(cursor, AuditCursor)
  if (keys === undefined) return undefined
  const [asked, id] = keys
  if (asked === question && isEventId(id)) return id
  const problems = [{ pointer: '/cursor', detail: 'given out for another filter or order' }]
  throw new Failure('invalid_request', 'The cursor belongs to another filter or order.', { problems })
}

function fingerprint(filter: AuditFilter, order: string): string {
  const members = Object.entries(filter).filter(([, value]) => value !== undefined)
  members.sort(([one], [other]) => (one < other ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([order, members]))
    .digest('base64url')
    .slice(0, 16)
}

function isEventId(id: string): boolean {
  return validate(id) && version(id) === 7
}

const LEAF = Buffer.of(0)

export function itemOf(row: AuditRow, tenant: string): AuditItem {
  const { id, writer, seq, record } = row
  const place = { writer, seq, hash: createHash('sha256').update(LEAF).update(record).digest('hex') }
  const event = eventIn(record.toString('utf8'))
  if (event !== undefined) return { ...event, ...place }
  return { id, at: new Date(instantIn(id)).toISOString(), tenant, unreadable: true, ...place }
}

/** One line of an export: the exact recorded text, with where it stands added behind its last member. */
export function lineOf(row: AuditRow, tenant: string): string {
  const text = row.record.toString('utf8')
  const item = itemOf(row, tenant)
  if (item.unreadable || !text.endsWith('}') || text.includes('\n')) return `${JSON.stringify(item)}\n`
  return `${text.slice(0, -1)},"writer":"${item.writer}","seq":${item.seq},"hash":"${item.hash}"}\n`
}

// As every writer writes it.
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const TYPES: ReadonlySet<unknown> = new Set(EventTypes.anyOf.map(({ const: type }) => type))

/** The event that the text holds; undefined where somebody has made it hold none. */
function eventIn(text: string): AuditEvent | undefined {
  try {
    const event: unknown = JSON.parse(text)
    return isEvent(event) ? event : undefined
  } catch {
    return undefined
  }
}

/** As far as answers hang on it: who wrote it wrote the rest as well. */
function isEvent(event: unknown): event is AuditEvent {
  if (typeof event !== 'object' || event === null) return false
  const { id, at, tenant, type }: { id?: unknown; at?: unknown; tenant?: unknown; type?: unknown } = event
  if (typeof id !== 'string' || typeof at !== 'string' || typeof tenant !== 'string') return false
  return validate(id) && INSTANT.test(at) && TYPES.has(type)
}
