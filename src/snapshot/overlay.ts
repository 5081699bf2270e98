import type { PolicyChange } from '../policy/change.ts'
import type { EntityNode } from '../policy/entity-graph.ts'
import type { EntityRef } from '../policy/model.ts'
import type { TenantEntities } from './entity-cache.ts'
import { follow, type Nodes } from './entity-node.ts'
import type { Fill } from './fill.ts'
import { RefMap } from './ref-map.ts'
import type { Slices } from './slices.ts'

interface Touched extends EntityRef {
  /** null: it was changed, and memory did not hold what it was before. */
  readonly node: EntityNode | null
}

/**
 * Entities as a big revision leaves them, worked out beside those that decisions use, which stay as they are. Later it
 * is laid over them within one turn (`Layered`), and moved into them in slices.
 */
export class Overlay implements Nodes {
  readonly #base: Pick<Nodes, 'get'>
  readonly #touched = new RefMap<Touched>()

  constructor(base: Pick<Nodes, 'get'>) {
    this.#base = base
  }

  get isEmpty(): boolean {
    return this.#touched.size === 0
  }

  get(type: string, id: string): EntityNode | undefined {
    const touched = this.touched(type, id)
    return touched === undefined ? this.#base.get(type, id) : (touched ?? undefined)
  }

  set(node: EntityNode): void {
    const { type, id } = node
    this.#touched.set(type, id, { type, id, node })
  }

  /** Takes over what a write did. */
  take(change: PolicyChange): void {
    for (const { type, id } of subjectsOf(change)) {
      if (this.get(type, id) === undefined) this.#touched.set(type, id, { type, id, node: null })
    }
    follow(this, change)
  }

  /** undefined: it is what it was. */
  touched(type: string, id: string): EntityNode | null | undefined {
    return this.#touched.get(type, id)?.node
  }

  all(): Iterable<Touched> {
    return this.#touched.values()
  }

  /** Changes what was read before. */
  roll(fill: Fill): void {
    for (const { type, id } of [...fill.values()]) {
      const node = this.touched(type, id)
      if (node === null) fill.forget({ type, id })
      else if (node !== undefined) fill.set(node)
    }
  }
}

function subjectsOf({ kind, key, before, after }: PolicyChange): EntityRef[] {
  if (kind === 'entity') return [key]
  return kind === 'assignment' ? [before, after].flatMap((given) => given?.subject ?? []) : []
}

/**
 * A tenant's entities under an overlay that is being moved into them. The overlay itself stays whole: loads that are under
 * way are rolled forward by it when they land.
 */
export class Layered implements TenantEntities {
  readonly #base: TenantEntities
  readonly #over: Overlay
  readonly #moved = new RefMap<true>()

  constructor(base: TenantEntities, over: Overlay) {
    this.#base = base
    this.#over = over
  }

  get(type: string, id: string): EntityNode | undefined {
    const node = this.#touched(type, id)
    return node === undefined ? this.#base.get(type, id) : (node ?? undefined)
  }

  set(node: EntityNode): void {
    this.#move(node)
    this.#base.set(node)
  }

  admit(node: EntityNode): void {
    const touched = this.#touched(node.type, node.id)
    if (touched === undefined) this.#base.admit(node)
    else if (touched === null) this.set(node)
  }

  drop(ref: EntityRef): void {
    this.#move(ref)
    this.#base.drop(ref)
  }

  *values(): Generator<EntityNode> {
    for (const { type, id } of this.#over.all()) {
      const node = this.#touched(type, id)
      if (node !== undefined && node !== null) yield node
    }
    for (const node of this.#base.values()) if (this.#touched(node.type, node.id) === undefined) yield node
  }

  clear(): void {
    this.#base.clear()
  }

  /** Moves the overlay down, as long as `goesOn`; then it answers what is under it, which holds everything. */
  async settle(slices: Slices, goesOn: () => boolean): Promise<TenantEntities | undefined> {
    for (const ref of this.#over.all()) {
      if (slices.spent) await slices.next()
      if (!goesOn()) return undefined
      // It may have been set anew, or loaded, meanwhile.
      const node = this.#touched(ref.type, ref.id)
      if (node === null) this.drop(ref)
      else if (node !== undefined) this.set(node)
    }
    return this.#base
  }

  #touched(type: string, id: string): EntityNode | null | undefined {
    const touched = this.#over.touched(type, id)
    return touched === undefined || this.#moved.get(type, id) === true ? undefined : touched
  }

  #move({ type, id }: EntityRef): void {
    if (this.#over.touched(type, id) !== undefined) this.#moved.set(type, id, true)
  }
}
