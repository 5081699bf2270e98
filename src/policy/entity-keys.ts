import { Key, type KeyKind } from './key.ts'
import { KeyTable } from './key-table.ts'
import type { EntityRef } from './model.ts'

/** The entities that rules name, as subjects or as what resources are in: by type, then by id. */
export class EntityKeys {
  readonly #kind: KeyKind
  readonly #byType = new Map<string, KeyTable<Key>>()

  constructor(kind: KeyKind) {
    this.#kind = kind
  }

  get isEmpty(): boolean {
    return this.#byType.size === 0
  }

  take({ type, id }: EntityRef): Key {
    let ofType = this.#byType.get(type)
    if (ofType === undefined) {
      ofType = new KeyTable()
      this.#byType.set(type, ofType)
    }
    const key = ofType.take(id, (hash) => new Key(this.#kind, type, id, hash))
    key.users++
    return key
  }

  release(key: Key): void {
    const ofType = this.#byType.get(key.type)
    if (ofType === undefined || --key.users > 0) return
    ofType.remove(key)
    if (ofType.isEmpty) this.#byType.delete(key.type)
  }

  /** Pushes those of an entity and its ancestors. */
  collect(entity: EntityRef, ancestors: readonly EntityRef[], into: Key[]): void {
    if (this.#byType.size === 0) return
    this.#collectOne(entity, into)
    for (const ancestor of ancestors) this.#collectOne(ancestor, into)
  }

  /** All of them; see `KeyTable.keys`. */
  *keys(): Generator<Key | undefined> {
    for (const ofType of this.#byType.values()) yield* ofType.keys()
  }

  #collectOne({ type, id }: EntityRef, into: Key[]): void {
    const key = this.#byType.get(type)?.find(id)
    if (key !== undefined) into.push(key)
  }
}
