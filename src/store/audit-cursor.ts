import { Failure } from '../failure.ts'

/** How far a reader has come in the log of each writer. */
export interface AuditCursor {
  readonly tenant: string
  /** Writers that were closed before this instant (ms) have been read to their end, but for those in `next`. */
  readonly settled: number
  /** By writer, the number of the next record. A writer that is neither here nor settled is read from its beginning. */
  readonly next: ReadonlyMap<string, number>
}

const VERSION = 1
const UUID_BYTES = 16
const ENTRY_BYTES = UUID_BYTES + 6

/** What an URL carries with room to spare: some 300 writers that have records of the tenant and were never closed. */
export const CURSOR_LENGTH = 10_000

/** Opaque text: version, instant (48 bits), the tenant's name with its length, then uuid and number (48 bits) of each. */
export function encodeAuditCursor({ tenant, settled, next }: AuditCursor): string {
  const name = Buffer.from(tenant)
  const bytes = Buffer.alloc(8 + name.length + next.size * ENTRY_BYTES)
  bytes.writeUInt8(VERSION, 0)
  bytes.writeUIntBE(Math.floor(settled), 1, 6)
  bytes.writeUInt8(name.length, 7)
  name.copy(bytes, 8)
  let at = 8 + name.length
  for (const [writer, seq] of next) {
    bytes.write(writer.replaceAll('-', ''), at, 'hex')
    bytes.writeUIntBE(seq, at + UUID_BYTES, 6)
    at += ENTRY_BYTES
  }
  return bytes.toString('base64url')
}

/** @throws Failure `invalid_request`: no cursor of this tenant's. */
export function decodeAuditCursor(text: string, tenant: string): AuditCursor {
  const bytes = Buffer.from(text, 'base64url')
  const length = bytes.length < 8 ? 0 : bytes.readUInt8(7)
  const start = 8 + length
  if (bytes[0] !== VERSION || bytes.toString('utf8', 8, start) !== tenant) throw malformed()
  if (bytes.length < start || (bytes.length - start) % ENTRY_BYTES !== 0) throw malformed()
  const next = new Map<string, number>()
  for (let at = start; at < bytes.length; at += ENTRY_BYTES) {
    next.set(uuidAt(bytes, at), bytes.readUIntBE(at + UUID_BYTES, 6))
  }
  return { tenant, settled: bytes.readUIntBE(1, 6), next }
}

function uuidAt(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + UUID_BYTES)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function malformed(): Failure {
  const problems = [{ pointer: '/cursor', detail: 'not a cursor that an export of this tenant gave out' }]
  return new Failure('invalid_request', 'the cursor is not one that an export of this tenant gave out', { problems })
}
