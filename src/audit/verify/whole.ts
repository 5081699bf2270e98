import { setImmediate as breathe } from 'node:timers/promises'
import type { SealedSize } from '../checkpoint.ts'
import { withEndorsed } from '../endorsement.ts'
import { EMPTY_ROOT } from '../merkle.ts'
import type { VerifierKey } from '../note.ts'
import type { Evidence, StoredRecord, WriterState } from './evidence.ts'
import { Findings } from './findings.ts'
import { type CheckedLog, checkLog } from './log-check.ts'
import { NumberSet } from './number-set.ts'
import { checkOutside, type OutsideCheckpoint, type OutsideNote, openOutside, outsideSizes } from './outside.ts'
import { Pruned } from './pruned.ts'
import { RecordCheck } from './record-check.ts'
import { RevisionCheck } from './revisions.ts'
import { SealedLeaves } from './sealed-leaves.ts'

export interface VerifyOptions {
  /** The keys that may have signed; absent: those that the database names. */
  readonly keys?: readonly VerifierKey[] | undefined
  readonly outside?: readonly OutsideNote[]
  /** Called often, with how many of about how many. */
  readonly onProgress?: (what: 'leaves' | 'records', done: number, total: number) => void
}

export interface TrailReport {
  readonly findings: Findings
  readonly keys: readonly VerifierKey[]
  readonly logs: readonly CheckedLog[]
  readonly checked: number
  /** Records that signed statements say were pruned. */
  readonly pruned: number
  readonly outside: number
}

/** Verifies all that there is: every log, every checkpoint, every record, of all tenants. */
export async function verifyTrail(evidence: Evidence, options: VerifyOptions = {}): Promise<TrailReport> {
  const findings = new Findings()
  const keys = await keysFor(evidence, options.keys)
  const outside = openOutside(options.outside ?? [], keys, findings)
  const writers = await evidence.writers()
  const progress = options.onProgress ?? (() => {})
  const logs = await checkLogs(evidence, writers, keys, outside, findings, progress)
  if (writers.length === 0 && keys.length > 0) {
    const detail = 'a key was made to sign checkpoints, and there is neither a log nor a checkpoint'
    findings.add({ verdict: 'completeness', kind: 'log_missing', detail })
  }
  await checkKnown(evidence, logs, findings)
  for (const one of outside) {
    const isStored = await hasNote(evidence, one)
    checkOutside(
      one,
      logs.find(({ writer }) => writer === one.opened.writer),
      isStored,
      findings,
    )
  }
  const pruned = new Pruned(await evidence.prunes(), keys, findings)
  const checked = await checkRecords(evidence, writers, logs, keys, pruned, findings, progress)
  return { findings, keys, logs, checked, pruned: pruned.total, outside: outside.length }
}

/** Those that are trusted: all that the database names, or the given ones with those that they have endorsed. */
export async function keysFor(
  evidence: Evidence,
  given: readonly VerifierKey[] | undefined,
): Promise<readonly VerifierKey[]> {
  return given === undefined ? evidence.keys() : withEndorsed(given, await evidence.endorsements())
}

type Progress = NonNullable<VerifyOptions['onProgress']>

async function checkLogs(
  evidence: Evidence,
  writers: readonly WriterState[],
  keys: readonly VerifierKey[],
  outside: readonly OutsideCheckpoint[],
  findings: Findings,
  progress: Progress,
): Promise<CheckedLog[]> {
  const total = writers.reduce((sum, { position = 0 }) => sum + position, 0)
  const logs: CheckedLog[] = []
  let done = 0
  for (const state of writers) {
    const before = done
    const log = await checkLog(evidence, state, keys, outsideSizes(outside, state.writer), findings, (size) => {
      progress('leaves', before + size, total)
    })
    logs.push(log)
    done += log.size
  }
  return logs
}

/** What each log's last checkpoint tells of the others: they must still be there, and be what they were. */
async function checkKnown(evidence: Evidence, logs: readonly CheckedLog[], findings: Findings): Promise<void> {
  const told = new Map<string, SealedSize>()
  for (const log of logs) for (const one of log.known) told.set(`${one.writer} ${one.size}`, one)
  const sizes = new Map(logs.map(({ writer, size }) => [writer, size]))
  for (const { writer, size, root } of told.values()) {
    const now = sizes.get(writer)
    if (now === undefined) {
      const detail = `a checkpoint of another log knew it with ${size} records, and nothing of it is left`
      findings.add({ verdict: 'completeness', kind: 'log_missing', detail, writer, count: size })
    } else if (size > now) {
      const detail = `a checkpoint of another log knew it with ${size} records, and it has ${now}`
      findings.add({ verdict: 'completeness', kind: 'rolled_back', detail, writer, seq: now, count: size - now })
    } else await checkRoot(evidence, { writer, size, root }, findings)
  }
}

async function checkRoot(evidence: Evidence, { writer, size, root }: SealedSize, findings: Findings): Promise<void> {
  const known = size === 0 ? EMPTY_ROOT : await evidence.rootAt(writer, size)
  if (known === undefined) {
    const detail = `its checkpoint at ${size} records, which another log knew, is not there`
    findings.add({ verdict: 'completeness', kind: 'checkpoint_missing', detail, writer, seq: size })
  } else if (!known.equals(root)) {
    const detail = `another log knew it with another tree at ${size} records`
    findings.add({ verdict: 'integrity', kind: 'tree', detail, writer, seq: size })
  }
}

async function hasNote(evidence: Evidence, { opened, note }: OutsideCheckpoint): Promise<boolean> {
  return evidence.hasNote(opened.writer, opened.size, note)
}

async function checkRecords(
  evidence: Evidence,
  writers: readonly WriterState[],
  logs: readonly CheckedLog[],
  keys: readonly VerifierKey[],
  pruned: Pruned,
  findings: Findings,
  progress: Progress,
): Promise<number> {
  const check = new RecordCheck(new SealedLeaves(evidence, keys), writers, findings)
  const seen = new Seen(findings)
  const revisions = new RevisionCheck(findings)
  const sizes = new Map(logs.map(({ writer, size }) => [writer, size]))
  const total = logs.reduce((sum, { size }) => sum + size, 0)
  for await (const page of evidence.records({})) {
    for (const row of page) {
      const event = await check.check(row)
      revisions.see(row, event)
      // Only what has a place: what somebody put there may claim any.
      if (row.seq < (sizes.get(row.writer) ?? 0)) seen.add(row, event?.tenant_seq)
    }
    progress('records', check.checked, total)
    await breathe()
  }
  seen.conclude(logs, pruned)
  for await (const stored of evidence.revisions()) revisions.conclude(stored, pruned.total > 0)
  return check.checked
}

/** Which places of each log, and of each tenant in it, a record was found at: a bit each. */
class Seen {
  readonly #findings: Findings
  readonly #places = new Map<string, NumberSet>()
  readonly #counts = new Map<string, Map<string, NumberSet>>()
  /** Logs with records of which nobody knows what they were. */
  readonly #doubtful = new Set<string>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  add({ writer, seq, tenant_id, id }: StoredRecord, count: number | undefined): void {
    if (seq < 0) return
    if (!setIn(this.#places, writer).add(seq)) {
      const detail = 'another record has the same place in the log'
      this.#findings.add({ verdict: 'integrity', kind: 'doubled', detail, writer, seq, tenant: tenant_id, id })
    } else if (count === undefined) this.#doubtful.add(writer)
    else {
      const tenants = this.#counts.get(writer) ?? new Map<string, NumberSet>()
      this.#counts.set(writer, tenants)
      setIn(tenants, tenant_id).add(count)
    }
  }

  conclude(logs: readonly CheckedLog[], pruned: Pruned): void {
    for (const { writer, size } of logs) {
      const places = this.#places.get(writer) ?? new NumberSet()
      const allowance = { left: pruned.records(writer) }
      const gaps = [...places.gaps(0, size)].flatMap((gap) => unpruned(gap, writer, pruned, allowance))
      for (const { from, to } of gaps) {
        this.#missing({ writer, seq: from, count: to - from }, `records ${from} to ${to - 1} of the log are not there`)
      }
      // Where a log is whole, a tenant's part of it can't be short; that it counts its records is held against that.
      if (places.size === size && !this.#doubtful.has(writer)) this.#concludeTenants(writer)
    }
  }

  #concludeTenants(writer: string): void {
    for (const [tenant, counts] of this.#counts.get(writer) ?? []) {
      for (const { from, to } of counts.gaps(1, counts.max + 1)) {
        this.#missing({ writer, tenant, count: to - from }, `records ${from} to ${to - 1} of the tenant are not there`)
      }
    }
  }

  #missing(where: { writer: string; seq?: number; tenant?: string; count: number }, detail: string): void {
    this.#findings.add({ verdict: 'completeness', kind: 'missing', detail, ...where })
  }
}

function setIn(sets: Map<string, NumberSet>, key: string): NumberSet {
  const known = sets.get(key)
  if (known !== undefined) return known
  const made = new NumberSet()
  sets.set(key, made)
  return made
}

/** What of a gap was not pruned. Of a range only so many are, which the statement says; the others are missing. */
function unpruned(gap: Gap, writer: string, pruned: Pruned, allowance: { left: number }): Gap[] {
  const missing: Gap[] = []
  let start = gap.from
  for (const { first_seq, next_seq } of pruned.of(writer)) {
    const from = Math.max(start, first_seq)
    const to = Math.min(gap.to, next_seq)
    const taken = Math.min(to - from, allowance.left)
    if (taken <= 0) continue
    allowance.left -= taken
    if (from > start) missing.push({ from: start, to: from })
    start = from + taken
  }
  return start < gap.to ? [...missing, { from: start, to: gap.to }] : missing
}

interface Gap {
  readonly from: number
  readonly to: number
}
