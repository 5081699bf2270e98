import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, type ClusterOptions } from './cluster.ts'

const PAUSE = 500

/** A server that is started again, on the same port, when it ends without being asked to. */
export class Supervised {
  readonly #options: ClusterOptions
  readonly #log: (line: string) => void
  readonly #asked = new AbortController()
  #current: Cluster
  #watching: Promise<void>

  private constructor(options: ClusterOptions, log: (line: string) => void, first: Cluster) {
    this.#options = options
    this.#log = log
    this.#current = first
    this.#watching = this.#watch()
  }

  static async start(options: ClusterOptions, log: (line: string) => void): Promise<Supervised> {
    return new Supervised(options, log, await Cluster.start(options))
  }

  get current(): Cluster {
    return this.#current
  }

  async stop(): Promise<void> {
    this.#asked.abort()
    await this.#current.stop()
    await this.#watching
    // It may have been coming up again just then.
    await this.#current.stop()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#asked
    for (;;) {
      await this.#current.exited
      if (signal.aborted) return
      this.#log('the embedded database ended: starting it again')
      await sleep(PAUSE, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        this.#current = await Cluster.start(this.#options, this.#current.port)
      } catch (error) {
        this.#log(error instanceof Error ? error.message : String(error))
      }
    }
  }
}
