import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Section } from './section.ts'

/** What one run of a bench found, and where and when. */
export interface Result {
  readonly bench: string
  readonly command: string
  readonly at: string
  readonly commit: string
  readonly node: string
  readonly machine: string
  /** The load average over a minute, before and after: near 0 before on a quiet machine. */
  readonly load: readonly [number, number]
  readonly seconds: number
  readonly sections: readonly Section[]
}

export const ROOT = new URL('../../', import.meta.url)
const KEPT = new URL('build/results/', ROOT)

/** Runs a bench and says where, when and on what. */
export async function observed(
  bench: string,
  command: string,
  run: () => Promise<readonly Section[] | undefined>,
): Promise<Result | undefined> {
  const at = new Date()
  const before = load()
  const sections = await run()
  if (sections === undefined) return undefined
  return {
    bench,
    command,
    at: at.toISOString(),
    commit: commit(),
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}`,
    load: [before, load()],
    seconds: Math.round((Date.now() - at.getTime()) / 1000),
    sections,
  }
}

/** Where `report` finds it: one file for each bench, that of its last run. */
export function keep(result: Result): void {
  mkdirSync(KEPT, { recursive: true })
  writeFileSync(new URL(`${result.bench}.json`, KEPT), `${JSON.stringify(result, null, 1)}\n`)
}

export function kept(): Result[] {
  mkdirSync(KEPT, { recursive: true })
  const files = readdirSync(KEPT).filter((name) => name.endsWith('.json'))
  return files.sort().map((name): Result => JSON.parse(readFileSync(new URL(name, KEPT), 'utf8')))
}

/** With what has been changed since named, so that nobody takes the figures for the commit's. */
function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed ? ', with changes' : ''}`
  } catch {
    return 'unknown'
  }
}

function load(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100
}
