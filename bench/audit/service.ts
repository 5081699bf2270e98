import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { familySeconds, processorSeconds, residentMib } from '../processor.ts'
import { metricOf, metricsOf, PROJECT, type Program, startProgram, stopProgram } from '../soak/program.ts'
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

  async ask(method: string, path: string, body?: unknown): Promise<void> {
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

  /** How long the event loop was held up since this was asked last, ms. */
  async loop(): Promise<{ readonly p99: number; readonly max: number }> {
    const names = ['nodejs_eventloop_lag_p99_seconds', 'nodejs_eventloop_lag_max_seconds']
    const [p99 = 0, max = 0] = await metricsOf(this.#program, names)
    return { p99: p99 * 1000, max: max * 1000 }
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
    return processorSeconds(this.#pid)
  }

  /** The same with its workers', and that of its embedded database. */
  get family(): { readonly own: number; readonly database: number } {
    return familySeconds(this.#pid)
  }

  /** MiB of memory that the process holds. */
  get resident(): number {
    return residentMib(this.#pid)
  }

  signal(name: NodeJS.Signals): void {
    this.#program.child.kill(name)
  }

  get #pid(): number {
    return this.#program.child.pid ?? Number.NaN
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
