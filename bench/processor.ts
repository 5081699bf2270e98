import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Seconds of processor time that a process has taken so far, in all its threads. */
export function processorSeconds(pid: number): number {
  // After the name, which may hold anything: fields 14 and 15, in hundredths of a second.
  const [user = 0, system = 0] = fields(pid).slice(11, 13).map(Number)
  return (user + system) / 100
}

/** MiB of memory that a process holds. */
export function residentMib(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024
}

/** The same of a process and all that it has started: its own program's, and that of databases it runs. */
export function familySeconds(pid: number): { readonly own: number; readonly database: number } {
  let [own, database] = [0, 0]
  for (const one of family(pid)) {
    try {
      if (readFileSync(`/proc/${one}/comm`, 'utf8').startsWith('postgres')) database += processorSeconds(one)
      else own += processorSeconds(one)
    } catch {
      // It has ended since.
    }
  }
  return { own, database }
}

function family(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(fields(Number(entry))[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
    } catch {
      // It has ended since.
    }
  }
  const all = [pid]
  for (const one of all) all.push(...(children.get(one) ?? []))
  return all
}

/** From now on this process, and what it will start, runs on this core alone. */
export function pinTo(cores: string): void {
  execFileSync('taskset', ['-acp', cores, String(process.pid)], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Of `/proc/<pid>/stat`, from the state on. */
function fields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}
