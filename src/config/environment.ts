import { readFileSync } from 'node:fs'
import type { Problem } from '../failure.ts'

export interface Variable {
  readonly name: string
  readonly description: string
  readonly default?: string
  /** Also read from the file that `<name>_FILE` names. */
  readonly secret?: true
}

/** Reads declared variables, and keeps every complaint about them. An empty value counts as absent, as in compose files. */
export class Environment {
  readonly problems: Problem[] = []
  readonly #values = new Map<string, string>()

  constructor(variables: readonly Variable[], env: NodeJS.ProcessEnv) {
    const given = new Map(Object.entries(env).filter(([name, value]) => value !== '' && !isServiceLink(name, value)))
    for (const variable of variables) {
      const value = this.#take(variable, given) ?? variable.default
      if (value !== undefined) this.#values.set(variable.name, value)
    }
    for (const name of given.keys()) {
      if (name.startsWith('VERDICT_') && !CLIENT_VARIABLES.has(name))
        this.complain(name, 'is no variable of Verdict: see verdict serve --help')
    }
  }

  complain(name: string, detail: string): void {
    this.problems.push({ pointer: '', detail: `${name} ${detail}` })
  }

  isSet(name: string): boolean {
    return this.#values.has(name)
  }

  optional(name: string): string | undefined {
    return this.#values.get(name)
  }

  text(name: string): string {
    return this.#values.get(name) ?? ''
  }

  integer(name: string, min: number, max: number): number {
    const text = this.text(name)
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) this.complain(name, `is no whole number from ${min} to ${max}`)
    return value
  }

  /** @returns milliseconds. */
  seconds(name: string, min: number, max: number): number {
    const text = this.text(name)
    const value = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) this.complain(name, `is no number of seconds from ${min} to ${max}`)
    return Math.round(value * 1000)
  }

  oneOf<T extends string>(name: string, values: readonly [T, ...T[]]): T {
    const found = values.find((value) => value === this.text(name))
    if (found === undefined) this.complain(name, `is none of ${values.join(', ')}`)
    return found ?? values[0]
  }

  /** The variable's value, or that of its file. What is taken is known. */
  #take(variable: Variable, given: Map<string, string | undefined>): string | undefined {
    const { name } = variable
    const file = `${name}_FILE`
    const value = given.get(name)
    const path = variable.secret ? given.get(file) : undefined
    given.delete(name)
    if (path === undefined) return value
    given.delete(file)
    if (value !== undefined) this.complain(file, `is set, and so is ${name}: one of the two`)
    return this.#read(file, path)
  }

  #read(name: string, path: string): string | undefined {
    try {
      const text = readFileSync(path, 'utf8').trim()
      if (text === '') this.complain(name, 'names an empty file')
      return text === '' ? undefined : text
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
      this.complain(name, `names a file that can't be read (${code})`)
      return undefined
    }
  }
}

/** What the commands that talk to a running Verdict take; they may stand beside the service's own variables. */
const CLIENT_VARIABLES: ReadonlySet<string> = new Set(['VERDICT_URL', 'VERDICT_KEY', 'VERDICT_KEY_FILE'])

// Kubernetes puts VERDICT_PORT=tcp://… and the like into every pod beside a service that is called `verdict`.
const SERVICE_LINK = /^VERDICT_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)$/

function isServiceLink(name: string, value: string | undefined): boolean {
  return SERVICE_LINK.test(name) || (name === 'VERDICT_PORT' && /^(tcp|udp):\/\//.test(value ?? ''))
}
