/** What a timer can wait at most: about 25 days. */
const LONGEST = 2 ** 31 - 1

/**
 * Waits for `work`, for `ms` at most; undefined where it took longer. What comes of it then, nobody waits for: a
 * failure after that is no failure of anybody's.
 */
export async function atMost<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, Math.min(Math.max(0, ms), LONGEST), undefined)
  })
  work.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
