import { BUILT_IN_ROLES, isBuiltIn } from '../built-in.ts'
import { type EntityFacts, type Facts, gatherFacts, type Lookup } from '../entity-graph.ts'
import type { AccessRequest, EntityRef } from '../model.ts'
import type { PolicyIndex } from '../policy-index.ts'
import { candidatesIn } from './candidates.ts'
import type { Directory } from './directory.ts'
import { EVERYTHING, type Extent, orEverything } from './extent.ts'
import type { FoundPage, PageInProgress } from './found-page.ts'
import { type Judged, judge } from './judge.ts'
import { SortedTexts } from './sorted-texts.ts'
import { whatMay } from './what.ts'
import { whoMay } from './who.ts'

type Named = AccessRequest['subject']
type Action = AccessRequest['action']

interface InContext {
  readonly context?: AccessRequest['context']
}

/** Which subjects of a type may do this? */
export interface SubjectQuery extends InContext {
  readonly kind: 'subject'
  readonly subject: { readonly type: string }
  readonly action: Action
  readonly resource: Named
}

/** On which resources of a type may this subject do this? */
export interface ResourceQuery extends InContext {
  readonly kind: 'resource'
  readonly subject: Named
  readonly action: Action
  readonly resource: { readonly type: string }
}

/** What may this subject do on this resource? */
export interface ActionQuery extends InContext {
  readonly kind: 'action'
  readonly subject: Named
  readonly resource: Named
}

export type EntityQuery = SubjectQuery | ResourceQuery
export type SearchQuery = EntityQuery | ActionQuery

/** What candidates are decided by: a tenant's policy, or the policy `pdp` and the roles that count for it. */
export interface Court {
  readonly index: PolicyIndex
  readonly isBuiltIn: boolean
  /** ms since 1970. */
  readonly now: number
  /** The facts as the policy sees them. */
  readonly seen: (facts: Facts) => Facts
}

/** The entity that a query names. */
export function givenOf(query: EntityQuery): EntityRef {
  return query.kind === 'subject' ? query.resource : query.subject
}

/** The type of what is searched for. */
export function typeOf(query: EntityQuery): string {
  return query.kind === 'subject' ? query.subject.type : query.resource.type
}

/** Where to look; what cannot be narrowed down in a reasonable time is everything. */
export function narrowed(court: Court, query: EntityQuery, given: EntityFacts) {
  if (court.isBuiltIn) return holdersOfBuiltIn(query)
  const { index, now } = court
  const sought = { index, type: query.resource.type, action: query.action.name, now }
  return orEverything(query.kind === 'subject' ? whoMay(sought, given) : whatMay(sought, given))
}

function* holdersOfBuiltIn({ kind }: EntityQuery): Generator<undefined, readonly Extent[]> {
  if (kind === 'resource') return EVERYTHING
  return BUILT_IN_ROLES.map((role) => ({ kind: 'holders', role, within: [] }))
}

/** Fills a page with those of a type that may (or may be done to); yields between two that it looks at. */
export function* searchEntities(
  court: Court,
  query: EntityQuery,
  given: EntityFacts,
  world: { readonly directory: Directory; readonly lookup: Lookup; readonly after: string },
  page: PageInProgress,
): Generator<undefined, FoundPage> {
  const { directory, lookup, after } = world
  const extents: readonly Extent[] = yield* narrowed(court, query, given)
  const type = typeOf(query)
  const missing: EntityRef[] = []
  for (const id of candidatesIn(directory, type, extents, after)) {
    yield
    if (id === undefined) continue
    if (page.isSpent) return page.soFar
    const facts = gatherFacts(lookup, { type, id }, missing)
    if (!page.take(id, judgeEntity(court, query, given, facts))) return page.soFar
  }
  return page.last
}

const NOT_STORED: Judged = { allowed: false, steps: 10 }

/** Decides about one that was found. Only what is stored is ever a result. */
export function judgeEntity(court: Court, query: EntityQuery, given: EntityFacts, found: EntityFacts): Judged {
  if (!found.known) return NOT_STORED
  const { type, id } = found
  const { action, context } = query
  const isSubject = query.kind === 'subject'
  const request: AccessRequest = {
    subject: isSubject ? { type, id } : query.subject,
    action,
    resource: isSubject ? query.resource : { type, id },
    ...(context !== undefined && { context }),
  }
  const facts = isSubject ? { subject: found, resource: given } : { subject: given, resource: found }
  return judge(court.index, court.seen(facts), request, court.now)
}

/**
 * Fills a page with actions. Looked at are those that the resource's type declares, and whichever a rule or a permission
 * names literally: one that was written for another type may be allowed by a pattern.
 */
export function* searchActions(
  court: Court,
  { subject, resource, context }: ActionQuery,
  facts: Facts,
  after: string,
  page: PageInProgress,
): Generator<undefined, FoundPage> {
  const names = new SortedTexts()
  const literal = court.index.shared.actionPatterns()
  for (const pattern of literal) {
    yield
    if (pattern.kind === 'exact') names.add(pattern.literal)
  }
  for (const name of court.index.types.get(resource.type)?.actions ?? []) names.add(name)
  const seen = court.seen(facts)
  for (const name of names.from(after)) {
    yield
    if (name === after || isBuiltIn(name) !== court.isBuiltIn) continue
    if (page.isSpent) return page.soFar
    const request = { subject, action: { name }, resource, ...(context !== undefined && { context }) }
    if (!page.take(name, judge(court.index, seen, request, court.now))) return page.soFar
  }
  return page.last
}
