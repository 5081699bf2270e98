import type { PolicyChange } from '../policy/change.ts'
import { PolicyIndex } from '../policy/policy-index.ts'
import type { Divergence } from './follower.ts'
import type { Slices } from './slices.ts'
import type { DatedChange, LoggedChange, RevisionId, Source, StoredDocument } from './source.ts'
import { weightOf } from './weight.ts'

/** What drafts are made with. */
export interface Workshop {
  readonly source: Source
  readonly slices: Slices
  /** As many changes of one revision are made within one turn of the event loop, or fewer that take as long. */
  readonly inPlace: number
}

export interface DraftOf extends RevisionId {
  readonly id: string
  /** Takes what a write did to entities and assignments. */
  readonly entities: (change: PolicyChange) => void
  /** Nobody needs the draft any more. */
  readonly isMoot: () => boolean
}

/** A draft was given up, since nobody needs it any more. */
export class Moot extends Error {}

/** The log has something that cannot be taken over. */
export class Unreadable extends Error {}

/**
 * A tenant as it is about to be, made in slices beside whatever decides now: one that is being loaded, or the next state
 * of one that has a big revision before it. Nobody sees it before it is finished; if that fails, nothing is left of it.
 */
export class Draft implements RevisionId {
  readonly id: string
  revision: number
  revision_id: string
  /** Undefined: the index that the tenant has takes `policy`. */
  index: PolicyIndex | undefined
  /** Few changes of policy. */
  policy: LoggedChange[] = []
  #weight = 0
  /** Changes of what is neither policy nor an entity. */
  readonly others: DatedChange[] = []
  /** The ids of the revisions that it has taken. */
  readonly passed = new Map<number, string>()
  readonly #entities: (change: PolicyChange) => void
  readonly #isMoot: () => boolean
  readonly #workshop: Workshop

  constructor({ id, revision, revision_id, entities, isMoot }: DraftOf, workshop: Workshop) {
    this.id = id
    this.revision = revision
    this.revision_id = revision_id
    this.#entities = entities
    this.#isMoot = isMoot
    this.#workshop = workshop
  }

  /**
   * Reads the policy as it stands in the tables: not all of it need be of one revision, but what was written since the
   * draft's revision is in the log too, and is taken again by `catchUp`. A change says what a thing is after it, so that
   * taking one twice comes to the same.
   */
  async readPolicy(): Promise<void> {
    const index = new PolicyIndex()
    for await (const part of this.#workshop.source.policy(this.id)) {
      for (const document of part) {
        index.apply(created(document))
        if (this.spent) await this.pause()
      }
    }
    this.policy = []
    this.index = index
  }

  /** Takes what the log has up to a revision, or says in what the log is not this draft's. */
  async catchUp(to: RevisionId): Promise<Divergence | undefined> {
    const { source, inPlace } = this.#workshop
    while (this.revision < to.revision) {
      const { anchor, revisions, big } = await source.changesAfter(this.id, this.revision, inPlace)
      if (this.revision > 0 && anchor !== this.revision_id) return 'other_revision'
      if (revisions.length === 0 && big === null) return 'gap'
      for (const { changes, ...next } of revisions) {
        if (next.revision !== this.revision + 1) return 'gap'
        for (const change of changes) {
          this.#take(change, next.revision)
          if (this.spent) await this.pause()
        }
        this.#reach(next)
      }
      const divergence = big === null || revisions.length > 0 ? undefined : await this.takeBig(big)
      if (divergence !== undefined) return divergence
    }
    if (this.revision > to.revision) return 'behind'
    return this.revision_id === to.revision_id ? undefined : 'other_revision'
  }

  /** Takes a revision of any size, or says in what the log is not this draft's. */
  async takeBig(big: RevisionId): Promise<Divergence | undefined> {
    if (big.revision !== this.revision + 1) return 'gap'
    const { source, inPlace } = this.#workshop
    let isReadAnew = false
    for (let place: number | null = 0; place !== null; ) {
      const part = await source.changesOf(this.id, big, place, !isReadAnew)
      if (part === undefined) return 'other_revision'
      for (const change of part.changes) {
        this.#take(change, big.revision)
        if (this.spent) await this.pause()
      }
      // More policy than one turn takes: then the index is made anew, from the tables.
      isReadAnew ||= this.#weight > inPlace
      if (isReadAnew) this.policy = []
      place = part.next
    }
    this.#reach(big)
    if (isReadAnew) await this.readPolicy()
    return undefined
  }

  /** To be asked after each piece of work; then `pause` is to be awaited. */
  get spent(): boolean {
    return this.#workshop.slices.spent
  }

  async pause(): Promise<void> {
    await this.#workshop.slices.next()
    if (this.#isMoot()) throw new Moot()
  }

  #reach({ revision, revision_id }: RevisionId): void {
    this.passed.set(revision, revision_id)
    this.revision = revision
    this.revision_id = revision_id
  }

  #takeEntity(change: LoggedChange): void {
    try {
      this.#entities(change)
    } catch (cause) {
      throw new Unreadable('the log cannot be read', { cause })
    }
  }

  #take(change: LoggedChange, revision: number): void {
    const { kind } = change
    if (kind === 'entity' || kind === 'assignment') this.#takeEntity(change)
    else if (kind === 'api_key' || kind === 'issuer' || kind === 'tenant') this.others.push({ change, revision })
    // Who has which credential, and who asked for what, is asked of the database when it matters.
    else if (kind === 'credential' || kind === 'permission_request') return
    else if (this.index === undefined) {
      this.policy.push(change)
      this.#weight += weightOf(change)
    } else this.index.apply(change)
  }
}

// A row that holds the JSON value null is there. It is no document, as little as this is, but nothing was deleted.
const NO_DOCUMENT = 'no document'

/** A document as if it were created now. */
export function created({ kind, name, text }: StoredDocument): PolicyChange {
  const create = { operation: 'create', before: null, after: JSON.parse(text) ?? NO_DOCUMENT } as const
  if (kind === 'settings') return { kind, key: null, ...create }
  return kind === 'capability' ? { kind, key: { id: name }, ...create } : { kind, key: { name }, ...create }
}
