import { formatKey } from '../../audit/note.ts'
import type { Evidence } from '../../audit/verify/evidence.ts'
import { Findings } from '../../audit/verify/findings.ts'
import { verifyTenant } from '../../audit/verify/tenant.ts'
import { keysFor, verifyTrail } from '../../audit/verify/whole.ts'
import { readAuditConfig } from '../../config.ts'
import { Failure } from '../../failure.ts'
import { withEvidence } from '../../store/audit-evidence.ts'
import { listAuditKeys } from '../../store/audit-keys.ts'
import { beginning, instantOf } from '../instant.ts'
import { EXIT, type Io } from '../io.ts'
import { paintFor } from '../paint.ts'
import { withDatabase } from './database.ts'
import { namedKeys, outsideNotes, sourcesOf } from './notes.ts'
import { asJson, asText, type Verified } from './verified.ts'

export interface VerifyCommand {
  readonly checkpoint: readonly string[]
  readonly key: readonly string[]
  readonly tenant?: string
  readonly from?: string
  readonly to?: string
  readonly json?: true
}

/** Verifies what is asked for; the status says what was found, see the command's help. */
export async function verify(options: VerifyCommand, io: Io): Promise<number> {
  const config = readAuditConfig(io.env)
  const keys = await namedKeys(options.key)
  const scope = { from: instant(options.from, '--from'), to: instant(options.to, '--to') }
  // Of no time everything is sound.
  if (scope.from !== undefined && scope.to !== undefined && scope.from >= scope.to) {
    throw new Failure('invalid_request', '--from must come before --to')
  }
  // First these, then the database: what is in them was stored before.
  const outside = await outsideNotes(options.checkpoint, config)
  const progress = progressOn(io)
  const given = { keys, outside, onProgress: progress.show }
  const isWhole = options.tenant === undefined && scope.from === undefined && scope.to === undefined
  const verified = await withDatabase(config, (db) =>
    withEvidence(db, (evidence) =>
      isWhole ? verifyTrail(evidence, given) : verifyTenants(evidence, options.tenant, scope, given),
    ),
  ).finally(progress.clear)
  if (isWhole && verified.logs.length === 0 && outside.length === 0 && verified.findings.shown.length === 0) {
    throw new Failure('not_found', 'there is no audit trail in this database, and nothing to hold it against')
  }
  const sources = sourcesOf(outside, config)
  io.stdout.write(
    options.json === true ? asJson(verified, sources) : asText(verified, sources, paintFor(io, io.stdout)),
  )
  return statusOf(verified.findings)
}

/** The public keys, for whoever verifies elsewhere. */
export async function printKeys(io: Io): Promise<number> {
  const keys = await withDatabase(readAuditConfig(io.env), listAuditKeys)
  if (keys.length === 0) throw new Failure('not_found', 'no key has been made yet: the first start of Verdict makes it')
  io.stdout.write(keys.map((key) => `${formatKey(key)}\n`).join(''))
  return EXIT.ok
}

interface Scope {
  readonly from: Date | undefined
  readonly to: Date | undefined
}

type Given = Parameters<typeof verifyTrail>[1] & object

async function verifyTenants(
  evidence: Evidence,
  tenant: string | undefined,
  scope: Scope,
  given: Given,
): Promise<Verified> {
  const keys = await keysFor(evidence, given.keys)
  const found = tenant === undefined ? await evidence.tenants() : [tenant]
  // Where nothing is left, what was kept elsewhere is still to be looked at.
  const tenants = found.length > 0 ? found : ['']
  const all: Verified = {
    findings: new Findings(),
    keys,
    logs: [],
    checked: 0,
    pruned: 0,
    outside: given.outside?.length ?? 0,
  }
  const verified = await tenants.reduce(async (before, one) => {
    const sum = await before
    const onProgress = (done: number) => given.onProgress?.('records', sum.checked + done, 0)
    // What is kept elsewhere is about whole logs: it is looked at once.
    const outside = sum === all ? (given.outside ?? []) : []
    const report = await verifyTenant(evidence, { tenant: one, ...scope }, { keys, outside, onProgress })
    for (const finding of report.findings.shown) sum.findings.add(finding)
    return { ...sum, checked: sum.checked + report.checked, logs: withLogs(sum.logs, report.logs) }
  }, Promise.resolve(all))
  // Where something is wrong, that it is gone may be part of it.
  if (tenant !== undefined && verified.findings.shown.length === 0 && !(await evidence.hasTenant(tenant))) {
    throw new Failure('not_found', `there is no such tenant: ${tenant}`)
  }
  return verified
}

/** Tenants share logs: each counts once. */
function withLogs(known: Verified['logs'], more: Verified['logs']): Verified['logs'] {
  const writers = new Set(known.map(({ writer }) => writer))
  return [...known, ...more.filter(({ writer }) => !writers.has(writer))]
}

function statusOf(findings: Findings): number {
  const [broken, missing] = [findings.count('integrity') > 0, findings.count('completeness') > 0]
  if (broken && missing) return EXIT.both
  if (broken) return EXIT.integrity
  return missing ? EXIT.completeness : EXIT.ok
}

function instant(text: string | undefined, option: string): Date | undefined {
  return text === undefined ? undefined : new Date(instantOf(option, beginning(text), ' or a date'))
}

const EVERY = 200

/** How far it is, where somebody looks; the line is gone when the work is done. */
function progressOn({ stderr }: Io) {
  let shown = 0
  return {
    show(what: 'leaves' | 'records', done: number, total: number) {
      if (stderr.isTTY !== true || Date.now() - shown < EVERY) return
      shown = Date.now()
      const part = total > 0 ? ` of ${total.toLocaleString('en')}` : ''
      stderr.write(`\r\u001b[K${what}: ${done.toLocaleString('en')}${part}`)
    },
    clear() {
      if (shown > 0) stderr.write('\r\u001b[K')
    },
  }
}
