import { setTimeout as pause } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import { instantIn } from '../audit/event-id.ts'
import type { Finding } from '../audit/verify/findings.ts'
import type { OutsideNote } from '../audit/verify/outside.ts'
import { type TenantReport, type TenantScope, verifyTenant } from '../audit/verify/tenant.ts'
import * as contract from '../contract/audit-proof.ts'
import { pageOf } from '../contract/common.ts'
import { Failure } from '../failure.ts'
import { parseInstant } from '../policy/instant.ts'
import { withEvidence } from '../store/audit-evidence.ts'
import { auditKeys, listCheckpoints, proveConsistency, proveInclusion } from '../store/audit-proof.ts'
import type { TenantDatabase } from '../store/database.ts'
import { noTime } from './audit-query.ts'
import { readOf } from './guard.ts'
import type { App } from './server.ts'

export type Verify = (scope: TenantScope, signal: AbortSignal) => Promise<TenantReport>

/** So many verifications run at once; each holds a connection and some of the processor. */
export const VERIFICATIONS = 2

/** @param outside the checkpoints that this machine keeps. They are read first: what is in them was stored before. */
export function verification(db: TenantDatabase, outside: () => Promise<readonly string[]>): Verify {
  let running = 0
  return async (scope, signal) => {
    if (running >= VERIFICATIONS) {
      throw new Failure('audit_unavailable', 'as many verifications as may be are under way', { retryAfter: 10 })
    }
    running++
    try {
      const notes = lastOfEach(await outside())
      return await withEvidence(db, (evidence) => verifyTenant(evidence, scope, { outside: notes, signal }))
    } finally {
      running--
    }
  }
}

/** A log's last checkpoint says all that those before it say. */
function lastOfEach(notes: readonly string[]): OutsideNote[] {
  const last = new Map(notes.map((note) => [note.slice(0, note.indexOf('\n')), note]))
  return [...last.values()].map((note) => ({ note, from: 'the data directory' }))
}

/** What proves the trail: to whoever has the public key, and for the tenant's own records. */
export function auditProofRoutes(app: App, db: TenantDatabase, verify: Verify): void {
  app.route({
    ...contract.getAuditProof,
    handler: async (request) => {
      const { tenant } = readOf(request)
      const { id } = request.params
      const proof = await onceSealed(id, () => proveInclusion(db.of(tenant), tenant, id))
      if (proof === undefined) throw new Failure('not_found', 'there is no such audit record')
      return proof
    },
  })
  app.route({
    ...contract.listCheckpoints,
    handler: async (request) => {
      const listed = await listCheckpoints(db, request.query.writer, pageOf(request.query))
      return { ...listed, keys: await auditKeys(db) }
    },
  })
  app.route({
    ...contract.getConsistency,
    handler: async (request) => {
      const { writer } = request.query
      const [from_size, to_size] = [Number(request.query.from_size), Number(request.query.to_size)]
      return { writer, from_size, to_size, hashes: await proveConsistency(db, writer, from_size, to_size) }
    },
  })
  app.route({
    ...contract.verifyAudit,
    handler: async (request) => {
      const { from, to } = request.query
      const scope = { tenant: readOf(request).tenant, from: instant(from, '/from'), to: instant(to, '/to') }
      if (scope.from && scope.to && scope.from > scope.to) throw noTime()
      return answer(await patiently(request, (signal) => verify(scope, signal)))
    },
  })
}

const SEALED_MS = 2_000
const LOOK_MS = 200

/**
 * Records reach the database in a moment, and checkpoints come once a second while there is something new: whoever asks
 * for the proof of what was answered just now waits for both.
 */
async function onceSealed<T>(id: string, prove: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const until = performance.now() + SEALED_MS; ; await pause(LOOK_MS)) {
    const isOver = performance.now() > until
    try {
      const proof = await prove()
      if (proof !== undefined || isOver || !isYoung(id)) return proof
    } catch (error) {
      if (isOver || !(error instanceof Failure) || error.code !== 'audit_unavailable') throw error
    }
  }
}

function isYoung(id: string): boolean {
  return Date.now() - instantIn(id) < SEALED_MS
}

/** A verification holds a snapshot of the database, and so holds up pruning and the vacuum. */
const VERIFY_MS = 10 * 60_000

function tookTooLong(): Failure {
  return new Failure('unprocessable', 'the verification takes too long: ask for a shorter time')
}

/** It may take longer than a silent connection is kept otherwise, and ends when nobody waits for it any more. */
async function patiently<T>({ raw }: FastifyRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const gone = new AbortController()
  const { socket } = raw
  const timeout = socket.timeout ?? 0
  const leave = () => gone.abort()
  const tooLong = setTimeout(() => gone.abort(tookTooLong()), VERIFY_MS)
  socket.setTimeout(0)
  socket.once('close', leave)
  // Who left while it was asked who they are closes nothing any more.
  if (socket.destroyed) leave()
  try {
    return await work(gone.signal)
  } catch (error) {
    throw gone.signal.reason instanceof Failure ? gone.signal.reason : error
  } finally {
    clearTimeout(tooLong)
    socket.off('close', leave)
    socket.setTimeout(timeout)
  }
}

function answer({ findings, checked, logs }: TenantReport) {
  const bad = findings.first('integrity')
  const missing = findings.shown.filter(({ verdict }) => verdict === 'completeness')
  return {
    integrity: { ok: bad === undefined, checked, ...(bad !== undefined && { first_bad: told(bad) }) },
    completeness: { ok: missing.length === 0, ...(missing.length > 0 && { missing: missing.map(told) }) },
    checkpoints: logs,
  }
}

/** Without what is another tenant's. */
function told({ kind, detail, writer, seq, id, count }: Finding) {
  const where = {
    ...(writer !== undefined && { writer }),
    ...(seq !== undefined && { seq }),
    ...(id !== undefined && { id }),
  }
  return { kind, detail, ...where, ...(count !== undefined && { count }) }
}

function instant(text: string | undefined, pointer: string): Date | undefined {
  if (text === undefined) return undefined
  const instant = parseInstant(text)
  if (!Number.isNaN(instant)) return new Date(instant)
  const problems = [{ pointer, detail: 'not an instant' }]
  throw new Failure('invalid_request', `${text} is not an instant.`, { problems })
}
