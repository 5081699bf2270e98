import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** `build/bench/soak` is three below. */
export const PROJECT = new URL('../../../', import.meta.url).pathname

/** A service in a process of its own. */
export interface Program {
  readonly url: string
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
}

export async function startProgram(folder: string, env: Readonly<Record<string, string>>): Promise<Program> {
  const port = String(await freePort())
  const own = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', LOG_LEVEL: 'fatal' }
  const child = spawn(process.execPath, [join(folder, 'dist/main.js'), 'serve'], {
    env: { ...own, VERDICT_DRAIN_DELAY: '0', ...env, VERDICT_PORT: port },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (child.exitCode !== null) throw new Error(`the service ended with status ${child.exitCode}`)
    if ((await statusOf(`${url}/livez`)) === 200) return { url, child, ended }
    await pause(50)
  }
  child.kill('SIGKILL')
  throw new Error('the service did not answer')
}

export async function statusOf(url: string): Promise<number | undefined> {
  return fetch(url).then(
    (response) => response.arrayBuffer().then(() => response.status),
    () => undefined,
  )
}

export async function stopProgram({ child, ended }: Program): Promise<void> {
  child.kill('SIGTERM')
  await ended
}

export async function backlogOf({ url }: Program): Promise<number | undefined> {
  const state: unknown = await fetch(`${url}/readyz`).then(
    (response) => response.json(),
    () => undefined,
  )
  const isState = typeof state === 'object' && state !== null && 'audit_backlog_records' in state
  return isState ? Number(state.audit_backlog_records) : undefined
}

export async function metricOf(program: Program, name: string): Promise<number> {
  const [value = Number.NaN] = await metricsOf(program, [name])
  return value
}

/** In one look: some begin anew with each. */
export async function metricsOf({ url }: Program, names: readonly string[]): Promise<number[]> {
  const text = await fetch(`${url}/metrics`).then((response) => response.text())
  return names.map((name) => {
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]
    if (value === undefined) throw new Error(`${name} is not told`)
    return Number(value)
  })
}

/** A copy of the built program, and how to be rid of it. */
export interface Copy {
  readonly folder: string
  readonly remove: () => Promise<void>
}

/** The program as it would be without one of its guards: what a count has to see, or it counts nothing. */
export async function faultyCopy(file: string, guard: string, instead: string): Promise<Copy> {
  const folder = await mkdtemp(join(tmpdir(), 'verdict-soak-faulty-'))
  for (const name of ['dist', 'migrations', 'presets', 'package.json'])
    await cp(join(PROJECT, name), join(folder, name), { recursive: true })
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  const path = join(folder, file)
  const text = await readFile(path, 'utf8')
  if (!text.includes(guard)) throw new Error(`${file} is not guarded where it was expected to be`)
  await writeFile(path, text.replaceAll(guard, instead))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** If no answer waited for its record: some have to be lost. */
export const withoutWaiting = () =>
  faultyCopy(
    'dist/audit/trail.js',
    'return this.journal.append(event.tenant, encodeEvent(event));',
    'this.journal.append(event.tenant, encodeEvent(event)).catch(() => {}); return 0;',
  )

/** If no question waited for the revision that it asks for: stale answers have to be seen. */
export const withoutRevisions = () =>
  faultyCopy('dist/pdp/freshness.js', 'byHeader }, inBody) {', 'byHeader }, inBody) { return undefined;')

/** An API key that a service may be started with. */
export function newKey(id: string): string {
  return `vdt_${id}${randomBytes(4).toString('hex')}_${randomBytes(32).toString('base64url')}`
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
