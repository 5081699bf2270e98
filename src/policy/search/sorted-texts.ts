/** The order of texts by the bytes of their UTF-8, which is that of their code points, and Postgres's `collate "C"`. */
export function inByteOrder(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const one = a.charCodeAt(at)
    const other = b.charCodeAt(at)
    if (one !== other) return rank(one) - rank(other)
  }
  return a.length - b.length
}

// A surrogate stands for a code point beyond all that are a single unit.
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

// A sorted array of a million takes a millisecond to make room in its middle; one of these, a microsecond.
const CHUNK = 512

/** A set of texts in byte order. It grows and shrinks a text at a time, and never takes long for one. */
export class SortedTexts {
  readonly #chunks: string[][] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** A text that is there already changes nothing. */
  add(text: string): void {
    const place = this.#chunkOf(text)
    const chunk = this.#chunks[place]
    if (chunk === undefined) {
      this.#chunks.push([text])
      this.#size++
      return
    }
    const at = placeIn(chunk, text)
    if (chunk[at] === text) return
    chunk.splice(at, 0, text)
    this.#size++
    if (chunk.length > CHUNK) this.#chunks.splice(place + 1, 0, chunk.splice(CHUNK / 2))
  }

  delete(text: string): void {
    const place = this.#chunkOf(text)
    const chunk = this.#chunks[place]
    if (chunk === undefined) return
    const at = placeIn(chunk, text)
    if (chunk[at] !== text) return
    chunk.splice(at, 1)
    this.#size--
    if (chunk.length === 0) this.#chunks.splice(place, 1)
  }

  /** From `text` on, itself included. Not to be changed meanwhile. */
  *from(text: string): Generator<string> {
    let place = this.#chunkOf(text)
    let chunk = this.#chunks[place]
    let at = chunk === undefined ? 0 : placeIn(chunk, text)
    while (chunk !== undefined) {
      for (; at < chunk.length; at++) {
        const each = chunk[at]
        if (each !== undefined) yield each
      }
      chunk = this.#chunks[++place]
      at = 0
    }
  }

  /** The last chunk that begins with the text or before it, or the first. */
  #chunkOf(text: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const [first = ''] = this.#chunks[middle] ?? []
      if (inByteOrder(first, text) <= 0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
}

/** Where a text stands, or would. */
function placeIn(chunk: readonly string[], text: string): number {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (inByteOrder(chunk[middle] ?? '', text) < 0) low = middle + 1
    else high = middle
  }
  return low
}
