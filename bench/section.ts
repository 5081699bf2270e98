export type Row = Readonly<Record<string, string | number | boolean>>

/** One table of results, as `docs/benchmarks.md` shows it. */
export interface Section {
  readonly title: string
  /** How it was measured, in Markdown. */
  readonly method: string
  /** All with the same members, in the order of the columns. A name ends in its unit: `p50_us`. */
  readonly rows: readonly Row[]
  readonly notes?: readonly string[]
}
