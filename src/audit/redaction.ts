import { createHmac } from 'node:crypto'
import type { Properties, RedactionSettings, Treatment } from '../policy/model.ts'
import { type RedactionEntry, readRedaction } from '../policy/redaction-path.ts'

/** What stands in the place of a value: recognisable, and the same for the same value of the same tenant. */
export function keyedHash(key: Buffer, value: string | number | boolean): string {
  return `hmac:${createHmac('sha256', key).update(JSON.stringify(value)).digest('base64url')}`
}

/** The entries that cover a place or something beneath it, the most specific first. */
type Live = readonly RedactionEntry[]

const SUBJECT_ID = ['subject', 'id'] as const
const RESOURCE_ID = ['resource', 'id'] as const
const WEIGHT = { clear: 0, keyed_hash: 1, drop: 2 } satisfies Record<Treatment, number>

/** A tenant's redaction, compiled. What it answers with shares with what it was given whatever is not touched. */
export class Redaction {
  readonly #entries: readonly RedactionEntry[]
  readonly #key: Buffer

  constructor(settings: RedactionSettings, key: Buffer) {
    this.#entries = readRedaction(settings)
    this.#key = key
  }

  /** What may be seen in the place of the value that stands at `path`; undefined: nothing. */
  readonly value = (path: readonly string[], value: unknown): unknown =>
    this.#seen(value, [this.#liveAt(path)], path.length)

  /** An identifier, which is never dropped. */
  id(path: readonly [string, 'id'], id: string): string {
    return treatmentOf(this.#liveAt(path), path.length) === 'clear' ? id : keyedHash(this.#key, id)
  }

  /** The id of what may be a subject and may be a resource: as the stricter of the two wants it. */
  entityId(id: string): string {
    const asSubject = this.id(SUBJECT_ID, id)
    return asSubject === id ? this.id(RESOURCE_ID, id) : asSubject
  }

  /** Properties of what may be a subject and may be a resource. */
  entityProperties(properties: Properties): Properties {
    const lives = ['subject', 'resource'].map((kind) => this.#liveAt([kind, 'properties']))
    return this.#members(properties, lives, 2)
  }

  #liveAt(path: readonly string[]): Live {
    let live = this.#entries
    for (const [depth, name] of path.entries()) live = beneath(live, depth, name)
    return live
  }

  #seen(value: unknown, lives: readonly Live[], depth: number): unknown {
    const treatment = strictest(lives, depth)
    const isUniform = lives.every(([first]) => first === undefined || first.path.length <= depth)
    if (isUniform || typeof value !== 'object' || value === null) return this.#treated(value, treatment)
    const seen = Array.isArray(value)
      ? value.map((item) => this.#seen(item, lives, depth)).filter((item) => item !== undefined)
      : this.#members(value, lives, depth)
    return treatment === 'drop' && Object.keys(seen).length === 0 ? undefined : seen
  }

  #members(object: object, lives: readonly Live[], depth: number): Record<string, unknown> {
    const seen: [string, unknown][] = []
    for (const [name, member] of Object.entries(object)) {
      const below = lives.map((live) => beneath(live, depth, name))
      const left = this.#seen(member, below, depth + 1)
      if (left !== undefined) seen.push([name, left])
    }
    return Object.fromEntries(seen)
  }

  #treated(value: unknown, treatment: Treatment): unknown {
    if (treatment === 'clear') return value
    return treatment === 'drop' ? undefined : this.#hashed(value)
  }

  /** Every text, number and truth in it; its shape and the names of its members stay. */
  #hashed(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#hashed(item))
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, this.#hashed(member)]))
    }
    const isHashable = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    return isHashable ? keyedHash(this.#key, value) : value
  }
}

/** One step down, to the member `name` of what stands at `depth`. */
function beneath(live: Live, depth: number, name: string): Live {
  return live.filter(({ path }) => path.length <= depth || path[depth] === name || path[depth] === null)
}

function treatmentOf(live: Live, depth: number): Treatment {
  return live.find(({ path }) => path.length <= depth)?.treatment ?? 'clear'
}

function strictest(lives: readonly Live[], depth: number): Treatment {
  let strictest: Treatment = 'clear'
  for (const live of lives) {
    const treatment = treatmentOf(live, depth)
    if (WEIGHT[treatment] > WEIGHT[strictest]) strictest = treatment
  }
  return strictest
}
