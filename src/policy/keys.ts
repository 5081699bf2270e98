import type { EntityRef } from './model.ts'

/**
 * Something that rules name (an entity, a role), as one object that they share. A decision marks the keys that hold for
 * its request with its own number; that a rule's part matches is then one comparison, without hashing. Marks are never
 * taken back: the next decision has another number.
 */
export class Key {
  /** The last decision in which it held. */
  heldAt = 0
  /** The last decision in which it could not be told, because a derived role's condition erred. */
  erredAt = 0
  /** How many rules name it. */
  users = 0
}

/** The entities that rules name: by type, then by id. */
export class EntityKeys {
  readonly #byType = new Map<string, Map<string, Key>>()

  get isEmpty(): boolean {
    return this.#byType.size === 0
  }

  get(type: string, id: string): Key | undefined {
    return this.#byType.get(type)?.get(id)
  }

  take({ type, id }: EntityRef): Key {
    let ofType = this.#byType.get(type)
    if (ofType === undefined) {
      ofType = new Map()
      this.#byType.set(type, ofType)
    }
    let key = ofType.get(id)
    if (key === undefined) {
      key = new Key()
      ofType.set(id, key)
    }
    key.users++
    return key
  }

  release({ type, id }: EntityRef): void {
    const ofType = this.#byType.get(type)
    const key = ofType?.get(id)
    if (ofType === undefined || key === undefined || --key.users > 0) return
    ofType.delete(id)
    if (ofType.size === 0) this.#byType.delete(type)
  }

  /** Marks an entity and its ancestors, and pushes those that rules name. */
  mark(entity: EntityRef, ancestors: readonly EntityRef[], at: number, into: Key[]): void {
    if (this.#byType.size === 0) return
    this.#markOne(entity, at, into)
    for (const ancestor of ancestors) this.#markOne(ancestor, at, into)
  }

  #markOne({ type, id }: EntityRef, at: number, into: Key[]): void {
    const key = this.#byType.get(type)?.get(id)
    if (key === undefined) return
    key.heldAt = at
    into.push(key)
  }
}
