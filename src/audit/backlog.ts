/** Records that follow each other in the log, and how much of them is whose. */
interface Span {
  /** When the first of them was kept, in ms. */
  readonly began: number
  /** The number after the last of them. */
  next: number
  bytes: number
  readonly tenants: Map<string, number>
}

/** What is forgotten as one: an hour's backlog is a few thousand spans, whatever the load was. */
const SPAN_MS = 1000
const SPANS = 64

/**
 * A tenant may hold this many times what would still be free after its record. One that asks for all gets 7/8 of the
 * journal, two get 7/15 each: there is always room for who holds little, and who holds most is refused first.
 * (Choudhury and Hahne's dynamic thresholds, as switches share out their buffers.)
 */
const SHARE = 7

/** What the store does not have yet: how much, for how long, and whose. Bytes and times are those of whole spans. */
export class Backlog {
  readonly #held = new Map<string, number>()
  readonly #spans: Span[] = []
  readonly #spanBytes: number
  readonly #clock: () => number
  #bytes = 0

  constructor(maxBytes: number, clock: () => number) {
    this.#spanBytes = maxBytes / SPANS
    this.#clock = clock
  }

  /** Bytes that are kept here and not in the store. */
  get bytes(): number {
    return this.#bytes
  }

  /** ms since the oldest of these was kept; 0 where there is none. */
  get age(): number {
    const [oldest] = this.#spans
    return oldest === undefined ? 0 : this.#clock() - oldest.began
  }

  /** Whether a record of this size stays within its tenant's share, with `free` bytes free before it. */
  allows(tenant: string, bytes: number, free: number): boolean {
    return (this.#held.get(tenant) ?? 0) + bytes <= SHARE * (free - bytes)
  }

  /** How many tenants could not add a record of this size. */
  refused(bytes: number, free: number): number {
    let refused = 0
    for (const tenant of this.#held.keys()) if (!this.allows(tenant, bytes, free)) refused++
    return refused
  }

  /** Whether one of the tenants that were kept last could add a record of this size; also where there is none. */
  goesOn(bytes: number, free: number): boolean {
    const last = this.#spans.at(-1)
    return last === undefined || [...last.tenants.keys()].some((tenant) => this.allows(tenant, bytes, free))
  }

  /** A record is to be kept: from now on it counts. */
  take(tenant: string, bytes: number): void {
    this.#held.set(tenant, (this.#held.get(tenant) ?? 0) + bytes)
  }

  /** It was not kept, or it is in the store. */
  release(tenant: string, bytes: number): void {
    const left = (this.#held.get(tenant) ?? 0) - bytes
    if (left > 0) this.#held.set(tenant, left)
    else this.#held.delete(tenant)
  }

  /** These are kept, the last of them before number `next`. */
  kept(records: readonly { readonly tenant: string; readonly bytes: number }[], next: number): void {
    const span = this.#openSpan()
    span.next = next
    for (const { tenant, bytes } of records) {
      span.bytes += bytes
      this.#bytes += bytes
      span.tenants.set(tenant, (span.tenants.get(tenant) ?? 0) + bytes)
    }
  }

  /** What stands before number `seq` is in the store. */
  shipped(seq: number): void {
    for (let [span] = this.#spans; span !== undefined && span.next <= seq; [span] = this.#spans) {
      this.#spans.shift()
      this.#bytes -= span.bytes
      for (const [tenant, bytes] of span.tenants) this.release(tenant, bytes)
    }
  }

  #openSpan(): Span {
    const now = this.#clock()
    const last = this.#spans.at(-1)
    if (last !== undefined && last.bytes < this.#spanBytes && now - last.began < SPAN_MS) return last
    const span = { began: now, next: 0, bytes: 0, tenants: new Map() }
    this.#spans.push(span)
    return span
  }
}
