import { hashFromEnd, hashOf } from './hash.ts'

/** What a table holds: something with a text, by which it is found, and the hash of that. */
export interface Hashed {
  readonly hash: number
  readonly text: string
}

/** As many keys stand in one segment; a table with more has many, so that none takes long to grow. */
const ONE_SEGMENT = 2048
const SEGMENT_BITS = 10

type Segment<K> = (K | undefined)[]

/**
 * Keys of one kind and type, or rules, by their text. It is a hash table of our own for three reasons: it is asked for the
 * beginnings of a text, by a hash that grows with them, without making a text of each; it grows by segments, so that a
 * change never waits for a million keys to be put in new places; and to find that something is not there takes it one
 * visit to memory, where a `Map` of a million takes three.
 */
export class KeyTable<K extends Hashed> {
  readonly #hash: (text: string) => number
  #segments: Segment<K>[] = [newSegment(8)]
  #counts: number[] = [0]
  // By how much a hash is shifted to the number of its segment.
  #shift = ONE
  #size = 0

  /** `fromEnd`: for texts that others end with. */
  constructor(fromEnd = false) {
    this.#hash = fromEnd ? hashFromEnd : hashOf
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }

  get size(): number {
    return this.#size
  }

  find(text: string): K | undefined {
    const hash = this.#hash(text)
    const segment = this.#segmentOf(hash)
    const mask = segment.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const key = segment[at]
      if (key === undefined || (key.hash === hash && key.text === text)) return key
    }
  }

  /** The key of the first `length` characters, or of the last ones, whose hash is given. */
  findPart(text: string, length: number, hash: number): K | undefined {
    const start = this.#hash === hashFromEnd ? text.length - length : 0
    const segment = this.#segmentOf(hash)
    const mask = segment.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const key = segment[at]
      if (key === undefined) return undefined
      if (key.hash === hash && key.text.length === length && text.startsWith(key.text, start)) return key
    }
  }

  /** The key of a text; one is made where there is none. */
  take(text: string, make: (hash: number) => K): K {
    const known = this.find(text)
    if (known !== undefined) return known
    const key = make(this.#hash(text))
    this.add(key)
    return key
  }

  /** There must be none of its text. */
  add(key: K): void {
    this.#size++
    if (this.#shift === ONE && this.#size > ONE_SEGMENT) this.#divide()
    this.#put(key)
  }

  remove(key: K): void {
    const segment = this.#segmentOf(key.hash)
    const mask = segment.length - 1
    let hole = key.hash & mask
    while (segment[hole] !== key) {
      if (segment[hole] === undefined) return
      hole = (hole + 1) & mask
    }
    // What was put further on because this place was taken moves up: a search ends at the first hole.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = segment[at]
      if (next === undefined) break
      if (((at - next.hash) & mask) < ((at - hole) & mask)) continue
      segment[hole] = next
      hole = at
    }
    segment[hole] = undefined
    this.#size--
    const number = this.#numberOf(key.hash)
    this.#counts[number] = (this.#counts[number] ?? 0) - 1
  }

  /** All of them, with an `undefined` for each place that is free: whoever walks can stop after so many steps. */
  *keys(): Generator<K | undefined> {
    for (const segment of this.#segments) yield* segment
  }

  #numberOf(hash: number): number {
    return this.#shift === ONE ? 0 : hash >>> this.#shift
  }

  #segmentOf(hash: number): Segment<K> {
    return this.#segments[this.#numberOf(hash)] ?? []
  }

  #put(key: K): void {
    const number = this.#numberOf(key.hash)
    const count = (this.#counts[number] ?? 0) + 1
    this.#counts[number] = count
    const segment = this.#segments[number] ?? []
    // At most half full: most keys are then where they are first looked for.
    const roomy = count * 2 > segment.length ? grown(segment) : segment
    this.#segments[number] = roomy
    place(roomy, key)
  }

  #divide(): void {
    const former = this.#segments
    this.#shift = 32 - SEGMENT_BITS
    this.#segments = Array.from({ length: 2 ** SEGMENT_BITS }, () => newSegment<K>(8))
    this.#counts = this.#segments.map(() => 0)
    for (const segment of former) for (const key of segment) if (key !== undefined) this.#put(key)
  }
}

const ONE = 32

function newSegment<K>(size: number): Segment<K> {
  return new Array<K | undefined>(size).fill(undefined)
}

function grown<K extends Hashed>(segment: Segment<K>): Segment<K> {
  const larger = newSegment<K>(segment.length * 2)
  for (const key of segment) if (key !== undefined) place(larger, key)
  return larger
}

function place<K extends Hashed>(segment: Segment<K>, key: K): void {
  const mask = segment.length - 1
  let at = key.hash & mask
  while (segment[at] !== undefined) at = (at + 1) & mask
  segment[at] = key
}
