import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { PageParameters } from '../contract/search.ts'
import { Failure } from '../failure.ts'
import { Identifier } from '../policy/model.ts'
import type { SearchQuery } from '../policy/search/search.ts'

export const DEFAULT_LIMIT = 100
export const MAX_LIMIT = 1000

/** What a page begins with. */
export interface PageStart {
  readonly limit: number
  /** '': from the beginning. */
  readonly after: string
}

/** The hash of the query, its limit, and up to where it was looked. */
const Contents = Type.Tuple([
  Type.String(),
  Type.Integer({ minimum: 0, maximum: MAX_LIMIT }),
  Type.Union([Identifier, Type.Literal('')]),
])

/**
 * Where the page begins that is asked for. Fails with `invalid_request` where the token is none, or is one of another
 * query: a page of that would be taken for one of this.
 */
export function pageStart(tenant: string, query: SearchQuery, page: PageParameters = {}): PageStart {
  const limit = page.limit === undefined ? undefined : Math.min(page.limit, MAX_LIMIT)
  if (page.token === undefined) return { limit: limit ?? DEFAULT_LIMIT, after: '' }
  const [hash, first, after] = contentsOf(page.token)
  if (hash !== hashOf(tenant, query, page))
    throw invalid('/page/token', 'is of another query: between pages nothing else changes')
  if (limit !== undefined && limit !== first)
    throw invalid('/page/limit', `was ${first} on the pages before: leave it out, or begin anew`)
  return { limit: first, after }
}

/** The token of the page after `after`. Equal queries have equal ones, and none expires. */
export function tokenOf(
  tenant: string,
  query: SearchQuery,
  page: PageParameters | undefined,
  limit: number,
  after: string,
): string {
  const contents: Static<typeof Contents> = [hashOf(tenant, query, page ?? {}), limit, after]
  return Buffer.from(JSON.stringify(contents)).toString('base64url')
}

function contentsOf(token: string): Static<typeof Contents> {
  const contents = parsed(token)
  if (!Value.Check(Contents, contents)) throw invalid('/page/token', 'is no token of a page')
  return contents
}

function parsed(token: string): unknown {
  const bytes = Buffer.from(token, 'base64url')
  // Node reads over what is no base64url.
  if (bytes.toString('base64url') !== token) return undefined
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function hashOf(tenant: string, query: SearchQuery, { properties }: PageParameters): string {
  const text = JSON.stringify([tenant, inOrder(query), inOrder(properties ?? null)])
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/**
 * The same value with the members of its objects in one order: that in which they were sent says nothing. An object is the
 * list of its members, and a list begins with a mark, so that neither is taken for the other.
 */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return ['[', ...value.map(inOrder)]
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return members.map(([name, member]) => [name, inOrder(member)])
}

function invalid(pointer: string, detail: string): Failure {
  return new Failure('invalid_request', 'this page cannot be found', { problems: [{ pointer, detail }] })
}
