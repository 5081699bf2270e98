import { matches, type Pattern } from './pattern.ts'
import { Radix } from './radix.ts'
import { Shelf } from './shelf.ts'
import { byText, type WideMap } from './wide-map.ts'

let lookups = 0

/**
 * Values filed under patterns: given a text, it finds those whose pattern matches, going over none of the others that
 * share no literal with the text. Whole texts are hashed; literals that a pattern begins with stand in a trie walked
 * from the start of the text, other literals in a trie walked from each of its positions.
 */
export class PatternTable<V> {
  #exact: WideMap<string, V> | undefined
  #anchored: Radix<Shelf<V>> | undefined
  #floating: Radix<Shelf<V>> | undefined

  get isEmpty(): boolean {
    return this.#exact === undefined && this.#anchored === undefined && this.#floating === undefined
  }

  get(pattern: Pattern): V | undefined {
    if (pattern.kind === 'exact') return this.#exact?.get(pattern.literal)
    return this.#trie(pattern)?.get(pattern.literal)?.get(pattern.text)
  }

  put(pattern: Pattern, value: V): void {
    if (pattern.kind === 'exact') {
      this.#exact ??= byText()
      this.#exact.set(pattern.literal, value)
      return
    }
    const trie = this.#trie(pattern) ?? this.#plant(pattern)
    let shelf = trie.get(pattern.literal)
    if (shelf === undefined) {
      shelf = new Shelf()
      trie.put(pattern.literal, shelf)
    }
    shelf.put(pattern, value)
  }

  remove(pattern: Pattern): void {
    if (pattern.kind === 'exact') {
      this.#exact?.delete(pattern.literal)
      if (this.#exact?.size === 0) this.#exact = undefined
      return
    }
    const trie = this.#trie(pattern)
    const shelf = trie?.get(pattern.literal)
    shelf?.remove(pattern.text)
    if (shelf?.entries.length === 0) trie?.remove(pattern.literal)
    if (this.#anchored?.isEmpty) this.#anchored = undefined
    if (this.#floating?.isEmpty) this.#floating = undefined
  }

  /** Pushes what is filed under every pattern that matches. */
  collect(text: string, into: V[]): void {
    const exact = this.#exact?.get(text)
    if (exact !== undefined) into.push(exact)
    if (this.#anchored === undefined && this.#floating === undefined) return
    const shelves: Shelf<V>[] = []
    this.#anchored?.collect(text, 0, shelves)
    if (this.#floating !== undefined) for (let at = 0; at < text.length; at++) this.#floating.collect(text, at, shelves)
    lookups++
    for (const shelf of shelves) {
      if (shelf.seenAt === lookups) continue
      shelf.seenAt = lookups
      for (const { pattern, value } of shelf.entries) if (matches(pattern, text)) into.push(value)
    }
  }

  /** Everything that is filed, under whatever pattern. */
  *values(): Generator<V> {
    if (this.#exact !== undefined) yield* this.#exact.values()
    for (const trie of [this.#anchored, this.#floating]) {
      for (const shelf of trie?.values() ?? []) for (const { value } of shelf.entries) yield value
    }
  }

  // A pattern without any literal, "*" or "**" say, stands at the root of the anchored trie.
  #trie(pattern: Pattern): Radix<Shelf<V>> | undefined {
    return isAnchored(pattern) ? this.#anchored : this.#floating
  }

  #plant(pattern: Pattern): Radix<Shelf<V>> {
    const trie = new Radix<Shelf<V>>()
    if (isAnchored(pattern)) this.#anchored = trie
    else this.#floating = trie
    return trie
  }
}

function isAnchored(pattern: Pattern): boolean {
  return pattern.anchored || pattern.literal === ''
}
