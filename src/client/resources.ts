import type { Answer, Body, Filter, Item } from './contract.ts'
import { type CallOptions, jsonText } from './decisions.ts'
import { VerdictError } from './error.ts'
import { Listing, type Page } from './listing.ts'
import type { OwnRevision } from './revision.ts'
import { isObject, notAnAnswer } from './shape.ts'
import type { Answered, Call, Transport } from './transport.ts'

export interface ReadOptions extends CallOptions {
  /** For operators: the tenant to act in. */
  readonly tenant?: string
}

export interface WriteOptions extends ReadOptions {
  /** Why; kept in the change log. */
  readonly reason?: string
  /** The `version` that it still has to be at (of a bundle, the revision); else it is a `version_mismatch`. */
  readonly ifMatch?: number
  /** Chosen here where it is left out, so that a try whose answer was lost is not done twice. */
  readonly idempotencyKey?: string
}

export interface ListOptions extends ReadOptions {
  /** How many a page has: 1 to 1000. */
  readonly limit?: number
}

/** What is kept under a name: `list`, `get`, `put`, `delete`, with the types of their routes. */
export interface Documents<List, Get, Put> {
  list(filter?: Filter<List>, options?: ListOptions): Listing<Item<List>>
  get(name: string, options?: ReadOptions): Promise<Answer<Get>>
  /** Creates it or replaces it. */
  put(name: string, document: Body<Put>, options?: WriteOptions): Promise<Answer<Put>>
  delete(name: string, options?: WriteOptions): Promise<void>
}

type Query = Readonly<Record<string, string | undefined>>
type Write = 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Reading and writing over REST: whatever is asked, errors, pages, retries and revisions are the same. */
export class Rest {
  readonly #transport: Transport
  readonly #revision: OwnRevision

  constructor(transport: Transport, revision: OwnRevision) {
    this.#transport = transport
    this.#revision = revision
  }

  documents<List extends { readonly url: string }, Get, Put>(path: List['url']): Documents<List, Get, Put> {
    const at = (name: string) => `${path}/${segment(name)}`
    return {
      list: (filter, options) => this.list<List>(path, filter, options),
      get: async (name, options) => this.get<Get>(at(name), {}, options),
      put: async (name, document, options) => this.write<Put>('PUT', at(name), document, options),
      delete: async (name, options) => this.remove(at(name), options),
    }
  }

  list<Route>(path: string, filter: Query = {}, { limit, ...options }: ListOptions = {}): Listing<Item<Route>> {
    return new Listing(async (cursor) => {
      const query = { ...filter, cursor, ...(limit !== undefined && { limit: String(limit) }) }
      const page = await this.get<Route>(path, query, options)
      return pageIn<Item<Route>>(page)
    })
  }

  async get<Route>(path: string, query: Query = {}, options: ReadOptions = {}): Promise<Answer<Route>> {
    const call = {
      method: 'GET',
      path: path + queryText(query),
      headers: tenantHeader(options),
      retry: 'repeatable',
    } as const
    return answerOf<Route>(await this.#transport.json({ ...call, ...limits(options) }))
  }

  /** `secret`: the answer shows it this once, so that a second try would lose it. */
  async write<Route>(
    method: Write,
    path: string,
    body: unknown,
    options: WriteOptions = {},
    kind: 'plain' | 'secret' | 'unkeyed' = 'plain',
  ): Promise<Answer<Route>> {
    const isJson = typeof body !== 'string'
    const headers = {
      ...(body !== undefined && { 'content-type': isJson ? 'application/json' : 'application/yaml' }),
      ...writeHeaders(options, kind),
    }
    const text = isJson && body !== undefined ? jsonText(body) : body
    return answerOf<Route>(
      await this.#written(
        { method, path, headers, body: text, retry: kind === 'plain' ? 'repeatable' : 'unanswered' },
        options,
      ),
    )
  }

  async remove(path: string, options: WriteOptions = {}, kind: 'plain' | 'unkeyed' = 'plain'): Promise<void> {
    const retry = kind === 'plain' ? 'repeatable' : 'unanswered'
    await this.#written({ method: 'DELETE', path, headers: writeHeaders(options, kind), retry }, options)
  }

  /** Lines of JSON: many at once, all or nothing. */
  async lines<Route>(path: string, lines: Iterable<unknown>, options: WriteOptions = {}): Promise<Answer<Route>> {
    const body = [...lines].map((line) => `${jsonText(line)}\n`).join('')
    const headers = { 'content-type': 'application/x-ndjson', ...writeHeaders(options, 'unkeyed') }
    return answerOf<Route>(await this.#written({ method: 'POST', path, headers, body, retry: 'unanswered' }, options))
  }

  async #written(call: Call, options: WriteOptions): Promise<Answered> {
    const answered = await this.#transport.json({ ...call, ...limits(options) })
    // Another tenant's revisions are none of those that this client asks about.
    if (options.tenant === undefined) this.#revision.note(answered.headers)
    return answered
  }
}

const limits = ({ timeoutMs, signal }: CallOptions) => ({ timeoutMs, signal })

const tenantHeader = ({ tenant }: ReadOptions) => (tenant === undefined ? {} : { 'verdict-tenant': tenant })

function writeHeaders(options: WriteOptions, kind: 'plain' | 'secret' | 'unkeyed'): Record<string, string> {
  const { reason, ifMatch, idempotencyKey } = options
  const key = kind === 'unkeyed' ? undefined : (idempotencyKey ?? randomKey())
  return {
    ...tenantHeader(options),
    ...(key !== undefined && { 'idempotency-key': key }),
    ...(reason !== undefined && { 'verdict-reason': headerText(reason) }),
    ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
  }
}

/** `crypto.randomUUID` is there in secure contexts only. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function headerText(text: string): string {
  if (/^[ -~]+$/.test(text)) return text
  throw new VerdictError('bad_request', 'a reason is written in visible ASCII: a header carries it')
}

/** A segment that is all dots would be taken for the folder above, whatever it is escaped as. */
export function segment(name: string): string {
  if (name === '' || /^\.+$/.test(name)) throw new VerdictError('bad_request', `${JSON.stringify(name)} fits no path`)
  return encodeURIComponent(wellFormed(name))
}

export function queryText(query: Query): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) given.set(name, wellFormed(value))
  }
  return given.size === 0 ? '' : `?${given}`
}

/** A lone surrogate would become another character on the way, and so another name. */
function wellFormed(text: string): string {
  if (!/\p{Cs}/u.test(text)) return text
  throw new VerdictError('bad_request', `${JSON.stringify(text)} is not well-formed Unicode`)
}

/** Administration acts on nothing but what it sent: members are the server's word, as everywhere over REST. */
function answerOf<Route>({ body }: Answered): Answer<Route> {
  if (body !== undefined && !isObject(body)) throw notAnAnswer('document')
  return body as Answer<Route>
}

function pageIn<I>(given: unknown): Page<I> {
  const { items, next_cursor } = isObject(given) ? given : { items: undefined, next_cursor: undefined }
  if (!Array.isArray(items) || (typeof next_cursor !== 'string' && next_cursor !== null)) throw notAnAnswer('page')
  return { items, next: next_cursor ?? undefined }
}
