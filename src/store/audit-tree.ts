import { type Kysely, sql } from 'kysely'
import { EMPTY_ROOT, HASH_BYTES } from '../audit/merkle.ts'
import type { HashRun } from '../audit/seal/log-tree.ts'
import type { HashSpan, Seal, SealStore } from '../audit/seal/seal-store.ts'
import { Failure } from '../failure.ts'
import type { Database } from './schema.ts'

/** What the sealer keeps of the logs' trees. */
export function sealStore(db: Kysely<Database>): SealStore {
  return {
    async knownLogs() {
      const { rows } = await sql<{ writer: string; size: number | null; root: Buffer | null }>`
        select writer, size, root from audit_writers left join lateral (
          select size, root from audit_checkpoints c where c.writer = audit_writers.writer order by size desc limit 1
        ) last on true`.execute(db)
      return rows.map(({ writer, size, root }) => ({ writer, size: size ?? 0, root: root ?? EMPTY_ROOT }))
    },
    async lastNote(writer, atMost) {
      const { rows } = await sql<{ note: string }>`
        select note from audit_checkpoints where writer = ${writer} and size <= ${atMost}
        order by size desc, final desc limit 1`.execute(db)
      return rows[0]?.note
    },
    keep: (seal) => keepSeal(db, seal),
    hashes: (writer, spans) => readHashes(db, writer, spans),
  }
}

async function keepSeal(db: Kysely<Database>, seal: Seal): Promise<void> {
  const { writer, size, final, root, note, whole, changes, inner } = seal
  const changed = changes.map((log) => [log.writer, log.size, log.root.toString('base64')])
  await sql`
    with inner_hashes as (${insertRuns(writer, inner)})
    insert into audit_checkpoints (writer, size, final, root, note, writers)
    values (${writer}, ${size}, ${final}, ${root}, ${note}, ${JSON.stringify({ whole, logs: changed })})`.execute(db)
}

/** The hashes travel as one parameter, as records do. */
function insertRuns(writer: string, runs: readonly HashRun[]) {
  const all = Buffer.concat(runs.map(({ hashes }) => hashes))
  const levels = runs.map(({ level }) => level)
  const firsts = runs.map(({ first }) => first)
  const lengths = runs.map(({ hashes }) => hashes.length)
  const places = lengths.map((_, index) => lengths.slice(0, index).reduce((sum, length) => sum + length, 0))
  return sql`
    insert into audit_tree (writer, level, first, hashes)
    select ${writer}::uuid, level, first, substring(${all}::bytea from place + 1 for length)
    from unnest(${levels}::int[], ${firsts}::bigint[], ${places}::int[], ${lengths}::int[])
      as runs (level, first, place, length)`
}

/**
 * The hashes of each span, end to end, from the rows that it lies in: of each only the part that is asked for.
 * @throws Failure `internal` where some are not there.
 */
export async function readHashes(db: Kysely<Database>, writer: string, spans: readonly HashSpan[]): Promise<Buffer[]> {
  if (spans.length === 0) return []
  const { rows } = await sql<{ ordinal: number; at: number; hashes: Buffer }>`
    select ordinal, at, part.hashes
    from unnest(${spans.map(({ level }) => level)}::smallint[], ${spans.map(({ first }) => first)}::bigint[],
                ${spans.map(({ count }) => count)}::bigint[])
           with ordinality as wanted (level, first, count, ordinal),
         lateral (
           select greatest(run.first, wanted.first) as at,
                  substring(run.hashes from (greatest(wanted.first - run.first, 0) * ${HASH_BYTES})::int + 1
                    for ((wanted.first + wanted.count - greatest(run.first, wanted.first)) * ${HASH_BYTES})::int) as hashes
           from audit_tree run
           where run.writer = ${writer} and run.level = wanted.level and run.first < wanted.first + wanted.count
             and run.first >= (
               select coalesce(max(first), 0) from audit_tree
               where writer = ${writer} and level = wanted.level and first <= wanted.first)
         ) part
    order by ordinal, at`.execute(db)
  return joined(spans, rows)
}

/** A row of which the span has nothing comes with no bytes; one that is missing leaves a gap. */
function joined(
  spans: readonly HashSpan[],
  rows: readonly { readonly ordinal: number; readonly at: number; readonly hashes: Buffer }[],
): Buffer[] {
  const parts: Buffer[][] = spans.map(() => [])
  const next = spans.map(({ first }) => first)
  for (const { ordinal, at, hashes } of rows) {
    const index = ordinal - 1
    if (hashes.length === 0 || next[index] !== at) continue
    parts[index]?.push(hashes)
    next[index] = at + hashes.length / HASH_BYTES
  }
  return spans.map(({ first, count, level }, index) => {
    const hashes = Buffer.concat(parts[index] ?? [])
    if (hashes.length === count * HASH_BYTES) return hashes
    throw new Failure('internal', `hashes ${first} to ${first + count} of level ${level} are not kept`)
  })
}
