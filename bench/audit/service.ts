import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { metricOf, PROJECT, type Program, startProgram, stopProgram } from '../soak/program.ts'
import { type Answered, type Load, press } from './callers.ts'
import type { Room } from './room.ts'

/** A Verdict in a process of its own, as it is delivered, and how a bench talks to it. */
export class Service {
  readonly name: string
  readonly #program: Program
  readonly #key: string

  private constructor(name: string, program: Program, key: string) {
    this.name = name
    this.#program = program
    this.#key = key
  }

  static async start(room: Room, name: string, env: Readonly<Record<string, string>> = {}): Promise<Service> {
    const key = newKey()
    const program = await startProgram(PROJECT, {
      VERDICT_DATA_DIR: join(room.folder, name.replaceAll(/\W/g, '-')),
      VERDICT_PRESET: 'none',
      VERDICT_ADMIN_KEY: key,
      VERDICT_ROOT_KEY: newKey(),
      ...env,
    })
    room.add(() => stopProgram(program))
    const service = new Service(name, program, key)
    await service.ask('PUT', '/v1/rules/owner-reads', OWNER_READS)
    return service
  }

  get url(): string {
    return this.#program.url
  }

  get authorization(): string {
    return `Bearer ${this.#key}`
  }

  /** Answers are checked, all of them; the fixture is `owner-reads`. */
  press(load: Omit<Load, 'url' | 'key'>): Promise<Answered> {
    return press({ ...load, url: this.url, key: this.#key })
  }

  async ask(method: string, path: string, body: unknown): Promise<void> {
    const headers = { 'content-type': 'application/json', authorization: this.authorization }
    const response = await fetch(`${this.url}${path}`, { method, headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${this.name}: ${method} ${path}: ${response.status} ${await response.text()}`)
  }

  // What an answer holds is the bench's to say.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async answer(path: string, body: unknown): Promise<any> {
    const headers = { 'content-type': 'application/json', authorization: this.authorization }
    const response = await fetch(`${this.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!response.ok) throw new Error(`${this.name}: ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  backlog(): Promise<number> {
    return metricOf(this.#program, 'verdict_audit_backlog_records')
  }

  shipped(): Promise<number> {
    return metricOf(this.#program, 'verdict_audit_shipped_total')
  }

  /** Until nothing is left to ship. @returns seconds. */
  async drained(): Promise<number> {
    const began = performance.now()
    while ((await this.backlog()) > 0) {
      if (performance.now() - began > 30 * 60_000) throw new Error(`${this.name} did not ship its backlog`)
      await pause(20)
    }
    return (performance.now() - began) / 1000
  }

  /** Seconds of processor time that the process has taken so far, in all its threads. */
  get cpu(): number {
    const text = readFileSync(`/proc/${this.#program.child.pid}/stat`, 'utf8')
    // After the name, which may hold anything: fields 14 and 15, in hundredths of a second.
    const [user = 0, system = 0] = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number)
    return (user + system) / 100
  }

  /** MiB of memory that the process holds. */
  get resident(): number {
    const text = readFileSync(`/proc/${this.#program.child.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / 1024
  }
}

const OWNER_READS = {
  effect: 'allow',
  subjects: [{ any: true }],
  actions: ['document:read'],
  resources: [{ type: 'document', id: 'fresh/*' }],
  condition: 'resource.properties.owner == subject.id',
}

function newKey(): string {
  return `vdt_b${randomBytes(8).toString('hex')}_${randomBytes(32).toString('base64url')}`
}
