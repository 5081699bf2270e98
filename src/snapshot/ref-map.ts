/** A map by type and id. Nested, since other people's text glued into one key lets two entities meet in it. */
export class RefMap<V> {
  readonly #types = new Map<string, Map<string, V>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(type: string, id: string): V | undefined {
    return this.#types.get(type)?.get(id)
  }

  /** Answers what stood there before. */
  set(type: string, id: string, value: V): V | undefined {
    let ids = this.#types.get(type)
    if (ids === undefined) {
      ids = new Map()
      this.#types.set(type, ids)
    }
    const former = ids.get(id)
    ids.set(id, value)
    if (former === undefined) this.#size++
    return former
  }

  delete(type: string, id: string): V | undefined {
    const ids = this.#types.get(type)
    const former = ids?.get(id)
    if (ids === undefined || former === undefined) return undefined
    ids.delete(id)
    // Types are other people's text too: one that is used no more takes no room.
    if (ids.size === 0) this.#types.delete(type)
    this.#size--
    return former
  }

  *values(): IterableIterator<V> {
    for (const ids of this.#types.values()) yield* ids.values()
  }
}
