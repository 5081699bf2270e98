/** The lengths that some texts have. */
export class Lengths {
  /** Each once, ascending. */
  readonly all: number[] = []
  readonly #counts = new Map<number, number>()

  add(length: number): void {
    const count = this.#counts.get(length) ?? 0
    this.#counts.set(length, count + 1)
    if (count > 0) return
    this.all.push(length)
    this.all.sort((a, b) => a - b)
  }

  remove(length: number): void {
    const count = this.#counts.get(length) ?? 0
    if (count > 1) this.#counts.set(length, count - 1)
    else {
      this.#counts.delete(length)
      this.all.splice(this.all.indexOf(length), 1)
    }
  }
}
