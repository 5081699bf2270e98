const TICK_MS = 10
const LATE_MS = 15

/**
 * How long it took, less the time in which this process did not get to run: that is what the machine takes, not what is
 * tested.
 */
export async function timed<T>(work: () => Promise<T>): Promise<{ readonly outcome: T; readonly ms: number }> {
  const began = performance.now()
  let seen = began
  let lost = 0
  const look = () => {
    const now = performance.now()
    if (now - seen > LATE_MS) lost += now - seen - TICK_MS
    seen = now
  }
  const ticking = setInterval(look, TICK_MS)
  try {
    const outcome = await work()
    look()
    return { outcome, ms: seen - began - lost }
  } finally {
    clearInterval(ticking)
  }
}

/** ms of the processor that this process has spent on it: no matter for how long others had it meanwhile. */
export async function spentMs(work: () => unknown): Promise<number> {
  const began = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}
