import { type Kysely, type Selectable, sql } from 'kysely'
import Type from 'typebox'
import { type OpenedCheckpoint, openCheckpoint } from '../audit/checkpoint.ts'
import { consistencySpans, inclusionSpans, isIncluded, leafHash } from '../audit/merkle.ts'
import { formatKey } from '../audit/note.ts'
import { spanHashes } from '../audit/seal/subtrees.ts'
import { Failure } from '../failure.ts'
import { findAuditRecord } from './audit.ts'
import { listAuditKeys } from './audit-keys.ts'
import { readHashes } from './audit-tree.ts'
import { decodeCursor, type Listed, type Page, paged } from './cursor.ts'
import type { Database } from './schema.ts'

/** That a record stands under a signed checkpoint. */
export interface InclusionProof {
  readonly id: string
  readonly writer: string
  /** The exact recorded bytes, in base64. */
  readonly record: string
  /** Its leaf hash, in hex. */
  readonly hash: string
  readonly leaf_index: number
  readonly tree_size: number
  /** In base64. */
  readonly hashes: readonly string[]
  readonly checkpoint: string
}

export interface CheckpointItem {
  readonly writer: string
  readonly size: number
  /** In base64. */
  readonly root: string
  readonly final: boolean
  readonly at: string
  readonly checkpoint: string
}

const CheckpointCursor = Type.Tuple([
  // Microseconds: more exact than any instant in JavaScript.
  Type.Integer({ minimum: 0, maximum: 1e16 }),
  Type.String({ format: 'uuid' }),
  Type.Integer({ minimum: 0 }),
  Type.Union([Type.Literal('true'), Type.Literal('false')]),
])

type CheckpointRow = Pick<Selectable<Database['audit_checkpoints']>, 'writer' | 'size' | 'final' | 'root' | 'note'> & {
  readonly stored_at: number
}

/**
 * The proof for a record of the tenant; undefined if there is none with this id.
 * @throws Failure `audit_unavailable` where no checkpoint covers it yet, which takes a second; `conflict` where what is
 * stored is not what was sealed.
 */
export async function proveInclusion(
  db: Kysely<Database>,
  tenant: string,
  id: string,
): Promise<InclusionProof | undefined> {
  const row = await findAuditRecord(db, tenant, id)
  if (row === undefined) return undefined
  const { writer, seq, record } = row
  const last = await lastCheckpoint(db, writer)
  if (last === undefined || last.size <= seq) {
    throw new Failure('audit_unavailable', 'no checkpoint covers this record yet', { retryAfter: 1 })
  }
  const hashes = await spanHashes((spans) => readHashes(db, writer, spans), inclusionSpans(seq, last.size))
  const leaf = leafHash(record)
  if (!isIncluded(leaf, seq, last.size, hashes, last.root)) throw changed(row.id)
  return {
    id: row.id,
    writer,
    record: record.toString('base64'),
    hash: leaf.toString('hex'),
    leaf_index: seq,
    tree_size: last.size,
    hashes: hashes.map((hash) => hash.toString('base64')),
    checkpoint: last.note,
  }
}

function changed(id: string): Failure {
  const detail = `what is stored of the record ${id} is not what was sealed, so that nothing proves it`
  return new Failure('conflict', `${detail}: GET /v1/audit/verify says what was changed`)
}

/** The proof that a log was only appended to; sizes are those of checkpoints, or any up to the last one's. */
export async function proveConsistency(
  db: Kysely<Database>,
  writer: string,
  from: number,
  to: number,
): Promise<readonly string[]> {
  const last = await lastCheckpoint(db, writer)
  if (last === undefined) throw new Failure('not_found', 'there is no checkpoint of this log')
  if (from > to || to > last.size) {
    const problems = [
      { pointer: from > to ? '/from_size' : '/to_size', detail: `the log is sealed up to ${last.size}` },
    ]
    throw new Failure('invalid_request', 'the sizes are not those of a log that grew', { problems })
  }
  const hashes = await spanHashes((spans) => readHashes(db, writer, spans), consistencySpans(from, to))
  return hashes.map((hash) => hash.toString('base64'))
}

/** Newest first, of one writer or of all. */
export async function listCheckpoints(
  db: Kysely<Database>,
  writer: string | undefined,
  page: Page,
): Promise<Listed<CheckpointItem>> {
  const [at, after, size, final] = decodeCursor(page.cursor, CheckpointCursor) ?? []
  const beyond =
    writer === undefined
      ? sql<boolean>`(at, writer, size, final) <
          ('epoch'::timestamptz + ${at} * interval '1 microsecond', ${after}::uuid, ${size}::bigint, ${final}::boolean)`
      : sql<boolean>`(size, final) < (${size}::bigint, ${final}::boolean)`
  const order = writer === undefined ? sql`at desc, writer desc, size desc, final desc` : sql`size desc, final desc`
  const rows = await db
    .selectFrom('audit_checkpoints')
    .select(['writer', 'size', 'final', 'root', 'note'])
    .select(sql<number>`(extract(epoch from at) * 1000000)::bigint`.as('stored_at'))
    .$if(writer !== undefined, (query) => query.where('writer', '=', writer ?? ''))
    .$if(size !== undefined, (query) => query.where(beyond))
    .orderBy(order)
    .limit(page.limit + 1)
    .execute()
  return paged(rows, page.limit, keysOf, itemOf)
}

function itemOf(row: CheckpointRow): CheckpointItem {
  const { writer, size, final, note } = row
  // Of one that was spoiled, when it was stored.
  const at = /^time (.*)$/m.exec(note)?.[1] ?? new Date(row.stored_at / 1000).toISOString()
  return { writer, size, root: row.root.toString('base64'), final, at, checkpoint: note }
}

const keysOf = (row: CheckpointRow) => [row.stored_at, row.writer, row.size, String(row.final)]

/** The public keys of the deployment, as other tools take them. */
export async function auditKeys(db: Kysely<Database>): Promise<string[]> {
  return (await listAuditKeys(db)).map(formatKey)
}

async function lastCheckpoint(
  db: Kysely<Database>,
  writer: string,
): Promise<(OpenedCheckpoint & { readonly note: string }) | undefined> {
  const row = await db
    .selectFrom('audit_checkpoints')
    .select('note')
    .where('writer', '=', writer)
    .orderBy('size', 'desc')
    .orderBy('final', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const opened = openCheckpoint(row.note, await listAuditKeys(db))
  if ('fault' in opened) {
    const detail = `the last checkpoint of ${writer} is not sound, so that nothing is proved by it: ${opened.fault}`
    throw new Failure('audit_unavailable', detail)
  }
  return { ...opened, note: row.note }
}
