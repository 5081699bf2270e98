import type { Failure } from '../failure.ts'

/** The promise, or the failure once `ms` have passed. What was waited for goes on, and whoever else waits gets it. */
export function within<T>(ms: number, promise: Promise<T>, failure: () => Failure): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(failure()), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
