import { setImmediate as breathe } from 'node:timers/promises'
import { Failure } from '../../failure.ts'
import { instantIn } from '../event-id.ts'
import type { VerifierKey } from '../note.ts'
import { rangeAt } from '../seal/subtrees.ts'
import type { Evidence, RecordScope, StoredRecord, WriterState } from './evidence.ts'
import { Findings } from './findings.ts'
import { NumberSet } from './number-set.ts'
import { type OutsideNote, openOutside } from './outside.ts'
import { Pruned } from './pruned.ts'
import { RecordCheck } from './record-check.ts'
import { RevisionCheck } from './revisions.ts'
import { faultOf, SealedLeaves } from './sealed-leaves.ts'

export interface TenantScope {
  readonly tenant: string
  /** The instant itself is in. */
  readonly from?: Date | undefined
  /** The instant itself is out. */
  readonly to?: Date | undefined
}

export interface TenantOptions {
  readonly keys?: readonly VerifierKey[] | undefined
  readonly outside?: readonly OutsideNote[]
  /** Ends it early. */
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number) => void
}

/** A log that the tenant has records in, as far as it is signed. */
export interface TenantLog {
  readonly writer: string
  readonly records: number
  /** Of the log: how many records its last checkpoint is of; 0: it has none yet. */
  readonly sealed: number
  readonly checkpoint: string | null
}

export interface TenantReport {
  readonly findings: Findings
  readonly checked: number
  readonly logs: readonly TenantLog[]
}

/** What was seen of a tenant in one log. */
interface Part {
  readonly counts: NumberSet
  /** Of its record with the highest count. */
  last: { readonly count: number; readonly seq: number; readonly at: Date }
}

/** What records are held against. */
interface Sealed {
  readonly leaves: SealedLeaves
  readonly writers: readonly WriterState[]
}

/** The records of a log that should stand after `seq`, so many, hardly any of them older than `since`. */
interface Rest {
  readonly writer: string
  readonly seq: number
  readonly since: Date | undefined
  readonly wanted: number
}

/** Rows of other tenants after a tenant's last one are counted up to so many; beyond, it takes the whole trail. */
const LONGEST_TAIL = 200_000
/** As many of them, in all logs together, are held against what was sealed; more are only counted. */
const MOST_CHECKED = 200_000
/** The same of logs in which none of a tenant's records is found, all of them together; each is as dear as some records. */
const MOST_OTHERS = 200_000
const LEAST_OF_A_LOG = 100
const HOUR = 3_600_000

/**
 * Verifies a tenant's records of a time: each against the leaf that was sealed, its columns against its bytes, and
 * that none is missing. For that each log counts a tenant's records: between the first and the last found the count
 * may have no gap, at the beginning it is 1 or goes on from the record before, and after the last one the log has
 * only records of others. So has a log in which none of its own is found.
 */
export async function verifyTenant(
  evidence: Evidence,
  scope: TenantScope,
  options: TenantOptions = {},
): Promise<TenantReport> {
  return new TenantCheck(evidence, scope, options).run()
}

class TenantCheck {
  readonly #evidence: Evidence
  readonly #scope: TenantScope
  readonly #options: TenantOptions
  readonly #findings = new Findings()
  readonly #parts = new Map<string, Part>()
  readonly #revisions = new RevisionCheck(this.#findings)
  #pruned = Pruned.nothing
  #unchecked = MOST_CHECKED

  constructor(evidence: Evidence, scope: TenantScope, options: TenantOptions) {
    this.#evidence = evidence
    this.#scope = scope
    this.#options = options
  }

  async run(): Promise<TenantReport> {
    const keys = this.#options.keys ?? (await this.#evidence.keys())
    const leaves = new SealedLeaves(this.#evidence, keys)
    const writers = await this.#evidence.writers()
    const check = new RecordCheck(leaves, writers, this.#findings)
    this.#pruned = new Pruned(await this.#evidence.prunes(), keys, this.#findings)
    await this.#checkOutside(keys)
    const trusted = await this.#read(check)
    for (const [writer, part] of this.#parts) {
      if (trusted.has(writer)) await this.#complete(writer, part, { leaves, writers })
    }
    await this.#others({ leaves, writers })
    await this.#checkRevisions()
    return { findings: this.#findings, checked: check.checked, logs: await this.#logs(leaves) }
  }

  /** @returns the logs of which every record was what was sealed: of the others nobody knows what was counted. */
  async #read(check: RecordCheck): Promise<Set<string>> {
    const trusted = new Set<string>()
    const doubtful = new Set<string>()
    for await (const page of this.#pages({ ...this.#scope, order: 'asc' })) {
      for (const row of page) {
        const event = await check.check(row)
        this.#revisions.see(row, event)
        if (event === undefined) doubtful.add(row.writer)
        // Of what stands before, some may have been pruned, and nobody can tell which tenant's.
        else if (row.seq >= this.#pruned.upTo(row.writer)) this.#note(row, event.tenant_seq)
        trusted.add(row.writer)
      }
      this.#options.onProgress?.(check.checked)
    }
    return new Set([...trusted].filter((writer) => !doubtful.has(writer)))
  }

  /** Of a part of the time nobody can say which revisions fall into it. */
  async #checkRevisions(): Promise<void> {
    const { tenant, from, to } = this.#scope
    if (from !== undefined || to !== undefined) return
    for await (const stored of this.#evidence.revisions(tenant)) {
      this.#revisions.conclude(stored, this.#pruned.total > 0)
    }
  }

  async *#pages(scope: RecordScope): AsyncGenerator<readonly StoredRecord[]> {
    for await (const page of this.#evidence.records(scope)) {
      if (this.#options.signal?.aborted) throw new Failure('shutting_down', 'The verification was ended.')
      yield page
      await breathe()
    }
  }

  #note({ writer, seq, at, tenant_id, id }: StoredRecord, count: number): void {
    const part = this.#parts.get(writer)
    if (part === undefined) {
      const counts = new NumberSet()
      counts.add(count)
      this.#parts.set(writer, { counts, last: { count, seq, at } })
    } else if (!part.counts.add(count)) {
      const detail = 'another record has the same place in the log'
      this.#findings.add({ verdict: 'integrity', kind: 'doubled', detail, writer, seq, tenant: tenant_id, id })
    } else if (count > part.last.count) part.last = { count, seq, at }
  }

  async #complete(writer: string, part: Part, sealed: Sealed): Promise<void> {
    const { from, to } = this.#scope
    const isWhole = this.#pruned.upTo(writer) === 0
    const first = !isWhole ? part.counts.min : from === undefined ? 1 : Math.max(1, part.counts.min - 1)
    const last = to === undefined ? part.counts.max : part.counts.max + 1
    const found = new NumberSet()
    const check = new RecordCheck(sealed.leaves, sealed.writers, this.#findings)
    const isShort = () => hasGap(part.counts, found, first, last)
    if (from !== undefined && isShort()) await this.#lookFor(check, found, { writer, to: from, order: 'desc' }, isShort)
    if (to !== undefined && isShort()) await this.#lookFor(check, found, { writer, from: to, order: 'asc' }, isShort)
    const isLast = to === undefined || found.max <= part.counts.max
    const upTo = isLast ? part.counts.max : last
    for (const gap of part.counts.gaps(first, upTo + 1)) {
      for (const { from: start, to: end } of found.gaps(gap.from, gap.to)) this.#missing(writer, start, end)
    }
    if (isLast) await this.#tail(writer, part, sealed)
  }

  /** Records a little out of time: one that waited for its process to be recovered is older than its neighbours. */
  async #lookFor(check: RecordCheck, found: NumberSet, scope: RecordScope, isShort: () => boolean): Promise<void> {
    for await (const page of this.#pages({ ...scope, tenant: this.#scope.tenant })) {
      for (const row of page) {
        const event = await check.check(row)
        if (event !== undefined) found.add(event.tenant_seq)
      }
      if (!isShort()) return
    }
  }

  async #tail(writer: string, { last }: Part, sealed: Sealed): Promise<void> {
    const position = sealed.writers.find((state) => state.writer === writer)?.position ?? 0
    const others = position - 1 - last.seq
    if (others === 0 || others > LONGEST_TAIL) return
    // `infinity` is no Date.
    const since = last.at instanceof Date ? new Date(last.at.getTime() - HOUR) : undefined
    const there = await this.#thereAfter({ writer, seq: last.seq, since, wanted: others }, sealed)
    if (there >= others) return
    const detail = `of the ${others} records after the tenant's last one in the log, ${there} are there: the others may be its own`
    this.#findings.add({
      verdict: 'completeness',
      kind: 'missing',
      detail,
      writer,
      seq: last.seq + 1,
      count: others - there,
    })
  }

  /** Logs that could have held records of the time, and hold none of the tenant's: all that they had must be there. */
  async #others(seals: Sealed): Promise<void> {
    const { to } = this.#scope
    let counted = 0
    for (const { writer, position = 0 } of seals.writers) {
      if (this.#parts.has(writer) || (to !== undefined && instantIn(writer) >= to.getTime())) continue
      const gone = this.#pruned.upTo(writer)
      const sealed = (await this.#evidence.lastCheckpoint(writer))?.size ?? 0
      const records = Math.max(position, sealed) - gone
      counted += Math.max(records, LEAST_OF_A_LOG)
      if (counted > MOST_OTHERS) return
      if (records <= 0) continue
      const since = new Date(instantIn(writer) - HOUR)
      const there = await this.#thereAfter({ writer, seq: gone - 1, since, wanted: records }, seals)
      if (there >= records) continue
      const detail = `of the ${records} records of a log in which none of the tenant's is found, ${there} are there: the others may be its own`
      const count = records - there
      this.#findings.add({ verdict: 'completeness', kind: 'missing', detail, writer, seq: gone, count })
    }
  }

  /**
   * How many of the records that should stand after `seq` are there: in their places, what was sealed, and whosever they
   * say. What is wrong with those of others is not told, only that they do not count. Most are not much older than what is
   * before them; only where some are missing all are looked through.
   */
  async #thereAfter({ writer, seq, since, wanted }: Rest, { leaves, writers }: Sealed): Promise<number> {
    const tree = await leaves.tree(writer)
    const fault = tree !== undefined && 'fault' in tree ? tree.fault : undefined
    // Who verifies by keys of their own is told of what these have signed, and of nothing else.
    if (fault !== undefined && this.#options.keys === undefined) {
      this.#findings.add({ verdict: 'integrity', kind: 'tree', detail: fault, writer, seq: seq + 1 })
    }
    const check = new RecordCheck(leaves, writers, new Findings())
    const isChecked = fault === undefined && wanted <= this.#unchecked
    if (isChecked) this.#unchecked -= wanted
    const [seen, sound] = [new Set<number>(), new Set<number>()]
    const look = async (from: Date | undefined) => {
      if (!isChecked) return this.#evidence.countAfter(writer, seq, from)
      for await (const page of this.#evidence.recordsAfter(writer, seq, from)) {
        if (this.#options.signal?.aborted) throw new Failure('shutting_down', 'The verification was ended.')
        for (const row of page) {
          if (seen.has(row.seq)) continue
          seen.add(row.seq)
          const event = await check.check(row)
          if (event?.tenant === row.tenant_id) sound.add(row.seq)
        }
        await breathe()
      }
      return sound.size
    }
    const near = await look(since)
    return near < wanted && since !== undefined ? look(undefined) : near
  }

  #missing(writer: string, from: number, to: number): void {
    const detail = `records ${from} to ${to - 1} of the tenant in this log are not there`
    const { tenant } = this.#scope
    this.#findings.add({ verdict: 'completeness', kind: 'missing', detail, writer, tenant, count: to - from })
  }

  /** A log must still be what it was when a checkpoint that is kept elsewhere was signed. */
  async #checkOutside(keys: readonly VerifierKey[]): Promise<void> {
    for (const { opened, from } of openOutside(this.#options.outside ?? [], keys, this.#findings)) {
      const { writer, size, root } = opened
      const sealed = (await this.#evidence.lastCheckpoint(writer))?.size ?? 0
      const where = { writer, seq: Math.min(sealed, size) }
      if (sealed < size) {
        const detail = `it had ${size} records when the checkpoint in ${from} was signed, and has ${sealed} that are signed`
        this.#findings.add({ verdict: 'completeness', kind: 'rolled_back', detail, ...where, count: size - sealed })
      } else if (!(await this.#rootAt(writer, size))?.equals(root)) {
        const detail = `its first ${size} records are not those of the checkpoint in ${from}`
        this.#findings.add({ verdict: 'integrity', kind: 'tree', detail, ...where })
      }
    }
  }

  async #rootAt(writer: string, size: number): Promise<Buffer | undefined> {
    try {
      return (await rangeAt((spans) => this.#evidence.hashes(writer, spans), size)).root()
    } catch (error) {
      faultOf(error)
      return undefined
    }
  }

  async #logs(leaves: SealedLeaves): Promise<TenantLog[]> {
    const logs: TenantLog[] = []
    for (const [writer, { counts }] of this.#parts) {
      const tree = await leaves.tree(writer)
      const sound = tree === undefined || 'fault' in tree ? undefined : tree
      const sealed = sound?.checkpoint.size ?? 0
      logs.push({ writer, records: counts.size, sealed, checkpoint: sound?.note ?? null })
    }
    return logs
  }
}

function hasGap(counts: NumberSet, found: NumberSet, first: number, last: number): boolean {
  for (const { from, to } of counts.gaps(first, last + 1)) if (!found.gaps(from, to).next().done) return true
  return false
}
