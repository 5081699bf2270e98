import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type AuditEvent, encodeEvent } from '../../src/audit/event.ts'
import { eventId } from '../../src/audit/event-id.ts'
import type { RecordBatch } from '../../src/audit/frame.ts'
import type { Log } from '../../src/audit/shipper.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import type { TenantDatabase } from '../../src/store/database.ts'

/** An event of which a test states what it is about. */
export function event(facts: Partial<AuditEvent> = {}): AuditEvent {
  return {
    ...eventId(Date.now()),
    tenant: 'acme',
    type: 'decision',
    actor: { type: 'service', id: 'gateway' },
    subject: { type: 'user', id: 'alice' },
    action: { name: 'document:read' },
    resource: { type: 'document', id: 'reports/q3' },
    context: {},
    decision: true,
    reason: 'allowed_by_rule',
    rules: ['default/readers'],
    obligations: [],
    revision: 1,
    ip: '127.0.0.1',
    user_agent: null,
    request_id: null,
    trace_id: null,
    duration_us: 12,
    ...facts,
  }
}

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'verdict-audit-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

interface Readable {
  read(fromSeq: number, maxRecords: number, maxBytes: number): Promise<RecordBatch | undefined>
}

/** All records of a log as text, from `fromSeq` on. */
export async function textsOf(log: Readable, fromSeq = 0, maxRecords = 100, maxBytes = 4096): Promise<string[]> {
  const texts: string[] = []
  while (true) {
    const batch = await log.read(fromSeq + texts.length, maxRecords, maxBytes)
    if (batch === undefined) return texts
    texts.push(...recordsOf(batch))
  }
}

export function recordsOf({ bytes, offsets, lengths }: RecordBatch): string[] {
  return offsets.map((offset, index) => bytes.toString('utf8', offset, offset + (lengths[index] ?? 0)))
}

/** A log that keeps what it is told. */
export function keptLog(): Log & { readonly messages: string[] } {
  const messages: string[] = []
  const keep = (level: string) => (_facts: object, message: string) => {
    messages.push(`${level}: ${message}`)
  }
  return { messages, info: keep('info'), warn: keep('warn'), error: keep('error') }
}

/** Records of a writer as its shipper would put them there, behind those that it has put there before. */
export async function ship(db: TenantDatabase, writer: string, events: readonly AuditEvent[]): Promise<void> {
  const store = auditStore(db)
  const { position } = await store.position(writer)
  const texts = events.map((one, place) => `${encodeEvent(one).slice(0, -1)},"tenant_seq":${position + place + 1}}`)
  const records = texts.map((text) => Buffer.from(text))
  const lengths = records.map(({ length }) => length)
  let end = 0
  const offsets = lengths.map((length) => {
    end += length
    return end - length
  })
  const batch = { first: position, bytes: Buffer.concat(records), offsets, lengths }
  if (!(await store.insert(writer, position, batch))) throw new Error('another has moved the position')
}
