/** Runs work, so much of it at a time; the rest waits in order. */
export type Limited = <T>(work: () => Promise<T>) => Promise<T>

export function limited(most: number): Limited {
  const waiting: (() => void)[] = []
  let underway = 0
  return async (work) => {
    if (underway >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else underway++
    try {
      return await work()
    } finally {
      // The place is handed over: whoever comes in between does not take it.
      const next = waiting.shift()
      if (next === undefined) underway--
      else next()
    }
  }
}
