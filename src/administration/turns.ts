import { Failure } from '../failure.ts'
import { isUnavailable } from '../store/database.ts'

const WAIT_MS = 3_000
const WAITING_AT_MOST = 100

interface Waiting {
  readonly begin: () => void
  readonly fail: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

/**
 * Writers of one tenant come one after the other, since each holds the tenant's row. Those of this process wait for each
 * other here, without a connection: else the writers of one busy tenant would take all that there are.
 */
export class Turns {
  readonly #waiting = new Map<string, Waiting[]>()
  readonly #waitMs: number
  readonly #atMost: number

  constructor(waitMs = WAIT_MS, atMost = WAITING_AT_MOST) {
    this.#waitMs = waitMs
    this.#atMost = atMost
  }

  /**
   * Fails with `tenant_busy` if the turn does not come within 3 s, or too many wait already; and, since what keeps one
   * writer from the database keeps the next one from it too, with what one before it failed with for that reason.
   */
  async take<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(tenant)
    if (waiting === undefined) this.#waiting.set(tenant, [])
    else await this.#wait(waiting)
    try {
      return await work()
    } catch (error) {
      if (isUnavailable(error) || isBusy(error)) this.#fail(tenant, error)
      throw error
    } finally {
      this.#pass(tenant)
    }
  }

  #wait(waiting: Waiting[]): Promise<void> {
    if (waiting.length >= this.#atMost) return Promise.reject(tenantBusy())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(own), 1)
        reject(tenantBusy())
      }, this.#waitMs)
      const own = { begin: resolve, fail: reject, timer }
      waiting.push(own)
    })
  }

  #fail(tenant: string, error: unknown): void {
    for (const { fail, timer } of this.#waiting.get(tenant)?.splice(0) ?? []) {
      clearTimeout(timer)
      fail(error)
    }
  }

  #pass(tenant: string): void {
    const next = this.#waiting.get(tenant)?.shift()
    if (next === undefined) {
      this.#waiting.delete(tenant)
      return
    }
    clearTimeout(next.timer)
    next.begin()
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Failure && error.code === 'tenant_busy'
}

export function tenantBusy(cause?: unknown): Failure {
  return new Failure('tenant_busy', 'another write of the tenant is under way: nothing was written', {
    cause,
    retryAfter: 1,
  })
}
