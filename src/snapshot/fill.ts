import type { EntityNode } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import type { Nodes } from './entity-node.ts'
import { RefMap } from './ref-map.ts'
import type { LoadedEntities, RevisionId } from './source.ts'

/** One revision or several at once, as far as they are about entities: how they change what was read before them. */
export interface Roll {
  /** The last of them. */
  readonly revision: number
  /** The id of one of them; undefined: it is not among them. */
  readonly idOf: (revision: number) => string | undefined
  readonly roll: (nodes: Fill) => void
}

/**
 * Entities on their way from the source into a tenant's memory, and there for those who wait for them, whatever the
 * cache has room for. A load is read at a revision of its own, L, while the tenant goes from one to the next. So that
 * nobody decides on facts of another revision than the index's:
 * - changes that the tenant took over while the load was under way, and that are later than L, are made to the load
 *   when it lands, and from then on as they come (the load is rolled forward instead of being thrown away);
 * - as long as the tenant has not reached L, nobody gets to see the load;
 * - L must lie on the tenant's own history, or the database has another one.
 */
export class Fill implements Nodes {
  readonly refs: EntityRef[] = []
  /** Settled once the load may be seen, or cannot be had. */
  readonly ready: Promise<void>
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
  /** Requests that need it. */
  users = 0
  /** Nobody waits for it any more: what it holds is now held for its users only. */
  settled = false
  readonly #nodes = new RefMap<EntityNode>()
  #begun: RevisionId | undefined
  #since: Roll[] = []
  #landed: RevisionId | undefined

  /** Where the load was read. */
  get landed(): RevisionId | undefined {
    return this.#landed
  }

  constructor() {
    let settle: [() => void, (reason: unknown) => void] = [() => {}, () => {}]
    this.ready = new Promise((resolve, reject) => {
      settle = [resolve, reject]
    })
    this.ready.catch(() => {}) // those who wait are told; if all have given up, nobody is
    ;[this.resolve, this.reject] = settle
  }

  begin({ revision, revision_id }: RevisionId): void {
    this.#begun = { revision, revision_id }
  }

  /** False: what was loaded is of another history than the tenant's. */
  land({ revision, revision_id, nodes }: LoadedEntities): boolean {
    const begun = this.#begun
    if (begun === undefined || revision < begun.revision) return false
    const ids = [
      begun.revision === revision ? begun.revision_id : undefined,
      ...this.#since.map((each) => each.idOf(revision)),
    ]
    if (ids.some((id) => id !== undefined && id !== revision_id)) return false
    this.#landed = { revision, revision_id }
    for (const node of nodes) this.set(node)
    for (const each of this.#since) this.#roll(each, revision)
    this.#since = []
    return true
  }

  /** False: the tenant has reached the revision number of the load, but by another history (the ids differ). */
  follow(revision: Roll): boolean {
    if (this.#landed === undefined) {
      this.#since.push(revision)
      return true
    }
    this.#roll(revision, this.#landed.revision)
    const id = revision.idOf(this.#landed.revision)
    return id === undefined || id === this.#landed.revision_id
  }

  #roll(revision: Roll, from: number): void {
    if (revision.revision > from) revision.roll(this)
  }

  get(type: string, id: string): EntityNode | undefined {
    return this.#nodes.get(type, id)
  }

  set(node: EntityNode): void {
    this.#nodes.set(node.type, node.id, node)
  }

  /** It is not known any more, and asked for again where it is needed. */
  forget({ type, id }: EntityRef): void {
    this.#nodes.delete(type, id)
  }

  values(): Iterable<EntityNode> {
    return this.#nodes.values()
  }
}
