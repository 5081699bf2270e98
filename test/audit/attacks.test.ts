import { appendFile, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { leafHash } from '../../src/audit/merkle.ts'
import { copiesFile, notesIn } from '../../src/audit/seal/copies.ts'
import { type TenantReport, verifyTenant } from '../../src/audit/verify/tenant.ts'
import { type TrailReport, verifyTrail } from '../../src/audit/verify/whole.ts'
import { withEvidence } from '../../src/store/audit-evidence.ts'
import { openDatabase } from '../../src/store/database.ts'
import { AUDIT_COLUMNS, asAdmin } from '../support/database.ts'
import { eventually, startService, type TestService } from '../support/service.ts'

/**
 * Somebody with all rights on the database, who does not have the key that signs checkpoints. The records are those of
 * a real service; each attack works on a copy of its database.
 */
const DECISIONS = 700

let service: TestService
let notes: string[]
/** The state of the database before the last decisions were made, and how many checkpoints there were then. */
let olderState: string
let decided = 0
let copies = 0

beforeAll(async () => {
  service = await startService()
  await decide(DECISIONS / 2)
  await sealed()
  olderState = await copyOf('older')
  await decide(DECISIONS / 2)
  await sealed()
  notes = notesIn(await readFile(copiesFile(service.dataDir), 'utf8'))
})

afterAll(async () => {
  await service.close()
  await asAdmin(`drop database if exists ${nameOf(olderState)} with (force)`)
})

async function decide(count: number): Promise<void> {
  const body = {
    subject: { type: 'user', id: 'alice' },
    action: { name: 'document:edit' },
    resource: { type: 'document', id: 'plan' },
  }
  for (let made = 0; made < count; made += 50) {
    decided += 50
    await Promise.all(Array.from({ length: 50 }, () => service.ask('POST /v1/authorize', { body })))
  }
}

/** Until every record is under a checkpoint, in the database and in the data directory. */
async function sealed(): Promise<void> {
  await eventually(
    async () => {
      const { rows } = await asOwner(service.database.ownerUrl, (owner) =>
        owner.query(`select (select sum(position) from audit_writers) as records,
          (select sum(size) from (select max(size) as size from audit_checkpoints group by writer) last) as sealed`),
      )
      const text = await readFile(copiesFile(service.dataDir), 'utf8').catch(() => '')
      const size = Number(notesIn(text).at(-1)?.split('\n')[1])
      return { ...rows[0], size }
    },
    ({ records, sealed, size }) => Number(records) > decided && records === sealed && size === Number(sealed),
  )
}

async function asOwner<T>(url: string, work: (owner: pg.Client) => Promise<T>): Promise<T> {
  const owner = new pg.Client({ connectionString: url })
  await owner.connect()
  try {
    return await work(owner)
  } finally {
    await owner.end()
  }
}

const nameOf = (url: string) => new URL(url).pathname.slice(1)

/** A copy of the service's database as it is now. The service writes on meanwhile. */
async function copyOf(what: string): Promise<string> {
  const source = nameOf(service.database.ownerUrl)
  const name = `${source}_${what}_${++copies}`
  // A database that somebody is connected to can't be copied, and the service would connect again at once.
  await asAdmin(`alter database ${source} allow_connections false`)
  try {
    await eventually(
      async () => {
        await asAdmin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${source}'`)
        return asAdmin(`create database ${name} template ${source}`).then(
          () => 'made',
          (error: Error) => error.message,
        )
      },
      (outcome) => outcome === 'made',
    )
  } finally {
    await asAdmin(`alter database ${source} allow_connections true`)
  }
  const url = new URL(service.database.ownerUrl)
  url.pathname = `/${name}`
  return url.href
}

async function verify(url: string, outside: readonly string[] = []): Promise<TrailReport> {
  const { db, close } = openDatabase({ url, size: 1, queryTimeout: 60_000, connectTimeout: 10_000 })
  try {
    return await withEvidence(db, (evidence) =>
      verifyTrail(evidence, { outside: outside.map((note) => ({ note, from: 'outside' })) }),
    )
  } finally {
    await close()
  }
}

/** By what a tenant can verify of itself. */
async function verifyOwn(url: string): Promise<TenantReport> {
  const { db, close } = openDatabase({ url, size: 1, queryTimeout: 60_000, connectTimeout: 10_000 })
  try {
    return await withEvidence(db, (evidence) => verifyTenant(evidence, { tenant: 'default' }))
  } finally {
    await close()
  }
}

const kindsOf = ({ findings }: TrailReport, verdict: 'integrity' | 'completeness') => [
  ...new Set(findings.shown.filter((finding) => finding.verdict === verdict).map(({ kind }) => kind)),
]

interface Attack {
  readonly name: string
  /** @returns how many rows it changed. */
  readonly does: (owner: pg.Client) => Promise<number>
  /** What the verification finds by the database alone; then with the checkpoints that were kept outside. */
  readonly alone: { integrity: string[]; completeness: string[] }
  readonly outside: { integrity: string[]; completeness: string[] }
  /** In what is found. */
  readonly says?: RegExp
}

const victim = `(select id from audit where type = 'decision' order by seq offset 300 limit 1)`
const rowsOf = async (result: Promise<pg.QueryResult>) => (await result).rowCount ?? 0

/** Takes what the service's log has after its last checkpoint but one; with the checkpoint, all that tells of it. */
async function cutTail(owner: pg.Client, withCheckpoints: boolean): Promise<number> {
  const { rows } = await owner.query<{ writer: string; size: string }>(
    'select writer, size from audit_checkpoints where size < (select max(size) from audit_checkpoints) order by size desc limit 1',
  )
  const cut = rows.map(({ writer, size }) => [writer, size])[0] ?? []
  const gone = await rowsOf(owner.query('delete from audit where writer = $1 and seq >= $2', cut))
  if (!withCheckpoints) return gone
  await owner.query('delete from audit_checkpoints where writer = $1 and size > $2', cut)
  await owner.query('update audit_writers set position = $2 where writer = $1', cut)
  await owner.query('delete from audit_tree where writer = $1 and first >= $2 / (256 ^ level)::bigint', cut)
  await owner.query(
    `update audit_tree set hashes = substring(hashes for (($2 / (256 ^ level)::bigint - first) * 32)::int)
     where writer = $1`,
    cut,
  )
  return gone
}

/** A change of the change log that no call has made, at a place of it. */
const forged = (revision: string, ordinal: string) => `
  insert into policy_changes (tenant_id, revision, ordinal, revision_id, actor, kind, key, operation, after)
  select t.id, ${revision}, ${ordinal}, t.revision_id, '{"type":"service","id":"admin"}', 'assignment', '{"id":"x"}',
         'create', '{"id":"x","subject":{"type":"user","id":"eve"},"role":"pdp:admin"}'
  from tenants t where t.id = 'default'`

const policyBroken = {
  alone: { integrity: [], completeness: ['policy'] },
  outside: { integrity: [], completeness: ['policy'] },
}

const clean = { integrity: [], completeness: [] }

const ATTACKS: readonly Attack[] = [
  {
    name: 'edits a row, in its record',
    does: (owner) =>
      rowsOf(
        owner.query(
          `update audit set record = convert_to(replace(convert_from(record, 'UTF8'), '"decision":false', '"decision":true '), 'UTF8')
           where id = ${victim}`,
        ),
      ),
    alone: { integrity: ['changed'], completeness: [] },
    outside: { integrity: ['changed'], completeness: [] },
  },
  {
    name: 'edits a row, in a column that is searched',
    does: (owner) => rowsOf(owner.query(`update audit set subject_id = 'bob' where id = ${victim}`)),
    alone: { integrity: ['column'], completeness: [] },
    outside: { integrity: ['column'], completeness: [] },
  },
  {
    name: 'hides a row from those who look for its subject',
    does: async (owner) => {
      await owner.query('alter table audit alter column subject_hash drop expression')
      return rowsOf(owner.query(`update audit set subject_hash = 0 where id = ${victim}`))
    },
    alone: { integrity: ['column'], completeness: [] },
    outside: { integrity: ['column'], completeness: [] },
    says: /subject_hash/,
  },
  {
    name: 'puts a row beyond all time',
    does: (owner) => rowsOf(owner.query(`update audit set at = 'infinity' where id = ${victim}`)),
    alone: { integrity: ['column'], completeness: [] },
    outside: { integrity: ['column'], completeness: [] },
  },
  {
    name: 'spoils the lists of logs',
    does: (owner) => rowsOf(owner.query(`update audit_checkpoints set writers = '[]'`)),
    alone: { integrity: ['checkpoint'], completeness: [] },
    outside: { integrity: ['checkpoint'], completeness: [] },
  },
  {
    name: 'edits a row and computes its hash anew',
    does: async (owner) => {
      const { rows } = await owner.query(
        `update audit set subject_id = 'eve', record = convert_to(replace(convert_from(record, 'UTF8'), '"alice"', '"eve"'), 'UTF8')
         where id = ${victim} returning writer, seq, record`,
      )
      const [{ writer, seq, record }] = rows
      return rowsOf(
        owner.query(
          `update audit_tree set hashes = overlay(hashes placing $3 from (($2 - first) * 32 + 1)::int)
           where writer = $1 and level = 0 and first <= $2 and first + length(hashes) / 32 > $2`,
          [writer, seq, leafHash(record)],
        ),
      )
    },
    alone: { integrity: ['tree'], completeness: [] },
    outside: { integrity: ['tree'], completeness: [] },
    says: /the leaves are not those that were signed at \d+ records/,
  },
  {
    name: 'deletes a row',
    does: (owner) => rowsOf(owner.query(`delete from audit where id = ${victim}`)),
    alone: { integrity: [], completeness: ['missing'] },
    outside: { integrity: [], completeness: ['missing'] },
  },
  {
    name: 'inserts a forged row',
    does: (owner) =>
      rowsOf(
        owner.query(
          `insert into audit (${AUDIT_COLUMNS}) select ${AUDIT_COLUMNS} from (select (jsonb_populate_record(a, jsonb_build_object(
             'id', gen_random_uuid(), 'seq', (select position from audit_writers w where w.writer = a.writer)))).*
           from audit a where id = ${victim}) forged`,
        ),
      ),
    alone: { integrity: ['foreign'], completeness: [] },
    outside: { integrity: ['foreign'], completeness: [] },
  },
  {
    name: 'inserts a forged row with all that belongs to it but a signature',
    does: async (owner) => {
      const { rows } = await owner.query(
        `insert into audit (${AUDIT_COLUMNS}) select ${AUDIT_COLUMNS} from (select (jsonb_populate_record(a, jsonb_build_object(
           'id', gen_random_uuid(), 'seq', (select position from audit_writers w where w.writer = a.writer)))).*
         from audit a where id = ${victim}) forged returning writer, seq, record`,
      )
      const [{ writer, seq, record }] = rows
      await owner.query('update audit_writers set position = position + 1 where writer = $1', [writer])
      return rowsOf(
        owner.query(
          `insert into audit_tree (writer, level, first, hashes, at) values ($1, 0, $2, $3, now() - interval '2 minutes')`,
          [writer, seq, leafHash(record)],
        ),
      )
    },
    alone: { integrity: ['unsealed', 'column'], completeness: [] },
    outside: { integrity: ['unsealed', 'column'], completeness: [] },
  },
  {
    name: 'says of a forged row that it will come',
    does: async (owner) => {
      const { rows } = await owner.query(
        `insert into audit (${AUDIT_COLUMNS}) select ${AUDIT_COLUMNS} from (select (jsonb_populate_record(a, jsonb_build_object(
           'id', gen_random_uuid(), 'seq', (select position from audit_writers w where w.writer = a.writer)))).*
         from audit a where id = ${victim}) forged returning writer, seq, record`,
      )
      const [{ writer, seq, record }] = rows
      await owner.query('update audit_writers set position = position + 1 where writer = $1', [writer])
      return rowsOf(
        owner.query(
          `insert into audit_tree (writer, level, first, hashes, at) values ($1, 0, $2, $3, now() + interval '1 day')`,
          [writer, seq, leafHash(record)],
        ),
      )
    },
    alone: { integrity: ['unsealed', 'column'], completeness: [] },
    outside: { integrity: ['unsealed', 'column'], completeness: [] },
  },
  {
    name: 'duplicates a row',
    does: (owner) =>
      rowsOf(
        owner.query(
          `insert into audit (${AUDIT_COLUMNS}) select ${AUDIT_COLUMNS} from (select (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid()))).*
           from audit a where id = ${victim}) forged`,
        ),
      ),
    alone: { integrity: ['column', 'doubled'], completeness: [] },
    outside: { integrity: ['column', 'doubled'], completeness: [] },
  },
  {
    name: 'swaps two rows',
    does: (owner) =>
      rowsOf(
        owner.query(
          `with two as (select tenant_id, at, id, seq from audit where type = 'decision' order by seq offset 300 limit 2)
           update audit a set seq = other.seq from two own, two other
           where a.tenant_id = own.tenant_id and a.at = own.at and a.id = own.id and other.id <> own.id`,
        ),
      ),
    alone: { integrity: ['changed'], completeness: [] },
    outside: { integrity: ['changed'], completeness: [] },
  },
  {
    name: 'cuts the tail',
    does: (owner) => cutTail(owner, false),
    alone: { integrity: [], completeness: ['missing'] },
    outside: { integrity: [], completeness: ['missing'] },
  },
  {
    name: 'cuts the tail with its checkpoints',
    does: (owner) => cutTail(owner, true),
    alone: clean,
    outside: { integrity: [], completeness: ['rolled_back'] },
  },
  {
    name: 'deletes all',
    does: async (owner) => {
      const gone = await rowsOf(owner.query('delete from audit'))
      await owner.query('truncate audit_writers, audit_tree, audit_checkpoints')
      return gone
    },
    alone: { integrity: [], completeness: ['log_missing', 'policy'] },
    outside: { integrity: [], completeness: ['log_missing', 'policy'] },
  },
  {
    name: 'says of a log that it is longer than any number',
    does: (owner) => rowsOf(owner.query('update audit_writers set position = 9223372036854775807')),
    alone: { integrity: ['tree'], completeness: ['missing'] },
    outside: { integrity: ['tree'], completeness: ['missing'] },
  },
  {
    name: 'makes somebody an admin, in a revision of their own',
    does: async (owner) => {
      await owner.query(
        `update tenants set revision = revision + 1, revision_id = gen_random_uuid() where id = 'default'`,
      )
      return rowsOf(owner.query(forged('t.revision', '0')))
    },
    ...policyBroken,
    says: /^revision \d+ of the change log has no record in the trail$/,
  },
  {
    name: 'adds a change to a revision that was made',
    does: (owner) => rowsOf(owner.query(forged('t.revision', '1000'))),
    ...policyBroken,
    says: /^revision \d+ of the change log has \d+ changes, and its record tells of \d+$/,
  },
  {
    name: 'puts a revision behind the last one',
    does: (owner) => rowsOf(owner.query(forged('t.revision + 1', '0'))),
    ...policyBroken,
    says: /^the change log goes on to revision \d+, and the tenant stands at \d+$/,
  },
  {
    name: 'takes a revision out of the change log',
    does: (owner) => rowsOf(owner.query(`delete from policy_changes where tenant_id = 'default' and revision = 1`)),
    ...policyBroken,
    says: /^revision 1 is not in the change log$/,
  },
  {
    name: 'takes the last revision out of the change log, and back',
    does: async (owner) => {
      await owner.query(`update tenants set revision = revision - 1 where id = 'default'`)
      return rowsOf(
        owner.query(`delete from policy_changes using tenants
          where tenant_id = 'default' and id = tenant_id and policy_changes.revision > tenants.revision`),
      )
    },
    ...policyBroken,
    says: /^revision \d+ is not in the change log$/,
  },
  {
    name: 'moves a tenant to another revision',
    does: (owner) => rowsOf(owner.query(`update tenants set revision = revision + 7 where id = 'default'`)),
    ...policyBroken,
    says: /^revision \d+ is not in the change log$/,
  },
]

describe('somebody with all rights on the database', () => {
  test.each(ATTACKS.map((attack) => [attack.name, attack] as const))('who %s is found out', async (_name, attack) => {
    const { does, alone, outside, says = /^/ } = attack
    const url = await copyOf('attacked')
    onTestFinished(() => asAdmin(`drop database if exists ${nameOf(url)} with (force)`))
    const before = await verify(url, notes)
    expect(before.findings.shown).toEqual([])
    expect(before.checked).toBeGreaterThan(DECISIONS)
    expect(before.outside).toBe(notes.length)
    const changed = await asOwner(url, async (owner) => {
      // Even the superuser's triggers and foreign keys do not stand in the way.
      await owner.query('set session_replication_role = replica')
      return does(owner)
    })
    expect(changed).toBeGreaterThan(0)
    for (const [wanted, found] of [
      [alone, await verify(url)],
      [outside, await verify(url, notes)],
    ] as const) {
      expect({ integrity: kindsOf(found, 'integrity'), completeness: kindsOf(found, 'completeness') }).toEqual(wanted)
      const details = found.findings.shown.map(({ detail }) => detail)
      expect(details.length === 0 || details.some((detail) => says.test(detail))).toBe(true)
    }
  })

  const LAST = `(select max(seq) - 40 from audit where tenant_id = 'default')`
  test.each([
    [
      'the last of its records',
      [`update audit set tenant_id = 'system' where tenant_id = 'default' and seq > ${LAST}`],
    ],
    ['all of its records', [`update audit set tenant_id = 'system' where tenant_id = 'default'`]],
    [
      'the last of its records behind others',
      [
        `create temp table hidden as select * from audit where tenant_id = 'default' and seq > ${LAST}`,
        `delete from audit where tenant_id = 'default' and seq > ${LAST}`,
        `insert into audit (tenant_id, at, id, writer, seq, type, record)
         select 'system', at, id, writer, seq, 'decision', 'junk' from hidden`,
      ],
    ],
    [
      'the last of its records behind copies of somebody else’s',
      [
        `create temp table hidden as select * from audit where tenant_id = 'default' and seq > ${LAST}`,
        `delete from audit where tenant_id = 'default' and seq > ${LAST}`,
        `insert into audit (tenant_id, at, id, writer, seq, type, record)
         select 'system', hidden.at, hidden.id, hidden.writer, hidden.seq, 'decision', other.record
         from hidden, lateral (select record from audit where tenant_id = 'system' limit 1) other`,
      ],
    ],
  ])('who gives another tenant %s is found out by its own verification', async (_what, statements) => {
    const url = await copyOf('given')
    onTestFinished(() => asAdmin(`drop database if exists ${nameOf(url)} with (force)`))
    expect((await verifyOwn(url)).findings.shown).toEqual([])
    await asOwner(url, async (owner) => {
      await owner.query('set session_replication_role = replica')
      for (const statement of statements) expect(await rowsOf(owner.query(statement))).toBeGreaterThan(0)
    })
    const { shown } = (await verifyOwn(url)).findings
    expect(shown.map(({ kind }) => kind)).toContain('missing')
    // Whatever is wrong with what others have is not for its eyes.
    expect(shown.filter(({ tenant }) => tenant !== undefined && tenant !== 'default')).toEqual([])
  })

  test('who restores an older state is found out by a checkpoint that was kept outside, and by that alone', async () => {
    expect((await verify(olderState)).findings.shown).toEqual([])
    expect(kindsOf(await verify(olderState, notes), 'completeness')).toEqual(['rolled_back'])
  })

  test('can not sign what they did', async () => {
    const url = await copyOf('resigned')
    onTestFinished(() => asAdmin(`drop database if exists ${nameOf(url)} with (force)`))
    const changed = await asOwner(url, (owner) =>
      rowsOf(owner.query(`update audit_checkpoints set root = sha256('x'), note = replace(note, E'\\n— ', E'\\n—  ')`)),
    )
    expect(changed).toBeGreaterThan(0)
    expect(kindsOf(await verify(url), 'integrity')).toContain('checkpoint')
  })
})

test('nothing is missed while the service writes', async () => {
  const { db, close } = openDatabase({
    url: service.database.url,
    size: 1,
    queryTimeout: 60_000,
    connectTimeout: 10_000,
  })
  let writing = true
  const load = (async () => {
    while (writing) await decide(50)
  })()
  try {
    for (let round = 0; round < 8; round++) {
      // Kept outside before the database is looked at: what is in it was in the database first.
      const outside = notesIn(await readFile(copiesFile(service.dataDir), 'utf8'))
      const report = await withEvidence(db, (evidence) =>
        verifyTrail(evidence, { outside: outside.map((note) => ({ note, from: 'outside' })) }),
      )
      expect(report.findings.shown).toEqual([])
    }
  } finally {
    writing = false
    await load
    await close()
  }
})

test('a file of checkpoints may end in the middle of a line', async () => {
  const file = join(tmpdir(), `verdict-cut-${process.pid}.log`)
  onTestFinished(() => rm(file))
  await appendFile(file, `${JSON.stringify({ checkpoint: notes[0] })}\n{"checkpoint":"verd`)
  expect(notesIn(await readFile(file, 'utf8'))).toEqual([notes[0]])
})
