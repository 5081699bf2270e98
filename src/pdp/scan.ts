import { Failure } from '../failure.ts'
import type { EntityFacts, Facts } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import type { Extent } from '../policy/search/extent.ts'
import { PageInProgress, type SearchLimits } from '../policy/search/found-page.ts'
import { type EntityQuery, givenOf, judgeEntity, narrowed, typeOf } from '../policy/search/search.ts'
import { inByteOrder } from '../policy/search/sorted-texts.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { TenantSnapshot } from '../snapshot/tenant-snapshot.ts'
import type { PageStart } from './page-token.ts'
import type { CourtOf, Made } from './search.ts'

export interface ScanParts {
  readonly snapshots: Snapshots
  readonly courtOf: CourtOf
  readonly limits: SearchLimits
}

// So many entities and what they are in are asked of the database in one statement.
const BATCH = 500
const TRIES = 20

/** `moved`: the tenant is at another revision than the page. */
type Come = 'on' | 'full' | 'moved'

/** Ids that are to be looked at, and whether there may be more after them. */
interface Batch {
  readonly ids: readonly string[]
  readonly isLast: boolean
}

/**
 * The same search in a tenant that is not all in memory: who is there is read from the database, page by page, and decided
 * in memory. It goes over all of the type, unless the rules name single ids or nobody.
 */
export async function scanEntities(
  parts: ScanParts,
  tenant: string,
  query: EntityQuery,
  start: PageStart,
): Promise<Made> {
  for (let tries = 0; tries < TRIES; tries++) {
    const made = await new Scan(parts, tenant, query, start).run()
    if (made !== undefined) return made
  }
  throw new Failure('busy', 'the policy changes too fast to look through it', { retryAfter: 1 })
}

class Scan {
  readonly #parts: ScanParts
  readonly #tenant: string
  readonly #query: EntityQuery
  readonly #start: PageStart
  readonly #page: PageInProgress
  #position: string
  #made: Omit<Made, 'found'> | undefined

  constructor(parts: ScanParts, tenant: string, query: EntityQuery, start: PageStart) {
    this.#parts = parts
    this.#tenant = tenant
    this.#query = query
    this.#start = start
    this.#page = new PageInProgress(start, parts.limits)
    this.#position = start.after
  }

  /** Undefined: another revision came before anything was looked at. */
  async run(): Promise<Made | undefined> {
    const extents = await this.#narrow()
    if (this.#start.limit === 0) return this.#end('more')
    const single = singleIds(extents, this.#start.after)
    for (;;) {
      const batch = single ?? (await this.#nextIds())
      const come = await this.#decide(batch.ids)
      if (come === 'moved') return this.#page.isBegun ? this.#end('more') : undefined
      if (come === 'full') return this.#end('more')
      if (batch.isLast) return this.#end('last')
    }
  }

  #end(how: 'more' | 'last'): Made {
    if (this.#made === undefined) throw new Failure('internal', 'a search ended before it began')
    return { ...this.#made, found: how === 'last' ? this.#page.last : this.#page.soFar }
  }

  async #narrow(): Promise<readonly Extent[]> {
    const { snapshots, courtOf } = this.#parts
    const found = await snapshots.walkFrom(this.#tenant, givenOf(this.#query), (tenant, given) => {
      const { revision, index, status } = tenant
      this.#made = { revision, settings: index.settings }
      const steps = status === 'suspended' ? [].values() : narrowed(courtOf(tenant, this.#query), this.#query, given)
      return { steps, cut: () => undefined }
    })
    return found ?? []
  }

  async #nextIds(): Promise<Batch> {
    const ids = await this.#parts.snapshots.idsOf(this.#tenant, typeOf(this.#query), this.#position, BATCH)
    this.#position = ids.at(-1) ?? this.#position
    return { ids, isLast: ids.length < BATCH }
  }

  /** Decides about them, all at the revision that the page began with. */
  async #decide(ids: readonly string[]): Promise<Come> {
    const given = givenOf(this.#query)
    const type = typeOf(this.#query)
    const questions = ids.map((id) => asked(this.#query, { type, id }, given))
    let come: Come = 'on'
    await this.#parts.snapshots.withEachFacts(
      this.#tenant,
      questions,
      (each) => each,
      (tenant, facts) => {
        come = facts === undefined ? 'on' : this.#decideOne(tenant, facts)
        return come === 'on'
      },
    )
    return come
  }

  #decideOne(tenant: TenantSnapshot, facts: Facts): Come {
    if (tenant.revision !== this.#made?.revision) return 'moved'
    if (this.#page.isSpent) return 'full'
    const [found, given] = partsOf(this.#query, facts)
    const court = this.#parts.courtOf(tenant, this.#query)
    return this.#page.take(found.id, judgeEntity(court, this.#query, given, found)) ? 'on' : 'full'
  }
}

function asked({ kind }: EntityQuery, found: EntityRef, given: EntityRef) {
  return kind === 'subject' ? { subject: found, resource: given } : { subject: given, resource: found }
}

function partsOf({ kind }: EntityQuery, { subject, resource }: Facts): readonly [EntityFacts, EntityFacts] {
  return kind === 'subject' ? [subject, resource] : [resource, subject]
}

/** Undefined: others may be meant than those that rules name one by one. */
function singleIds(extents: readonly Extent[], after: string): Batch | undefined {
  const ids = new Set<string>()
  for (const extent of extents) {
    if (extent.kind !== 'matching' || extent.pattern.kind !== 'exact') return undefined
    if (inByteOrder(extent.pattern.literal, after) > 0) ids.add(extent.pattern.literal)
  }
  return { ids: [...ids].sort(inByteOrder), isLast: true }
}
