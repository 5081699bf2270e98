import { createHash } from 'node:crypto'
import { type Kysely, type RawBuilder, type Selectable, type SqlBool, sql } from 'kysely'
import Type from 'typebox'
import { validate, version } from 'uuid'
import type { AuditEvent, EventType } from '../audit/event.ts'
import { Failure } from '../failure.ts'
import { parseInstant } from '../policy/instant.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Database } from './schema.ts'

/** What `/v1/audit` can be asked for: members that are present must all match. */
export interface AuditFilter {
  /** RFC 3339; the instant itself is in. */
  readonly from?: string | undefined
  /** RFC 3339; the instant itself is out. */
  readonly to?: string | undefined
  readonly type?: EventType | undefined
  readonly decision?: boolean | undefined
  readonly reason?: string | undefined
  /** An actor's id, or its type and id with a `:` between. */
  readonly actor?: string | undefined
  readonly subject_type?: string | undefined
  readonly subject_id?: string | undefined
  readonly action?: string | undefined
  readonly resource_type?: string | undefined
  readonly resource_id?: string | undefined
  /** `policy/name`. */
  readonly rule?: string | undefined
  readonly ip?: string | undefined
  readonly request_id?: string | undefined
  readonly trace_id?: string | undefined
}

export interface AuditPage extends Page {
  /** `desc` (newest first) where none is given. */
  readonly order?: 'asc' | 'desc' | undefined
}

/** The event as it was recorded, and where it stands. */
export type AuditItem = AuditEvent & {
  readonly tenant_seq: number
  readonly writer: string
  readonly seq: number
  /** RFC 6962's leaf hash of the recorded bytes, in hex. */
  readonly hash: string
}

type AuditRow = Pick<Selectable<Database['audit']>, 'id' | 'writer' | 'seq' | 'record'>

const AuditCursor = Type.Tuple([Type.String(), Type.String({ format: 'uuid' })])

/** Events of a tenant, by time. A cursor goes with the filter and the order that it was given out for. */
export async function listAudit(
  db: Kysely<Database>,
  tenant: string,
  filter: AuditFilter,
  page: AuditPage,
): Promise<Listed<AuditItem>> {
  const order = page.order ?? 'desc'
  const question = fingerprint(filter, order)
  const after = readCursor(page.cursor, question)
  const rows = await db
    .selectFrom('audit')
    .select(['id', 'writer', 'seq', 'record'])
    .where('tenant_id', '=', tenant)
    .where((where) => where.and(conditions(filter)))
    .$if(after !== undefined, (query) => query.where(beyond(after ?? '', order)))
    .orderBy('at', order)
    .orderBy('id', order)
    .limit(page.limit + 1)
    .execute()
  return paged(rows, page.limit, (row) => [question, row.id], itemOf)
}

/** One event of a tenant; undefined if there is none with this id. */
export async function getAudit(db: Kysely<Database>, tenant: string, id: string): Promise<AuditItem | undefined> {
  const row = await findAuditRecord(db, tenant, id)
  return row === undefined ? undefined : itemOf(row)
}

/** The exact bytes of one event of a tenant, and where they stand; undefined if there is none with this id. */
export async function findAuditRecord(db: Kysely<Database>, tenant: string, id: string): Promise<AuditRow | undefined> {
  if (!isEventId(id)) return undefined
  return db
    .selectFrom('audit')
    .select(['id', 'writer', 'seq', 'record'])
    .where('tenant_id', '=', tenant)
    .where('at', '=', instantOf(id))
    .where('id', '=', id)
    .executeTakeFirst()
}

type Condition = RawBuilder<SqlBool>

/** Ids are looked up by a hash of them: an id can be too long for an index. */
function conditions(filter: AuditFilter): Condition[] {
  const { decision } = filter
  return [
    ...given(filter.from, (from) => sql`at >= ${instant(from, '/from')}`),
    ...given(filter.to, (to) => sql`at < ${instant(to, '/to')}`),
    ...given(filter.type, (type) => sql`type = ${type}`),
    // Spelled as the partial index of the denied has it.
    ...given(decision, () => (decision ? sql`decision = true` : sql`decision = false`)),
    ...given(filter.reason, (reason) => sql`reason = ${reason}`),
    ...given(filter.actor, (actor) => sql`(actor_id = ${actor} or actor_type || ':' || actor_id = ${actor})`),
    ...given(filter.subject_type, (type) => sql`subject_type = ${type}`),
    ...given(filter.subject_id, (id) => sql`hashtextextended(subject_id, 0) = hashtextextended(${id}, 0)`),
    ...given(filter.subject_id, (id) => sql`subject_id = ${id}`),
    ...given(filter.action, (action) => sql`action = ${action}`),
    ...given(filter.resource_type, (type) => sql`resource_type = ${type}`),
    ...given(filter.resource_id, (id) => sql`hashtextextended(resource_id, 0) = hashtextextended(${id}, 0)`),
    ...given(filter.resource_id, (id) => sql`resource_id = ${id}`),
    ...given(filter.rule, (rule) => sql`${rule} = any(rules)`),
    ...given(filter.ip, (ip) => sql`ip = ${ip}`),
    ...given(filter.request_id, (id) => sql`request_id = ${id}`),
    ...given(filter.trace_id, (id) => sql`trace_id = ${id}`),
  ]
}

function given<T>(value: T | undefined, condition: (value: T) => Condition): Condition[] {
  return value === undefined ? [] : [condition(value)]
}

function instant(text: string, pointer: string): Date {
  const instant = parseInstant(text)
  if (!Number.isNaN(instant)) return new Date(instant)
  throw new Failure('invalid_request', `${text} is not an instant.`, {
    problems: [{ pointer, detail: 'not an instant' }],
  })
}

/** Past the event `id` in this order. */
function beyond(id: string, order: 'asc' | 'desc'): Condition {
  const at = instantOf(id)
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

/** The instant in a UUIDv7: its first 48 bits. */
function instantOf(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16))
}

const LEAF = Buffer.of(0)

function itemOf({ writer, seq, record }: AuditRow): AuditItem {
  const hash = createHash('sha256').update(LEAF).update(record).digest('hex')
  return { ...JSON.parse(record.toString('utf8')), writer, seq, hash }
}
