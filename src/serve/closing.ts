import type { Logger } from '../telemetry/logger.ts'

/** What has been opened, to be closed in reverse: also where a start fails halfway. */
export class Opened {
  readonly #logger: Logger
  readonly #closers: { readonly name: string; readonly close: () => unknown }[] = []

  constructor(logger: Logger) {
    this.#logger = logger
  }

  add(name: string, close: () => unknown): void {
    this.#closers.push({ name, close })
  }

  /** Closes everything; one part that can't be closed does not keep the others open. */
  async close(): Promise<void> {
    for (let last = this.#closers.pop(); last !== undefined; last = this.#closers.pop()) {
      try {
        await last.close()
      } catch (error) {
        this.#logger.error({ err: error, part: last.name }, 'a part could not be closed')
      }
    }
  }
}
