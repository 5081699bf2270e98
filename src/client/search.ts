import type { AccessRequest, EntityRef } from '../policy/model.ts'
import type { Input } from './contract.ts'
import { type CallOptions, isUnknownRevision, JSON_HEADERS, jsonText } from './decisions.ts'
import { Listing, type Page } from './listing.ts'
import type { OwnRevision } from './revision.ts'
import { isObject, type Members, notAnAnswer } from './shape.ts'
import type { Transport } from './transport.ts'

type Known = Input<AccessRequest>

/** What is searched for is named by its type alone. */
type Sought<Named extends { readonly type: string }> = Omit<Named, 'id'>

export interface SubjectSearch extends Omit<Known, 'subject' | 'options'> {
  readonly subject: Sought<Known['subject']>
}
export interface ResourceSearch extends Omit<Known, 'resource' | 'options'> {
  readonly resource: Sought<Known['resource']>
}
export type ActionSearch = Omit<Known, 'action' | 'options'>

export interface SearchOptions extends CallOptions {
  /** How many results a page has at most; as many as the server likes where it is left out. */
  readonly limit?: number
  readonly minRevision?: number
}

/** Who may, on what, and which actions: AuthZEN's searches. An error ends the iteration: what came until then is a part. */
export class Search {
  readonly #transport: Transport
  readonly #revision: OwnRevision

  constructor(transport: Transport, revision: OwnRevision) {
    this.#transport = transport
    this.#revision = revision
  }

  subjects(search: SubjectSearch, options: SearchOptions = {}): Listing<EntityRef> {
    return this.#listing('subject', search, options, isRef)
  }

  resources(search: ResourceSearch, options: SearchOptions = {}): Listing<EntityRef> {
    return this.#listing('resource', search, options, isRef)
  }

  actions(search: ActionSearch, options: SearchOptions = {}): Listing<{ readonly name: string }> {
    return this.#listing('action', search, options, isAction)
  }

  #listing<Found>(
    kind: 'subject' | 'resource' | 'action',
    search: object,
    options: SearchOptions,
    isFound: (given: unknown) => given is Found,
  ): Listing<Found> {
    return new Listing(async (token) => {
      const body = await this.#ask(`/access/v1/search/${kind}`, { ...search, page: pageAsked(token, options) }, options)
      return pageIn(body, isFound)
    })
  }

  async #ask(path: string, body: object, { timeoutMs, signal, minRevision }: SearchOptions): Promise<unknown> {
    const own = this.#revision.newest
    const atLeast = this.#revision.atLeast(minRevision)
    // It is no part of what is searched for: the pages of one search may be asked for with different ones.
    const asked = atLeast === undefined ? body : { ...body, options: { min_revision: atLeast } }
    try {
      const call = {
        method: 'POST',
        path,
        headers: JSON_HEADERS,
        body: jsonText(asked),
        retry: 'repeatable',
        timeoutMs,
        signal,
      } as const
      return (await this.#transport.json(call)).body
    } catch (error) {
      if (own !== undefined && isUnknownRevision(error)) this.#revision.forget(own)
      throw error
    }
  }
}

function pageAsked(token: string | undefined, { limit }: SearchOptions): object {
  return { ...(token !== undefined && { token }), ...(limit !== undefined && { limit }) }
}

function pageIn<Found>(body: unknown, isFound: (given: unknown) => given is Found): Page<Found> {
  const { results, page } = isObject(body) ? body : NONE
  if (!Array.isArray(results) || !results.every(isFound)) throw notAnAnswer('page of results')
  return { items: results, next: nextIn(page) }
}

const NONE: Members = {}

function nextIn(page: unknown): string | undefined {
  if (page === undefined) return undefined
  const token = isObject(page) ? page['next_token'] : null
  if (typeof token !== 'string') throw notAnAnswer('page of results: it does not say whether there is more')
  return token === '' ? undefined : token
}

const isRef = (given: unknown): given is EntityRef =>
  isObject(given) && typeof given['type'] === 'string' && typeof given['id'] === 'string'

const isAction = (given: unknown): given is { readonly name: string } =>
  isObject(given) && typeof given['name'] === 'string'
