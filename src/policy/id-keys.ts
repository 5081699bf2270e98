import { mixed, SEED } from './hash.ts'
import { Key } from './key.ts'
import { KeyTable } from './key-table.ts'
import { Lengths } from './lengths.ts'
import { type Literal, literalsOf, type Pattern } from './pattern.ts'
import { Radix } from './radix.ts'

// As many patterns may share a literal before another of theirs is looked for that is rarer.
const FEW = 2

/**
 * The ids of one type of resource, as rules name them. An id is a key, and so is a literal that patterns have: what such
 * texts begin with, end with, or hold somewhere.
 */
export class IdKeys {
  readonly #type: string
  readonly #whole = new KeyTable<Key>()
  readonly #beginnings = new PartTable(false)
  readonly #endings = new PartTable(true)
  readonly #middles = new Radix<Key>()

  constructor(type: string) {
    this.#type = type
  }

  get isEmpty(): boolean {
    return this.#whole.isEmpty && this.#beginnings.isEmpty && this.#endings.isEmpty && this.#middles.isEmpty
  }

  /** The key of an id, or of the longest literal of a pattern that is rare; undefined: the pattern has none. */
  take(pattern: Pattern): Key | undefined {
    const key = pattern.kind === 'exact' ? this.#takeWhole(pattern.literal) : this.#takeRarest(literalsOf(pattern))
    if (key !== undefined) key.users++
    return key
  }

  release(key: Key): void {
    if (--key.users > 0) return
    if (!(key instanceof LiteralKey)) this.#whole.remove(key)
    else if (key.part === 'start') this.#beginnings.remove(key)
    else if (key.part === 'end') this.#endings.remove(key)
    else this.#middles.remove(key.text)
  }

  /** Pushes the keys that an id holds. */
  collect(id: string, into: Key[]): void {
    const whole = this.#whole.find(id)
    if (whole !== undefined) into.push(whole)
    this.#beginnings.collect(id, into)
    this.#endings.collect(id, into)
    if (!this.#middles.isEmpty) this.#collectMiddles(id, into)
  }

  /** All of them; see `KeyTable.keys`. */
  *keys(): Generator<Key | undefined> {
    yield* this.#whole.keys()
    yield* this.#beginnings.keys()
    yield* this.#endings.keys()
    yield* this.#middles.values()
  }

  #collectMiddles(id: string, into: Key[]): void {
    const found: Key[] = []
    for (let at = 0; at < id.length; at++) this.#middles.collect(id, at, found)
    // A literal may stand in an id more than once.
    for (const key of new Set(found)) into.push(key)
  }

  #takeWhole(id: string): Key {
    return this.#whole.take(id, (hash) => new Key('id', this.#type, id, hash))
  }

  #takeRarest(literals: readonly Literal[]): Key | undefined {
    let rarest: Literal | undefined
    let fewest = Number.POSITIVE_INFINITY
    for (const literal of literals) {
      const users = this.#find(literal)?.users ?? 0
      if (users >= fewest) continue
      rarest = literal
      fewest = users
      if (users < FEW) break
    }
    return rarest && this.#takeLiteral(rarest)
  }

  #find({ text, part }: Literal): Key | undefined {
    if (part === 'middle') return this.#middles.get(text)
    return (part === 'start' ? this.#beginnings : this.#endings).find(text)
  }

  #takeLiteral({ text, part }: Literal): Key {
    const make = (hash: number) => new LiteralKey(this.#type, text, part, hash)
    if (part !== 'middle') return (part === 'start' ? this.#beginnings : this.#endings).take(text, make)
    const known = this.#middles.get(text)
    if (known !== undefined) return known
    const key = make(0)
    this.#middles.put(text, key)
    return key
  }
}

class LiteralKey extends Key {
  readonly part: Literal['part']

  constructor(type: string, text: string, part: Literal['part'], hash: number) {
    super('id', type, text, hash)
    this.part = part
  }
}

/** Whether an id holds what the key stands for. */
export function isIn(key: Key, id: string): boolean {
  if (!(key instanceof LiteralKey)) return key.text === id
  if (key.part === 'middle') return id.includes(key.text)
  return key.part === 'start' ? id.startsWith(key.text) : id.endsWith(key.text)
}

/**
 * Texts that others begin (or end) with. A trie of a million would be a visit to memory for each letter; here a text is
 * hashed once, letter by letter, and the hash so far is looked up at each length that occurs (see `Lengths`).
 */
class PartTable {
  readonly #fromEnd: boolean
  readonly #keys: KeyTable<Key>
  readonly #lengths = new Lengths()

  constructor(fromEnd: boolean) {
    this.#fromEnd = fromEnd
    this.#keys = new KeyTable(fromEnd)
  }

  get isEmpty(): boolean {
    return this.#keys.isEmpty
  }

  find(text: string): Key | undefined {
    return this.#keys.find(text)
  }

  take(text: string, make: (hash: number) => Key): Key {
    return this.#keys.take(text, (hash) => {
      this.#lengths.add(text.length, this.#edgeOf(text, text.length))
      return make(hash)
    })
  }

  remove(key: Key): void {
    this.#keys.remove(key)
    this.#lengths.remove(key.text.length, this.#edgeOf(key.text, key.text.length))
  }

  collect(text: string, into: Key[]): void {
    const step = this.#fromEnd ? -1 : 1
    let place = this.#fromEnd ? text.length - 1 : 0
    let hash = SEED
    let done = 0
    for (const { length, edges } of this.#lengths.all) {
      if (length > text.length) return
      if (!edges.has(this.#edgeOf(text, length))) continue
      for (; done < length; done++, place += step) hash = mixed(hash, text.charCodeAt(place))
      const key = this.#keys.findPart(text, length, hash)
      if (key !== undefined) into.push(key)
    }
  }

  keys(): Generator<Key | undefined> {
    return this.#keys.keys()
  }

  /** The last character, from where the table begins, of a literal of this length. */
  #edgeOf(text: string, length: number): number {
    return text.charCodeAt(this.#fromEnd ? text.length - length : length - 1)
  }
}
