import type { Io } from './io.ts'

const EVERY = 1_000

/** Says what is waited for and for how long, where somebody looks; the line is gone when the work is done. */
export async function withProgress<T>({ stderr }: Io, what: string, work: () => Promise<T>): Promise<T> {
  if (stderr.isTTY !== true) return work()
  const began = Date.now()
  const timer = setInterval(() => {
    stderr.write(`\r\u001b[K${what}: ${Math.round((Date.now() - began) / 1000)} s`)
  }, EVERY)
  try {
    return await work()
  } finally {
    clearInterval(timer)
    stderr.write('\r\u001b[K')
  }
}
