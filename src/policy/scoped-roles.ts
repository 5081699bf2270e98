import type { EntityFacts } from './entity-graph.ts'
import type { EntityRef } from './model.ts'

/** Names of roles that hold for a resource and what is in it. */
export class ScopedRoles {
  readonly #byType = new Map<string, Map<string, string[]>>()

  add({ type, id }: EntityRef, role: string): void {
    let ofType = this.#byType.get(type)
    if (ofType === undefined) {
      ofType = new Map()
      this.#byType.set(type, ofType)
    }
    const roles = ofType.get(id)
    if (roles === undefined) ofType.set(id, [role])
    else roles.push(role)
  }

  /** Takes out one that was added. */
  remove({ type, id }: EntityRef, role: string): void {
    const ofType = this.#byType.get(type)
    const roles = ofType?.get(id)
    const at = roles?.indexOf(role) ?? -1
    if (at === -1) return
    roles?.splice(at, 1)
    if (roles?.length === 0) ofType?.delete(id)
    if (ofType?.size === 0) this.#byType.delete(type)
  }

  /** Pushes those that hold for this resource. */
  collect(resource: EntityFacts, into: string[]): void {
    if (this.#byType.size === 0) return
    this.#collectOne(resource, into)
    for (const ancestor of resource.ancestors) this.#collectOne(ancestor, into)
  }

  #collectOne({ type, id }: EntityRef, into: string[]): void {
    const there = this.#byType.get(type)?.get(id)
    if (there !== undefined) for (const role of there) into.push(role)
  }
}
