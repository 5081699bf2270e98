import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { EventType } from '../audit/event.ts'
import { Failure } from '../failure.ts'
import { parseInstant } from '../policy/instant.ts'
import { isUnavailable, sqlState } from './database.ts'

/** What the audit can be asked for: members that are present must all match. */
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

/** What stands in the tenant's records in the place of a text that its redaction hashes. */
export type Hash = (text: string) => string

export type Condition = RawBuilder<SqlBool>

/**
 * The filter as conditions. What may be recorded hashed is looked for in both forms, whatever the settings are now:
 * older records were made by older ones.
 */
export function conditionsOf(filter: AuditFilter, hash?: Hash): Condition[] {
  const { decision } = filter
  return [
    ...given(filter.from, (from) => sql`at >= ${instant(from, '/from')}`),
    ...given(filter.to, (to) => sql`at < ${instant(to, '/to')}`),
    ...given(filter.type, (type) => sql`type = ${type}`),
    // Spelled as the partial index of the denied has it.
    ...given(decision, () => (decision ? sql`decision = true` : sql`decision = false`)),
    ...given(filter.reason, (reason) => sql`reason = ${reason}`),
    ...given(filter.actor, (actor) => actorIs(actor, hash)),
    ...given(filter.subject_type, (type) => sql`subject_type = ${type}`),
    ...given(filter.subject_id, (id) => idIs('subject_id', formsOf(id, hash))),
    ...given(filter.action, (action) => sql`action = ${action}`),
    ...given(filter.resource_type, (type) => sql`resource_type = ${type}`),
    ...given(filter.resource_id, (id) => idIs('resource_id', formsOf(id, hash))),
    ...given(filter.rule, (rule) => sql`${rule} = any(rules)`),
    ...given(filter.ip, (ip) => sql`ip = any(${formsOf(ip, hash)})`),
    ...given(filter.request_id, (id) => sql`request_id = ${id}`),
    ...given(filter.trace_id, (id) => sql`trace_id = ${id}`),
  ]
}

/**
 * The same, as alternatives of which each row meets one at most. Each has one form of an id alone: rows of one form
 * come out of an index in the order of time, those of two would have to be sorted.
 */
export function alternativesOf(filter: AuditFilter, hash?: Hash): Condition[][] {
  const { subject_id, resource_id, ...rest } = filter
  const common = conditionsOf(rest, hash)
  const bySubject = forms('subject_id', subject_id, hash)
  const byResource = forms('resource_id', resource_id, hash)
  return bySubject.flatMap((subject) => byResource.map((resource) => [...common, ...subject, ...resource]))
}

function forms(column: 'subject_id' | 'resource_id', id: string | undefined, hash: Hash | undefined): Condition[][] {
  if (id === undefined) return [[]]
  return formsOf(id, hash).map((form) => [idIs(column, [form])])
}

function formsOf(text: string, hash: Hash | undefined): string[] {
  return hash === undefined ? [text] : [text, hash(text)]
}

/** Ids are looked up by a hash of them: an id can be too long for an index. */
function idIs(column: 'subject_id' | 'resource_id', forms: readonly string[]): Condition {
  const [form] = forms
  if (forms.length === 1 && form !== undefined) {
    const [name, hashed] = [sql.ref(column), sql`hashtextextended(${form}, 0)`]
    return sql`(hashtextextended(${name}, 0) = ${hashed} and ${name} = ${form})`
  }
  const hashes = sql.join(forms.map((each) => sql`hashtextextended(${each}, 0)`))
  const name = sql.ref(column)
  return sql`(hashtextextended(${name}, 0) = any(array[${hashes}]) and ${name} = any(${forms}))`
}

// A type holds few colons, if any.
const COLONS = 8

/** An id, or type and id: where a text could be cut in several ways, each is looked for. */
function actorIs(actor: string, hash: Hash | undefined): Condition {
  const clear = sql<SqlBool>`(actor_id = ${actor} or actor_type || ':' || actor_id = ${actor})`
  if (hash === undefined) return clear
  const named = cuts(actor).map((at) => `${actor.slice(0, at)}:${hash(actor.slice(at + 1))}`)
  return sql`(${clear} or actor_id = ${hash(actor)} or actor_type || ':' || actor_id = any(${named}::text[]))`
}

function cuts(text: string): number[] {
  const places: number[] = []
  for (let at = text.indexOf(':'); at !== -1 && places.length < COLONS; at = text.indexOf(':', at + 1)) places.push(at)
  return places
}

function given<T>(value: T | undefined, condition: (value: T) => Condition): Condition[] {
  return value === undefined ? [] : [condition(value)]
}

export function instant(text: string, pointer: string): Date {
  const instant = parseInstant(text)
  if (!Number.isNaN(instant)) return new Date(instant)
  throw new Failure('invalid_request', `${text} is not an instant.`, {
    problems: [{ pointer, detail: 'not an instant' }],
  })
}

/** A question that Postgres gave up is the asker's to make smaller; the database is well. */
export async function bounded<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking
  } catch (error) {
    const cause = isUnavailable(error) && error instanceof Error ? error.cause : undefined
    if (sqlState(cause) !== '57014') throw error
    const problems = [{ pointer: '/from', detail: 'a smaller range of time, by from and to, is answered sooner' }]
    throw new Failure('unprocessable', 'this looks through more records than one question may', { problems, cause })
  }
}
