import { setTimeout as pause } from 'node:timers/promises'
import { stampOf } from './reading.ts'

/** How each file stood that a run has read. */
export type Stamps = ReadonlyMap<string, string>

const NONE: Stamps = new Map()

// An editor writes a file in several steps, and a checkout many files: a change counts once nothing follows it.
const QUIET_MS = 100
// Looking may take a twentieth of a processor, however much there is to look at.
const SHARE = 20

/**
 * Runs `work` at once, and again after each change of what it has looked at or of the files that there are, until the
 * signal. (Undefined: it came to nothing, and the files that there were before it are to change.) It looks instead of waiting for events: those get lost in mounts, in containers, and where a file is replaced. `wait` passes the
 * time between two looks, and says whether it did; else it is over.
 */
export async function rerun(
  work: () => Promise<Stamps | undefined>,
  filesThereAre: () => Promise<readonly string[]>,
  signal: AbortSignal,
  wait: (ms: number, signal: AbortSignal) => Promise<boolean> = waited,
): Promise<void> {
  while (!signal.aborted) {
    const there = await lookAgain(NONE, filesThereAre)
    const stamps = (await work()) ?? NONE
    const before = stamps === NONE ? there : JSON.stringify([...stamps])
    let now = before
    for (;;) {
      const last = now
      const began = performance.now()
      now = await lookAgain(stamps, filesThereAre)
      if (now !== before && now === last) break
      if (!(await wait(Math.max(QUIET_MS, SHARE * (performance.now() - began)), signal))) return
    }
  }
}

/** The same text for as long as nothing has changed. */
async function lookAgain(stamps: Stamps, filesThereAre: () => Promise<readonly string[]>): Promise<string> {
  const files = await filesThereAre().catch((error: unknown) => [String(error)])
  const paths = new Set([...stamps.keys(), ...files])
  return JSON.stringify(await Promise.all([...paths].map(async (path) => [path, await stampOf(path)])))
}

async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  return pause(ms, true, { signal }).catch(() => false)
}
