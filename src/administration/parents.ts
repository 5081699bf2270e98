import type { Problem } from '../failure.ts'
import type { Entity, EntityRef } from '../policy/model.ts'
import type { ParentEdge } from '../store/entities.ts'
import { cyclicEdges } from './cycle.ts'
import { shownRef } from './refusal.ts'

/** An entity as it is about to be, and where it stands in what was sent. */
export interface Placed {
  readonly pointer: string
  readonly entity: Required<Entity>
}

/**
 * Where the entities close a cycle over their parents. `stored` are the edges that stand among their ancestors; of
 * the entities themselves the ones that they are about to have count.
 */
export function parentCycles(written: readonly Placed[], stored: readonly ParentEdge[]): Problem[] {
  const nodes = new Nodes()
  const anew = new Set(written.map(({ entity }) => nodes.place(entity)))
  const standing = stored
    .map(({ child, parent }) => ({ from: nodes.place(child), to: nodes.place(parent) }))
    .filter(({ from }) => !anew.has(from))
  const made = written.flatMap(({ pointer, entity }) =>
    entity.parents.map((parent, place) => ({
      from: nodes.place(entity),
      to: nodes.place(parent),
      pointer: `${pointer}/parents/${place}`,
      detail: `${shownRef(entity)} would be in itself by way of ${shownRef(parent)}`,
    })),
  )
  const cyclic = new Set(cyclicEdges([...standing, ...made], nodes.size))
  return made.filter((edge) => cyclic.has(edge)).map(({ pointer, detail }) => ({ pointer, detail }))
}

/** Parents that an entity names more than once. */
export function repeatedParents({ parents = [] }: Entity): Problem[] {
  const nodes = new Nodes()
  return parents.flatMap((parent, place) => {
    const known = nodes.size
    const isNew = nodes.place(parent) === known
    return isNew ? [] : [{ pointer: `/parents/${place}`, detail: `${shownRef(parent)} is named as a parent twice` }]
  })
}

/** Numbers entities as they come. */
class Nodes {
  size = 0
  readonly #types = new Map<string, Map<string, number>>()

  place({ type, id }: EntityRef): number {
    const ids = this.#types.get(type) ?? new Map<string, number>()
    if (ids.size === 0) this.#types.set(type, ids)
    const place = ids.get(id) ?? this.size++
    ids.set(id, place)
    return place
  }
}
