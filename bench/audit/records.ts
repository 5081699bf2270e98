import { v7 } from 'uuid'
import { type AuditEvent, encodeEvent } from '../../src/audit/event.ts'
import type { RecordBatch } from '../../src/audit/frame.ts'

export interface Tenants {
  readonly name: string
  /** Of all records. */
  readonly share: number
}

/** Who and what the records are about, the most frequent first: the n-th of them comes up about 1/n as often. */
export const SUBJECTS = 100_000
export const RESOURCES = 1_000_000
const DENIED = 0.1

export const subjectAt = (rank: number) => `user-${rank}`
export const resourceAt = (rank: number) => `library/shelf-${rank % 1000}/document-${rank}`

/** Records of decisions as a service writes them, of one writer, by a seeded generator. */
export class Recorder {
  readonly #tenants: readonly Tenants[]
  readonly #random: () => number
  readonly #counts = new Map<string, number>()
  readonly #between: (share: number) => number
  #next = 0

  /** @param between the instant (ms) for a share of the way from the first record to the last. */
  constructor(tenants: readonly Tenants[], seed: number, between: (share: number) => number) {
    this.#tenants = tenants
    this.#random = randomFrom(seed)
    this.#between = between
  }

  get next(): number {
    return this.#next
  }

  /** The next records of the log, the first of them at the share `from` of the way, the last before `to`. */
  batch(count: number, from: number, to: number): RecordBatch {
    const texts = Array.from({ length: count }, (_, at) => this.#record(from + ((to - from) * at) / count))
    const lengths = texts.map((text) => text.length)
    let end = 0
    const offsets = lengths.map((length) => {
      end += length
      return end - length
    })
    const first = this.#next
    this.#next += count
    return { first, bytes: Buffer.from(texts.join(''), 'latin1'), offsets, lengths }
  }

  #record(share: number): string {
    const event = this.event(share)
    const count = (this.#counts.get(event.tenant) ?? 0) + 1
    this.#counts.set(event.tenant, count)
    return `${encodeEvent(event).slice(0, -1)},"tenant_seq":${count}}`
  }

  event(share: number): AuditEvent {
    const random = this.#random
    const tenant = this.#tenant()
    const msecs = Math.floor(this.#between(share))
    const isAllowed = random() >= DENIED
    const owner = subjectAt(rank(random(), SUBJECTS))
    return {
      id: v7({ msecs }),
      at: new Date(msecs).toISOString(),
      tenant,
      type: 'decision',
      actor: { type: 'service', id: `gateway-${Math.floor(random() * 8)}`, key_id: 'k4f2a9c1d7e8' },
      subject: { type: 'user', id: owner },
      action: { name: random() < 0.8 ? 'document:read' : 'document:edit' },
      resource: { type: 'document', id: resourceAt(rank(random(), RESOURCES)), properties: { owner } },
      context: { ip: `10.${Math.floor(random() * 256)}.0.1` },
      decision: isAllowed,
      reason: isAllowed ? 'allowed_by_rule' : 'no_applicable_rule',
      rules: isAllowed ? ['default/owner-reads'] : [],
      obligations: [],
      revision: 42,
      ip: '127.0.0.1',
      user_agent: 'gateway/1.0',
      request_id: `req-${Math.floor(random() * 2 ** 47).toString(36)}`,
      trace_id: null,
      duration_us: Math.floor(random() * 300),
    }
  }

  #tenant(): string {
    let left = this.#random()
    for (const { name, share } of this.#tenants) {
      left -= share
      if (left < 0) return name
    }
    return this.#tenants.at(-1)?.name ?? ''
  }
}

/** Evenly over the logarithm: low ranks often, each rank's share about 1 / rank. */
export function rank(random: number, count: number): number {
  return Math.floor(count ** random) - 1
}

/** Mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
