import { generateKeyPairSync, sign } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { v7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type OpenedCheckpoint, openCheckpoint } from '../../src/audit/checkpoint.ts'
import { encodeEvent } from '../../src/audit/event.ts'
import { Journal } from '../../src/audit/journal.ts'
import { consistencySpans, inclusionSpans, leafHash, treeRoot } from '../../src/audit/merkle.ts'
import { type Signer, verifierKey } from '../../src/audit/note.ts'
import { recoverJournals } from '../../src/audit/recovery.ts'
import { CheckpointCopies, copiesFile, notesIn, notesInFile } from '../../src/audit/seal/copies.ts'
import { LogBook } from '../../src/audit/seal/log-book.ts'
import type { SealStore } from '../../src/audit/seal/seal-store.ts'
import { type Sealing, type SealingOptions, startSealing } from '../../src/audit/seal/sealing.ts'
import { spanHashes } from '../../src/audit/seal/subtrees.ts'
import { type AuditStore, Shipper } from '../../src/audit/shipper.ts'
import { verifyTrail } from '../../src/audit/verify/whole.ts'
import { withEvidence } from '../../src/store/audit-evidence.ts'
import { auditStore } from '../../src/store/audit-log.ts'
import { readHashes, sealStore } from '../../src/store/audit-tree.ts'
import { type OpenDatabase, openDatabase } from '../../src/store/database.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { jwkOf } from '../support/jwk.ts'
import { event, keptLog, temporaryDirectory } from './support.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const rawKey = Buffer.from(jwkOf(publicKey).x ?? '', 'base64url')
const signer: Signer = {
  key: verifierKey('verdict.audit/test', rawKey),
  sign: (message) => sign(null, message, privateKey),
}

let database: FreshDatabase
let owner: OpenDatabase
beforeAll(async () => {
  database = await freshDatabase()
  owner = openDatabase({ url: database.ownerUrl, size: 1, queryTimeout: 10_000 })
})
afterAll(async () => {
  await owner.close()
  await database.close()
})

interface Given extends Partial<SealingOptions> {
  readonly dataDir: string
}

/** Seals when it is asked to, and not by itself. */
async function sealingIn({ dataDir, ...given }: Given): Promise<Sealing & { log: ReturnType<typeof keptLog> }> {
  const log = keptLog()
  const sealing = startSealing({
    store: auditStore(database.db),
    seals: sealStore(database.db),
    signer: () => signer,
    keys: () => [signer.key],
    copies: await CheckpointCopies.open(copiesFile(dataDir), [signer.key]),
    log,
    clock: () => Date.now(),
    everyMs: 1_000_000,
    ...given,
  })
  onTestFinished(() => sealing.stop())
  return { ...sealing, log }
}

async function append(journal: Journal, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => journal.append('acme', encodeEvent(event()))))
}

/** Ships what is in the journal, as a process that is then killed. */
async function shipAll(journal: Journal, store: AuditStore, maxRecords = 2000): Promise<void> {
  await new Shipper({ source: journal, store, log: keptLog(), maxRecords }).drain(60_000)
}

async function checkpointsOf(writer: string, db = database.db): Promise<OpenedCheckpoint[]> {
  const rows = await db
    .selectFrom('audit_checkpoints')
    .select('note')
    .where('writer', '=', writer)
    .orderBy('size')
    .orderBy('final')
    .execute()
  return rows.map(({ note }) => {
    const opened = openCheckpoint(note, [signer.key])
    if ('fault' in opened) throw new Error(opened.fault)
    return opened
  })
}

async function leavesOf(writer: string, db = database.db): Promise<Buffer[]> {
  const rows = await db.selectFrom('audit').select('record').where('writer', '=', writer).orderBy('seq').execute()
  return rows.map(({ record }) => leafHash(record))
}

const findings = async (db = database.db) =>
  (await withEvidence(db, (evidence) => verifyTrail(evidence, { keys: [signer.key] }))).findings.shown

const recover = (root: string, store: AuditStore) =>
  recoverJournals({ root, self: undefined, store, log: keptLog() }, 10_000)

describe('a log', () => {
  test('is sealed when so many records are new, without waiting for the second to end', async () => {
    const dataDir = await temporaryDirectory()
    const sealing = await sealingIn({ dataDir, everyRecords: 50 })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    await append(journal, 49)
    await shipAll(journal, sealing.store)
    await append(journal, 1)
    await shipAll(journal, sealing.store)
    await sealing.seal()
    expect((await checkpointsOf(journal.writer)).map(({ size }) => size)).toEqual([50])
    await journal.close()
  })

  test('ends with a last checkpoint, which says so, in the database, the data directory and the log', async () => {
    const dataDir = await temporaryDirectory()
    const sealing = await sealingIn({ dataDir })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    await append(journal, 3)
    await journal.close()
    expect(await new Shipper({ source: journal, store: sealing.store, log: keptLog() }).stop(10_000)).toBe(true)
    const [last] = await checkpointsOf(journal.writer)
    expect(last).toMatchObject({ size: 3, final: true })
    const copied = notesIn(await readFile(copiesFile(dataDir), 'utf8'))
    expect(copied.map((note) => openCheckpoint(note, [signer.key]))).toEqual([last])
    expect(sealing.log.messages).toEqual(['info: audit checkpoint'])
  })

  test('tells of every log that is known, and goes on telling of one that is gone', async () => {
    const dataDir = await temporaryDirectory()
    const sealing = await sealingIn({ dataDir })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    const gone = v7()
    await auditStore(database.db).position(gone)
    for (let round = 0; round < 2; round++) {
      await append(journal, 1)
      await shipAll(journal, sealing.store)
      await sealing.seal()
      await sql`delete from audit_writers where writer = ${gone}`.execute(owner.db)
    }
    const [before, after] = await checkpointsOf(journal.writer)
    expect(after?.writers).toBe(before?.writers)
    const { rows } = await sql<{ writers: number }>`select count(*) as writers from audit_writers`.execute(database.db)
    expect(after?.writers).toBe((rows[0]?.writers ?? 0) + 1)
    expect((await findings()).map(({ kind, writer }) => [kind, writer])).toEqual([['log_missing', gone]])
    await auditStore(database.db).position(gone)
    expect(await findings()).toEqual([])
    await journal.close()
  })
})

describe('where an answer of the database is lost', () => {
  test('the tree goes on from the batch that was kept, and from the one that was not', async () => {
    const dataDir = await temporaryDirectory()
    const store = auditStore(database.db)
    let turn = 0
    const losing: AuditStore = {
      ...store,
      async insert(...batch) {
        turn++
        if (turn % 3 === 0) throw new Error('lost on its way there')
        const moved = await store.insert(...batch)
        if (turn % 3 === 1) throw new Error('lost on its way back')
        return moved
      },
    }
    const sealing = await sealingIn({ dataDir, store: losing })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    await append(journal, 40)
    await shipAll(journal, sealing.store, 8)
    await sealing.seal()
    const [sealed] = await checkpointsOf(journal.writer)
    expect(sealed).toMatchObject({ size: 40, root: treeRoot(await leavesOf(journal.writer)) })
    await journal.close()
  })

  test('a checkpoint of which nobody knows whether it was kept is made once', async () => {
    const dataDir = await temporaryDirectory()
    const seals = sealStore(database.db)
    let lose: 'before' | 'after' | undefined = 'after'
    const losing: SealStore = {
      ...seals,
      async keep(seal) {
        if (lose === 'before') throw new Error('lost on its way there')
        await seals.keep(seal)
        if (lose === 'after') throw new Error('lost on its way back')
      },
    }
    const sealing = await sealingIn({ dataDir, seals: losing })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    for (lose of ['after', 'before', 'after'] as const) {
      await append(journal, 300)
      await shipAll(journal, sealing.store)
      await expect(sealing.seal()).rejects.toThrow('lost')
    }
    lose = undefined
    await append(journal, 300)
    await shipAll(journal, sealing.store)
    await sealing.seal()
    expect((await checkpointsOf(journal.writer)).map(({ size }) => size)).toEqual([300, 900, 1200])
    const copied = notesIn(await readFile(copiesFile(dataDir), 'utf8'))
    expect(copied.map((note) => Number(note.split('\n')[1]))).toEqual([300, 900, 1200])
    expect(await findings()).toEqual([])
    await journal.close()
  })
})

describe('the log of a process that was killed', () => {
  test('is sealed to its end by the next one, wherever it was killed', async () => {
    for (const [shipped, sealed] of [
      [0, 0],
      [500, 0],
      [500, 300],
      [500, 500],
    ] as const) {
      const dataDir = await temporaryDirectory()
      const root = join(dataDir, 'journal')
      const dead = await sealingIn({ dataDir })
      const journal = await Journal.open({ root, fsync: 'off' })
      for (const [count, isSealed] of [
        [sealed, true],
        [shipped - sealed, false],
      ] as const) {
        await append(journal, count)
        await shipAll(journal, dead.store)
        if (isSealed) await dead.seal()
      }
      await append(journal, 600 - shipped)
      await journal.close()
      const next = await sealingIn({ dataDir })
      expect(await recover(root, next.store)).toMatchObject([{ complete: true, records: 600 }])
      expect((await checkpointsOf(journal.writer)).at(-1)).toMatchObject({
        size: 600,
        final: true,
        root: treeRoot(await leavesOf(journal.writer)),
      })
      expect(await readdir(root)).toEqual([])
      expect(await findings()).toEqual([])
    }
  })

  test.each([
    [
      'changed there what was not sealed yet',
      `update audit_tree set hashes = sha256('x') || substring(hashes from 33) where writer = $1 and first > 0`,
    ],
    [
      'changed there what was sealed',
      `update audit_tree set hashes = sha256('x') || substring(hashes from 33) where writer = $1 and first = 0 and level = 0`,
    ],
    [
      'added there what was never written',
      `with one as (update audit_writers set position = position + 1 where writer = $1)
      insert into audit_tree (writer, level, first, hashes) values ($1, 0, 20, sha256('forged'))`,
    ],
  ])('is not signed where somebody %s', async (_what, statement) => {
    const dataDir = await temporaryDirectory()
    const root = join(dataDir, 'journal')
    const dead = await sealingIn({ dataDir })
    const journal = await Journal.open({ root, fsync: 'off' })
    for (let round = 0; round < 2; round++) {
      await append(journal, 10)
      await shipAll(journal, dead.store)
      if (round === 0) await dead.seal()
    }
    await journal.close()
    await sql.raw(statement.replaceAll('$1', `'${journal.writer}'`)).execute(owner.db)
    const next = await sealingIn({ dataDir })
    await recover(root, next.store)
    expect(next.log.messages).toContain('error: an audit log can not be sealed')
    expect((await checkpointsOf(journal.writer)).map(({ size, final }) => [size, final])).toEqual([[10, false]])
    const found = (await findings()).filter(({ writer }) => writer === journal.writer)
    expect(found.some(({ verdict }) => verdict === 'integrity')).toBe(true)
    await owner.db.deleteFrom('audit').where('writer', '=', journal.writer).execute()
    for (const table of ['audit_writers', 'audit_tree', 'audit_checkpoints'] as const)
      await owner.db.deleteFrom(table).where('writer', '=', journal.writer).execute()
  })
})

describe('a database that was put back', () => {
  test('gets the same log again from the journal, and nothing is signed before it has come as far as it was', async () => {
    const { dataDir, sealing, journal, putBack } = await putBackAfter([100, 200, 300])
    await putBack(100)
    await shipAll(journal, sealing.store, 50)
    await sealing.seal()
    const again = (await checkpointsOf(journal.writer)).at(-1)
    const before = notesIn(await readFile(copiesFile(dataDir), 'utf8')).map((note) =>
      openCheckpoint(note, [signer.key]),
    )
    expect(before).toMatchObject([{ size: 100 }, { size: 200 }, { size: 300, root: again?.root }, { size: 300 }])
    await append(journal, 1)
    await shipAll(journal, sealing.store)
    await sealing.seal()
    const last = (await checkpointsOf(journal.writer)).at(-1)
    expect(last).toMatchObject({ size: 301, root: treeRoot(await leavesOf(journal.writer)) })
    await journal.close()
  })

  test('is signed no further where it came back as another', async () => {
    const { sealing, journal, putBack } = await putBackAfter([100, 200, 300])
    await putBack(100)
    await sql`update audit_tree set hashes = sha256('x') || substring(hashes from 33)
      where writer = ${journal.writer} and level = 0 and first = 0`.execute(owner.db)
    await shipAll(journal, sealing.store)
    await append(journal, 1)
    await shipAll(journal, sealing.store)
    await sealing.seal()
    expect(sealing.log.messages).toContain('error: an audit log can not be sealed')
    expect((await checkpointsOf(journal.writer)).map(({ size }) => size)).toEqual([100])
    await journal.close()
  })

  test('is held against what was signed once it is that long again', () => {
    const leaves = Array.from({ length: 9 }, (_, index) => leafHash(Buffer.of(index)))
    const ahead = { writer: v7(), size: 6, root: treeRoot(leaves.slice(0, 6)) }
    const same = new LogBook(ahead.writer, undefined, [ahead])
    same.append(Buffer.concat(leaves.slice(0, 5)))
    expect(same.maySign).toBe(false)
    same.append(Buffer.concat(leaves.slice(5)))
    expect([same.maySign, same.fault, same.root()]).toEqual([true, undefined, treeRoot(leaves)])
    const other = new LogBook(ahead.writer, undefined, [ahead])
    other.append(Buffer.concat(leaves.toReversed()))
    expect([other.maySign, other.fault]).toEqual([false, 'it is not the log that was signed at 6 records'])
  })

  async function putBackAfter(sizes: readonly number[]) {
    const dataDir = await temporaryDirectory()
    const sealing = await sealingIn({ dataDir })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    let size = 0
    for (const next of sizes) {
      await append(journal, next - size)
      await shipAll(journal, sealing.store)
      await sealing.seal()
      size = next
    }
    const putBack = async (to: number) => {
      const { writer } = journal
      await sql`set session_replication_role = replica`.execute(owner.db)
      await sql`delete from audit where writer = ${writer} and seq >= ${to}`.execute(owner.db)
      await sql`delete from audit_tree where writer = ${writer} and (level > 0 or first >= ${to})`.execute(owner.db)
      await sql`delete from audit_checkpoints where writer = ${writer} and size > ${to}`.execute(owner.db)
      await sql`update audit_writers set position = ${to} where writer = ${writer}`.execute(owner.db)
    }
    return { dataDir, sealing, journal, putBack }
  }
})

test('checkpoints in the data directory do not grow without end, and the last one of each log stays', async () => {
  const dataDir = await temporaryDirectory()
  const copies = await CheckpointCopies.open(copiesFile(dataDir), [signer.key], 4096)
  const sealing = await sealingIn({ dataDir, copies })
  const quiet = await Journal.open({ root: join(dataDir, 'quiet'), fsync: 'off' })
  const busy = await Journal.open({ root: join(dataDir, 'busy'), fsync: 'off' })
  for (const journal of [quiet, ...Array.from({ length: 40 }, () => busy)]) {
    await append(journal, 1)
    await shipAll(journal, sealing.store)
    await sealing.seal()
  }
  const text = await readFile(copiesFile(dataDir), 'utf8')
  expect(text.length).toBeLessThan(8192)
  const opened = await CheckpointCopies.open(copiesFile(dataDir), [signer.key])
  expect(opened.last(quiet.writer)).toMatchObject({ size: 1 })
  expect(opened.last(busy.writer)).toMatchObject({ size: 40 })
  expect((await notesInFile(copiesFile(dataDir))).length).toBeGreaterThan(notesIn(text).length)
  for (const journal of [quiet, busy]) await journal.close()
})

// Long enough for the second level of hashes. In a database of its own, in which everything is sound.
describe('a long log', () => {
  test('is sealed as far as it is in the database, in whatever batches it came there', async () => {
    const dataDir = await temporaryDirectory()
    const own = await freshDatabase()
    onTestFinished(() => own.close())
    const [store, seals] = [auditStore(own.db), sealStore(own.db)]
    const sealing = await sealingIn({ dataDir, store, seals, everyRecords: Number.POSITIVE_INFINITY })
    const journal = await Journal.open({ root: join(dataDir, 'journal'), fsync: 'off' })
    for (const [count, batch] of [
      [300, 7],
      [1, 1],
      [700, 2000],
      [66_000, 1999],
    ] as const) {
      await append(journal, count)
      await shipAll(journal, sealing.store, batch)
      await sealing.seal()
    }
    await append(journal, 5)
    await journal.close()
    const leaves = await leavesOf(journal.writer, own.db)
    const checkpoints = await checkpointsOf(journal.writer, own.db)
    expect(checkpoints.map(({ size }) => size)).toEqual([300, 301, 1001, 67_001])
    for (const { size, root } of checkpoints) expect(root).toEqual(treeRoot(leaves.slice(0, size)))
    const read = (spans: Parameters<typeof readHashes>[2]) => readHashes(own.db, journal.writer, spans)
    for (const index of [0, 255, 256, 5000, 65_535, 65_536, 67_000]) {
      const spans = inclusionSpans(index, 67_001)
      expect(await spanHashes(read, spans)).toEqual(spans.map(({ start, end }) => treeRoot(leaves.slice(start, end))))
    }
    const spans = consistencySpans(1001, 67_001)
    expect(await spanHashes(read, spans)).toEqual(spans.map(({ start, end }) => treeRoot(leaves.slice(start, end))))
    const kept = await sql<{ level: number; hashes: number }>`
      select level, sum(length(hashes)) / 32 as hashes from audit_tree where writer = ${journal.writer}
      group by level order by level`.execute(own.db)
    expect(kept.rows.map(({ hashes }) => Number(hashes))).toEqual([67_001, 261, 1])
    expect(await findings(own.db)).toEqual([])
  })
})
