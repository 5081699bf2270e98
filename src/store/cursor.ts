import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { Failure } from '../failure.ts'

/** Which page of a list: at most `limit` items (1 to 1000), after where `cursor` stands. */
export interface Page {
  readonly limit: number
  readonly cursor?: string | null | undefined
}

export interface Listed<T> {
  readonly items: readonly T[]
  /** null: this was the last page. */
  readonly next_cursor: string | null
}

/** The keys of the last row of a page, as opaque text. */
export function encodeCursor(keys: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(keys)).toString('base64url')
}

/** The keys that a cursor holds; undefined where there is no cursor. It came from outside, so its shape is checked. */
export function decodeCursor<S extends TSchema>(cursor: string | null | undefined, shape: S): Static<S> | undefined {
  if (cursor === null || cursor === undefined) return undefined
  const keys = parse(cursor)
  if (!Value.Check(shape, keys)) throw malformed()
  return keys
}

/** Makes a page of rows that were read with one more than `limit`: that one says whether there is a next page. */
export function paged<Row, T>(
  rows: readonly Row[],
  limit: number,
  keysOf: (row: Row) => readonly (string | number)[],
  itemOf: (row: Row) => T,
): Listed<T> {
  const shown = rows.slice(0, limit)
  const last = rows.length > limit ? shown.at(-1) : undefined
  return { items: shown.map(itemOf), next_cursor: last === undefined ? null : encodeCursor(keysOf(last)) }
}

function parse(cursor: string): unknown {
  const text = Buffer.from(cursor, 'base64url').toString('utf8')
  try {
    // What Postgres can't take as text must not reach it.
    return text.includes('\\u') ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function malformed(): Failure {
  const problems = [{ pointer: '/cursor', detail: 'not a cursor that this list gave out' }]
  return new Failure('invalid_request', 'the cursor is not one that this list gave out', { problems })
}
