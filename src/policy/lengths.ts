/** A length that some literals have. */
interface Length {
  readonly length: number
  /** The characters that they have at their far end, each with how many have it. */
  readonly edges: Map<number, number>
}

/**
 * What is known of literals before one is looked for: their lengths, and the character at the far end. `a/b/` is looked
 * for only in texts whose fourth character is a slash, which most texts are told from without a look into the table.
 */
export class Lengths {
  /** Each length once, ascending. */
  readonly all: Length[] = []

  add(length: number, edge: number): void {
    let of = this.all.find((one) => one.length === length)
    if (of === undefined) {
      of = { length, edges: new Map() }
      this.all.push(of)
      this.all.sort((a, b) => a.length - b.length)
    }
    of.edges.set(edge, (of.edges.get(edge) ?? 0) + 1)
  }

  remove(length: number, edge: number): void {
    const at = this.all.findIndex((one) => one.length === length)
    const edges = this.all[at]?.edges
    if (edges === undefined) return
    const left = (edges.get(edge) ?? 0) - 1
    if (left > 0) edges.set(edge, left)
    else edges.delete(edge)
    if (edges.size === 0) this.all.splice(at, 1)
  }
}
