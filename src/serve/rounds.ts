import type { Logger } from '../telemetry/logger.ts'
import type { Opened } from './closing.ts'

/** In ms, as rounds count. */
export const SECOND = 1_000
export const MINUTE = 60_000

/** What is done again and again until the service closes. */
export interface Rounds {
  /** As `repeat`; a failure is told with `name`. */
  every(ms: number, name: string, work: () => Promise<void>): void
}

export function roundsOf(opened: Opened, logger: Pick<Logger, 'warn'>): Rounds {
  return {
    every(ms, name, work) {
      const stop = repeat(ms, work, (err) =>
        logger.warn({ err, round: name }, 'a regular task failed; it is tried again'),
      )
      // Not waited for: what it takes would be missing to those that are closed after it.
      opened.add(name, stop)
    },
  }
}

/**
 * Does `work` every `ms`, and never twice at once: of two rounds that read the same, the one that began first could end
 * last, and put back what the other had just found to be gone. While one is under way, ticks are left out. A failure is
 * told once until a round succeeds again; the next tick tries again in any case. @returns what ends it.
 */
export function repeat(ms: number, work: () => Promise<void>, onFailure: (error: unknown) => void): () => void {
  let isUnderWay = false
  let isFailing = false
  let isClosed = false
  const round = async () => {
    if (isUnderWay) return
    isUnderWay = true
    try {
      await work()
      isFailing = false
    } catch (error) {
      if (!isFailing && !isClosed) onFailure(error)
      isFailing = true
    } finally {
      isUnderWay = false
    }
  }
  const timer = setInterval(() => void round(), ms).unref()
  return () => {
    isClosed = true
    clearInterval(timer)
  }
}
