/** Reading the clock costs about as much as a twentieth of what is timed: so blocks of calls, and single ones corrected. */

export interface Call<T> {
  /** Makes a question that was not asked before. Not timed. */
  readonly draw: () => T
  readonly ask: (item: T) => unknown
  /** Throws if the answer is wrong. Not timed; every answer that is timed is checked. */
  readonly check: (item: T, answer: unknown) => void
}

export interface Limits {
  readonly block: number
  readonly most: number
  /** Of the time that is measured; at least one block is. */
  readonly seconds: number
}

/** Milliseconds for each block of questions, divided by their number. */
export function blocks<T>({ draw, ask, check }: Call<T>, { block, most, seconds }: Limits): number[] {
  const times: number[] = []
  const answers: unknown[] = Array.from({ length: block })
  let left = seconds * 1000
  while (times.length < most && left > 0) {
    const items = Array.from({ length: block }, draw)
    const began = performance.now()
    for (let at = 0; at < block; at++) answers[at] = ask(items[at] as T)
    const took = performance.now() - began
    for (let at = 0; at < block; at++) check(items[at] as T, answers[at])
    times.push(took / block)
    left -= took
  }
  return times
}

/** Milliseconds of each call by itself, with what reading the clock takes (the median of doing nothing) taken off. */
export function singles<T>(call: Call<T>, limits: Limits): number[] {
  const nothing = quantile(
    blocks({ ...call, ask: () => undefined, check: () => undefined }, { ...limits, block: 1 }),
    0.5,
  )
  return blocks(call, { ...limits, block: 1 }).map((time) => Math.max(0, time - nothing))
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
}

/** To three digits. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}
