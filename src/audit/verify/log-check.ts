import type { OpenedCheckpoint, SealedSize } from '../checkpoint.ts'
import { HASH_BYTES } from '../merkle.ts'
import type { VerifierKey } from '../note.ts'
import { LogTree } from '../seal/log-tree.ts'
import type { Evidence, StoredCheckpoint, StoredRun, WriterState } from './evidence.ts'
import type { FindingKind, Findings } from './findings.ts'
import { InnerCheck } from './inner-check.ts'
import { KnownLogs } from './known-logs.ts'
import { readCheckpoint } from './sealed-leaves.ts'

/** What a log turned out to be. */
export interface CheckedLog {
  readonly writer: string
  /** How many leaves its tree has. */
  readonly size: number
  /** How many of them are under a checkpoint. */
  readonly sealed: number
  readonly checkpoints: number
  /** Its roots at the sizes that were asked for, where it came to them. */
  readonly roots: ReadonlyMap<number, Buffer>
  /** The logs that its last checkpoint knew. */
  readonly known: readonly SealedSize[]
}

/** For so long records may be without a checkpoint: they come every second. */
const UNSEALED_MS = 60_000

/**
 * Builds a log's tree anew from its leaves, and holds what is stored and what was signed against it. One pass; of the
 * leaves a page at a time is in memory.
 * @param wanted sizes at which the root is asked for, in ascending order.
 */
export async function checkLog(
  evidence: Evidence,
  state: WriterState,
  keys: readonly VerifierKey[],
  wanted: readonly number[],
  findings: Findings,
  onProgress: (size: number) => void,
): Promise<CheckedLog> {
  const check = new LogCheck(evidence, state, keys, wanted, findings)
  return check.run(onProgress)
}

class LogCheck {
  readonly #evidence: Evidence
  readonly #state: WriterState
  readonly #keys: readonly VerifierKey[]
  readonly #findings: Findings
  readonly #tree = new LogTree()
  readonly #checkpoints: AsyncIterator<StoredCheckpoint>
  #next: StoredCheckpoint | undefined
  readonly #wanted: number[]
  readonly #roots = new Map<number, Buffer>()
  readonly #known = new KnownLogs()
  readonly #inner: InnerCheck
  #sealed = 0
  #final = false
  #count = 0
  /** How long the first record after the last checkpoint has been there. */
  #unsealedFor = 0

  constructor(
    evidence: Evidence,
    state: WriterState,
    keys: readonly VerifierKey[],
    wanted: readonly number[],
    findings: Findings,
  ) {
    this.#evidence = evidence
    this.#state = state
    this.#keys = keys
    this.#wanted = [...wanted]
    this.#findings = findings
    this.#checkpoints = evidence.checkpoints(state.writer)[Symbol.asyncIterator]()
    this.#inner = new InnerCheck(evidence, state.writer, (detail) => this.#bad('tree', detail))
  }

  async run(onProgress: (size: number) => void): Promise<CheckedLog> {
    const { writer } = this.#state
    await this.#advance()
    await this.#atStops()
    for await (const run of this.#evidence.runs(writer, 0)) {
      if (run.first !== this.#tree.size) {
        this.#missingLeaves(run.first)
        break
      }
      await this.#append(run)
      onProgress(this.#tree.size)
    }
    await this.#conclude()
    return {
      writer,
      size: this.#tree.size,
      sealed: this.#sealed,
      checkpoints: this.#count,
      roots: this.#roots,
      known: this.#known.last(),
    }
  }

  /** In parts, so that the tree is looked at wherever a checkpoint or a wanted size stands. */
  async #append({ hashes, age_ms }: StoredRun): Promise<void> {
    let rest = hashes
    for (;;) {
      const stop = Math.min(this.#next?.size ?? Number.POSITIVE_INFINITY, this.#wanted[0] ?? Number.POSITIVE_INFINITY)
      const upTo = (stop - this.#tree.size) * HASH_BYTES
      if (rest.length < upTo) break
      this.#tree.append(rest.subarray(0, upTo))
      rest = rest.subarray(upTo)
      await this.#atStops()
    }
    this.#tree.append(rest)
    // What is of the future is not of this minute either: nobody but a forger says so.
    if (this.#tree.size > this.#sealed) this.#unsealedFor = Math.max(this.#unsealedFor, Math.abs(age_ms))
    await this.#inner.check(this.#tree.takeInner())
  }

  async #atStops(): Promise<void> {
    while (this.#next !== undefined && this.#next.size <= this.#tree.size) {
      this.#checkpoint(this.#next)
      await this.#advance()
    }
    while (this.#wanted[0] !== undefined && this.#wanted[0] <= this.#tree.size) {
      this.#roots.set(this.#wanted[0], this.#tree.root())
      this.#wanted.shift()
    }
  }

  #checkpoint(row: StoredCheckpoint): void {
    this.#count++
    const opened = readCheckpoint(row, this.#keys)
    if ('fault' in opened) this.#bad('checkpoint', opened.fault)
    else if (opened.root.equals(this.#tree.root())) this.#good(row, opened)
    else this.#bad('tree', `the leaves are not those that were signed at ${row.size} records`)
  }

  #good(row: StoredCheckpoint, opened: OpenedCheckpoint): void {
    if (this.#final) this.#bad('checkpoint', `a checkpoint at ${row.size} records stands after the last one`)
    this.#sealed = row.size
    this.#unsealedFor = 0
    this.#final ||= row.final
    const fault = this.#known.apply(row, opened)
    if (fault !== undefined) this.#bad('checkpoint', fault)
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#checkpoints.next()
    this.#next = done === true ? undefined : value
  }

  async #conclude(): Promise<void> {
    const { position, closed } = this.#state
    const size = this.#tree.size
    for (; this.#next !== undefined; await this.#advance()) this.#ahead(this.#next)
    if (position === undefined) this.#gone('log_missing', 'the log is not among the writers any more')
    else if (size > position) this.#bad('tree', `the tree has ${size} leaves, and the log ${position} records`)
    else if (size < position) this.#missingLeaves(position)
    await this.#inner.check(this.#tree.takeInner())
    await this.#inner.end(this.#sealed)
    const fault = this.#known.fault()
    if (fault !== undefined) this.#bad('checkpoint', fault)
    const isLate = closed ? !this.#final || this.#sealed < size : this.#unsealedFor > UNSEALED_MS
    if (isLate && (closed || size > this.#sealed)) {
      this.#bad('unsealed', `${size - this.#sealed} records are under no checkpoint, of ${size}`)
    }
  }

  /** A checkpoint of more records than there are. */
  #ahead(row: StoredCheckpoint): void {
    this.#count++
    const opened = readCheckpoint(row, this.#keys)
    if ('fault' in opened) this.#bad('checkpoint', opened.fault)
    else
      this.#gone('rolled_back', `it had ${row.size} records when a checkpoint was signed, and has ${this.#tree.size}`)
  }

  #missingLeaves(to: number): void {
    this.#gone('missing', `the leaves of records ${this.#tree.size} to ${to} are not there`, to - this.#tree.size)
  }

  #bad(kind: FindingKind, detail: string): void {
    this.#findings.add({ verdict: 'integrity', kind, detail, writer: this.#state.writer, seq: this.#sealed })
  }

  #gone(kind: FindingKind, detail: string, count?: number): void {
    const where = { writer: this.#state.writer, seq: this.#tree.size, ...(count !== undefined && { count }) }
    this.#findings.add({ verdict: 'completeness', kind, detail, ...where })
  }
}
