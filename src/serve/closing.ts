import { atMost } from '../audit/limit.ts'
import type { Logger } from '../telemetry/logger.ts'

/** Closes a part within `ms`: what has not come to its end by then is let go of. */
export type Close = (ms: number) => unknown

/** How long everything together may take to close. With what a process needs to end, that makes less than 10 s. */
export const CLOSE_MS = 9_000

/** Even the last of many gets as much. */
const LEAST_MS = 50

/** What has been opened, to be closed in reverse: also where a start fails halfway. */
export class Opened {
  readonly #logger: Logger
  readonly #closers: { readonly name: string; readonly close: Close }[] = []

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(name: string, close: Close): void {
    this.#closers.push({ name, close })
  }

  /**
   * Closes everything, within `ms`. One part that can't be closed, or not in time, does not keep the others open: each
   * gets half of the time that is left.
   */
  async close(ms = CLOSE_MS): Promise<void> {
    const until = Date.now() + ms
    for (let last = this.#closers.pop(); last !== undefined; last = this.#closers.pop()) {
      const { name, close } = last
      const left = Math.max(LEAST_MS, (until - Date.now()) / 2)
      try {
        const closing = Promise.resolve(close(left)).then(() => 'closed')
        if ((await atMost(left, closing)) === undefined)
          this.#logger.warn({ part: name }, 'a part did not close in time')
      } catch (error) {
        this.#logger.error({ err: error, part: name }, 'a part could not be closed')
      }
    }
  }
}
