import type { Redactor } from '../audit/redactor.ts'
import { Gate } from '../authn/gate.ts'
import type { PageParameters } from '../contract/search.ts'
import { Failure } from '../failure.ts'
import type { Asking, Trail } from '../pdp.ts'
import { bareEntity, builtInPolicy, holdingBuiltIn, isBuiltIn } from '../policy/built-in.ts'
import type { EntityFacts, Facts } from '../policy/entity-graph.ts'
import { judgeRequest } from '../policy/judgement.ts'
import type { Settings } from '../policy/model.ts'
import { type FoundPage, PageInProgress, SEARCH_LIMITS, type SearchLimits } from '../policy/search/found-page.ts'
import {
  type ActionQuery,
  type Court,
  type EntityQuery,
  givenOf,
  type SearchQuery,
  searchActions,
  searchEntities,
} from '../policy/search/search.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import { builtInRoles, type TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { Walk } from '../snapshot/walks.ts'
import { reached } from './freshness.ts'
import { type PageStart, pageStart, tokenOf } from './page-token.ts'
import { scanEntities } from './scan.ts'
import { searchEvent } from './search-event.ts'

export interface SearchParts {
  readonly snapshots: Snapshots
  readonly trail: Trail
  /** ms since the epoch. */
  readonly clock: () => number
  readonly redactor: Redactor
  readonly limits?: SearchLimits
}

export interface SearchAsked {
  readonly query: SearchQuery
  readonly page: PageParameters | undefined
  readonly min_revision: number | undefined
}

export interface SearchAnswer {
  /** Of the record. */
  readonly id: string
  /** '': there is nothing more. */
  readonly next_token: string
  /** Ids, or names of actions. */
  readonly results: readonly string[]
}

/** A page, and what it was made of: the one revision that all of it was found at. */
export interface Made {
  readonly found: FoundPage
  readonly revision: number
  readonly settings: Required<Settings>
}

// All searches share the slices of one thread: more of them at once would only hold more half-made pages.
const PER_TENANT = { atOnce: 8, waiting: 100, what: 'searches' }

/** One page of a search: found in slices, recorded, then answered. Fails as `evaluate` does, with `busy`, and `throttled`. */
export type Search = (asking: Asking, asked: SearchAsked) => Promise<SearchAnswer>

/** Whoever is judged by, for a tenant as it is in this turn. */
export type CourtOf = (tenant: TenantSnapshot, query: SearchQuery) => Court

export function createSearch({ snapshots, trail, clock, redactor, limits = SEARCH_LIMITS }: SearchParts): Search {
  const builtIn = builtInPolicy()
  const gate = new Gate(PER_TENANT)

  const courtOf: CourtOf = (tenant, query) => {
    const now = clock()
    if (!isAboutVerdict(query)) return { index: tenant.index, isBuiltIn: false, now, seen: (facts) => facts }
    const seen = (facts: Facts) => holdingBuiltIn(facts, builtInRoles(tenant, facts.subject, now))
    return { index: builtIn, isBuiltIn: true, now, seen }
  }

  async function make(tenant: string, query: SearchQuery, start: PageStart): Promise<Made> {
    if (query.kind === 'action') return await makeActions(tenant, query, start)
    await snapshots.list(tenant)
    const made = await snapshots.walkFrom(tenant, givenOf(query), (snapshot, given) => {
      refuseUnfit(snapshot, query, factsWith(query, given))
      const { directory, lookup } = snapshot
      if (directory === undefined && snapshot.status !== 'suspended') return undefined
      return walkOver(snapshot, start, limits, (page) =>
        directory === undefined
          ? undefined
          : searchEntities(courtOf(snapshot, query), query, given, { directory, lookup, after: start.after }, page),
      )
    })
    return made ?? (await scanEntities({ snapshots, courtOf, limits }, tenant, query, start))
  }

  async function makeActions(tenant: string, query: ActionQuery, start: PageStart): Promise<Made> {
    const made = await snapshots.walk(tenant, query, (snapshot, facts) => {
      refuseUnfit(snapshot, query, facts)
      return walkOver(snapshot, start, limits, (page) =>
        searchActions(courtOf(snapshot, query), query, facts, start.after, page),
      )
    })
    if (made === undefined) throw new Failure('internal', 'a search of actions came to nothing')
    return made
  }

  return async (asking, { query, page, min_revision }) => {
    const start = pageStart(asking.tenant, query, page)
    await reached(snapshots, asking, min_revision)
    const { found, revision, settings } = await gate.with(asking.tenant, () => make(asking.tenant, query, start))
    const { results, next } = found
    const told = { count: results.length, complete: next === undefined, limit: start.limit, revision }
    const event = redactor.event(searchEvent(asking, query, page, told, clock()), settings)
    const seq = await trail.record(event)
    asking.recorded = true
    if (settings.audit_mode === 'commit') await trail.committed(seq)
    const next_token = next === undefined ? '' : tokenOf(asking.tenant, query, page, start.limit, next)
    return { id: event.id, next_token, results }
  }
}

/** A page that is filled step by step. Of a suspended tenant nobody may do anything. */
function walkOver(
  { status, revision, index }: TenantSnapshot,
  start: PageStart,
  limits: SearchLimits,
  search: (page: PageInProgress) => Generator<undefined, FoundPage> | undefined,
): Walk<Made> {
  const { settings } = index
  const page = new PageInProgress(start, limits)
  const made = (found: FoundPage): Made => ({ found, revision, settings })
  const steps = (function* (): Generator<undefined, Made> {
    if (start.limit === 0) return made(page.soFar)
    const searching = status === 'suspended' ? undefined : search(page)
    return made(searching === undefined ? page.last : yield* searching)
  })()
  return { steps, cut: () => (page.isBegun ? made(page.soFar) : undefined) }
}

function isAboutVerdict(query: SearchQuery): boolean {
  return isBuiltIn(query.resource.type) || (query.kind !== 'action' && isBuiltIn(query.action.name))
}

/** Properties of a request that do not fit their types are refused, as they would be of a decision. */
function refuseUnfit(tenant: TenantSnapshot, query: SearchQuery, facts: Facts): void {
  if (tenant.status === 'suspended' || isAboutVerdict(query)) return
  const { problems } = judgeRequest(tenant.index, facts, {
    subject: query.kind === 'subject' ? NOBODY : query.subject,
    action: { name: '*' },
    resource: query.kind === 'resource' ? NOBODY : query.resource,
  })
  if (problems.length === 0) return
  throw new Failure('invalid_request', 'the properties do not fit the declared types', { problems })
}

/** Brings no properties, and so nothing that could be judged. */
const NOBODY = { type: '*', id: '*' } as const

function factsWith({ kind }: EntityQuery, given: EntityFacts): Facts {
  const other = bareEntity(NOBODY)
  return kind === 'subject' ? { subject: other, resource: given } : { subject: given, resource: other }
}
