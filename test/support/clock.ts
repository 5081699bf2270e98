import { vi } from 'vitest'

/** Does the work while this process's clock stands still at an instant. Timers go on as they are. */
export async function at<T>(instant: number, work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['Date'], now: instant })
  try {
    return await work()
  } finally {
    vi.useRealTimers()
  }
}
