/** Numbers from 0 on, a bit for each. There may be more of them than 32 bits count. */
export class NumberSet {
  #bits = new Uint8Array(64)
  #size = 0
  #min = Number.POSITIVE_INFINITY
  #max = -1

  get size(): number {
    return this.#size
  }

  get min(): number {
    return this.#min
  }

  get max(): number {
    return this.#max
  }

  has(number: number): boolean {
    return ((this.#bits[Math.floor(number / 8)] ?? 0) & (1 << (number % 8))) !== 0
  }

  /** @returns whether it is new. */
  add(number: number): boolean {
    const at = Math.floor(number / 8)
    if (at >= this.#bits.length) this.#grow(at + 1)
    const before = this.#bits[at] ?? 0
    const after = before | (1 << (number % 8))
    if (before === after) return false
    this.#bits[at] = after
    this.#size++
    this.#min = Math.min(this.#min, number)
    this.#max = Math.max(this.#max, number)
    return true
  }

  /** The runs of numbers from `from` up to but not including `to` that are not in it. */
  *gaps(from: number, to: number): Generator<{ readonly from: number; readonly to: number }> {
    let start = -1
    for (let number = from; number < to; number++) {
      // Eight at once where all are there.
      if (start === -1 && number % 8 === 0 && number + 8 <= to && this.#bits[number / 8] === 255) {
        number += 7
        continue
      }
      if (this.has(number)) {
        if (start !== -1) yield { from: start, to: number }
        start = -1
      } else if (start === -1) start = number
    }
    if (start !== -1) yield { from: start, to }
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, this.#bits.length * 2))
    grown.set(this.#bits)
    this.#bits = grown
  }
}
